"""What the steps of the analysis hand to each other: small, frozen, JSON-serialisable values.

Audio and arrays never travel in a result. They are files in the artifact store, and a result carries an `AudioRef`, which names the file by
its content. Two results with the same content have the same `content_hash`, on every machine and in every process: the hash is what the
step cache is keyed on, so it leaves out how and when a result was made (`report`).

Times are seconds from sample 0 of the decoded audio. Pitches are MIDI note numbers. Confidences lie in [0, 1].
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.steps import StepName

Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Confidence = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
StemName = Literal["vocals", "drums", "bass", "other"]

#: Which channels of a recording are heard: see `SongSource.channels`.
ChannelsUsed = Literal["both", "left", "right", "inverted"]

STEMS: tuple[StemName, ...] = ("vocals", "drums", "bass", "other")


class Frozen(BaseModel):
    """An immutable value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON-serialisable value, independent of key order and process."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class AudioRef(Frozen):
    """A 32-bit float WAV file in the artifact store, named by the SHA-256 of its samples (interleaved, little-endian).

    Of the samples, not of the file: WAV writers put the time of writing into float files.
    """

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    sample_rate: int = Field(gt=0)
    channels: int = Field(gt=0)
    frames: int = Field(ge=0)

    @property
    def duration_sec(self) -> float:
        return self.frames / self.sample_rate


class ModelUse(Frozen):
    """A model that took part in a result: which one exactly, and under which licence."""

    name: str
    digest: str = Field(description="SHA-256 of the weights, or the package version where the weights are part of a package.")
    licence: str


class StepReport(Frozen):
    """How a result came about. Not part of its content."""

    step: StepName
    status: Literal["ok", "degraded"] = "ok"
    engine: str = ""
    models: tuple[ModelUse, ...] = ()
    device: str = "cpu"
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    degraded_because: tuple[str, ...] = ()
    fallen_back: bool = Field(default=False, description="A better engine of the plan failed: after a day, a run tries it again.")
    provisional: bool = Field(default=False, description="A better engine failed for a reason that may pass: another run tries it again.")
    flow_run: str = Field(default="", description="Id of the flow run that computed it; another id than the current one means a cache hit.")


class StepResult(Frozen):
    """Base of every step's result."""

    report: StepReport

    #: Fields that say how or when, not what.
    not_content: ClassVar[frozenset[str]] = frozenset({"report"})

    def content_hash(self) -> str:
        """SHA-256 over everything that matters to a step that reads this result."""
        return digest_of(self.model_dump(mode="json", exclude=set(self.not_content)))


# --- ingest ----------------------------------------------------------------------------------------------------------------------------


class Tags(Frozen):
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    date: str | None = None
    genre: str | None = None
    track: str | None = None
    comment: str | None = None
    licence: str | None = None


class Loudness(Frozen):
    """ITU-R BS.1770-4 integrated loudness, and the sample peak."""

    integrated_lufs: float | None = Field(description="None where every block is below the gate.")
    peak_dbfs: float


class SongSource(StepResult):
    """The decoded song. Its content is the sound alone, so a retagged copy is the same song."""

    not_content: ClassVar[frozenset[str]] = frozenset(
        {
            "report",
            "file_sha256",
            "file_bytes",
            "container",
            "codec",
            "decoder",
            "original_sample_rate",
            "original_channels",
            "tags",
            # What was put right is in the sound of `audio` itself.
            "decode_sha256",
            "gain_db",
            "offset",
            "channels",
            "track",
            "tracks",
            "start_sec",
        }
    )

    song_id: str = Field(pattern=r"^[0-9a-f]{16}$", description="First 16 hex digits of the SHA-256 of the decoded samples.")
    audio: AudioRef = Field(description="What every step reads: 44.1 kHz stereo. The decode; where something was put right, a copy of it.")
    duration_sec: Seconds
    tags: Tags
    loudness: Loudness
    file_sha256: str
    file_bytes: int
    container: str
    codec: str
    decoder: str
    original_sample_rate: int
    original_channels: int
    decode_sha256: str | None = Field(default=None, description="SHA-256 of the decoded samples where `audio` is a copy; else None.")
    gain_db: float = Field(default=0.0, description="By how much `audio` is louder than the file (dB).")
    offset: tuple[float, float] = Field(default=(0.0, 0.0), description="What was subtracted from the left and the right channel.")
    channels: ChannelsUsed = Field(
        default="both", description="left, right: that one is heard on both sides; inverted: the right one was turned over."
    )
    track: int = Field(default=1, ge=1, description="Which of the file's audio tracks it is, from 1.")
    tracks: int = Field(default=1, ge=1, description="How many audio tracks the file has.")
    start_sec: float = Field(default=0.0, allow_inf_nan=False, description="Time on the file's own clock at which sample 0 sounds (s).")

    @property
    def decoded_sha256(self) -> str:
        """SHA-256 of the decoded samples, before anything was put right."""
        return self.decode_sha256 or self.audio.sha256


# --- separation ------------------------------------------------------------------------------------------------------------------------


class StemSet(StepResult):
    """Four stems that sum to the mix, and the mix without the voice."""

    vocals: AudioRef
    drums: AudioRef
    bass: AudioRef
    other: AudioRef
    instrumental: AudioRef
    residual_db: float = Field(description="Level of mix minus the sum of the stems, relative to the mix (dB).")

    def stem(self, name: StemName) -> AudioRef:
        ref: AudioRef = getattr(self, name)
        return ref


# --- asr -------------------------------------------------------------------------------------------------------------------------------


class Syllable(Frozen):
    start: Seconds
    end: Seconds
    text: str


class Word(Frozen):
    start: Seconds
    end: Seconds
    text: str
    confidence: Confidence
    syllables: tuple[Syllable, ...] = ()


class LyricLine(Frozen):
    start: Seconds
    end: Seconds
    text: str
    confidence: Confidence
    words: tuple[Word, ...]


class TimeSpan(Frozen):
    start: Seconds
    end: Seconds


class Lyrics(StepResult):
    language: str | None = Field(description="ISO 639-1 code; None where nothing is sung.")
    language_confidence: Confidence | None
    lines: tuple[LyricLine, ...]
    voice_activity: tuple[TimeSpan, ...] = Field(description="Where the vocal stem carries a voice: sorted, disjoint.")
    input: Literal["mix", "vocals"] = Field(description="What was transcribed: the mix, or the vocal stem over the turned-down mix.")


#: What a section is in its song.
SectionLabel = Literal["intro", "verse", "prechorus", "chorus", "bridge", "solo", "instrumental", "interlude", "break", "outro", "section"]


class UnplacedWord(Frozen):
    """A given word that is nowhere in the lines. line: which of the given text's lines with words it is in, from 1."""

    line: int = Field(ge=1)
    text: str


class GivenHeader(Frozen):
    """A header of given lyrics, at the start of its first word. label: the function in a song that it names; None where it is not known."""

    start: Seconds
    text: str
    label: SectionLabel | None = None


class GivenLyrics(Frozen):
    """What became of the lyrics that somebody gave."""

    fits: bool = Field(description="False: they are of another song; the lines are then as heard.")
    words: int = Field(ge=0, description="How many words were given.")
    agreement: Confidence = Field(description="Share of what was heard, by letters, that is in the given text.")
    unplaced: tuple[UnplacedWord, ...] = ()
    headers: tuple[GivenHeader, ...] = Field(default=(), description="Headers of sections, in the order in which they are sung.")
    times_used: bool | None = Field(
        default=None, description="Whether the times in the text are of this recording; None where it has none."
    )


class AlignedLyrics(StepResult):
    """Given words, placed where they are sung."""

    lines: tuple[LyricLine, ...] = Field(description="Empty where the given lyrics are of another song, or nobody sings.")
    given: GivenLyrics


# --- beats_key -------------------------------------------------------------------------------------------------------------------------


class Beat(Frozen):
    time: Seconds
    position: int = Field(ge=1, description="Position in the bar; 1 is the downbeat.")
    confidence: Confidence


class TempoPoint(Frozen):
    time: Seconds
    bpm: float = Field(gt=0)


class TempoCandidate(Frozen):
    bpm: float = Field(gt=0)
    weight: Confidence


class Tempo(Frozen):
    bpm_global: float | None = Field(gt=0, description="None where the song has no steady pulse.")
    confidence: Confidence
    curve: tuple[TempoPoint, ...]
    candidates: tuple[TempoCandidate, ...]


class MeterSpan(Frozen):
    """A meter that holds from start to end."""

    start: Seconds
    end: Seconds
    numerator: int = Field(ge=1)
    denominator: int = Field(ge=1)
    confidence: Confidence


Mode = Literal["major", "minor"]


class KeySpan(Frozen):
    start: Seconds
    end: Seconds
    tonic: str = Field(pattern=r"^[A-G][b#]?$")
    mode: Mode
    confidence: Confidence


class BeatsKey(StepResult):
    """The beat grid and the key. `key_spans` cover the song (a field named `keys` would make `dict(result)`, which Prefect calls, fail)."""

    beats: tuple[Beat, ...]
    tempo: Tempo
    meter: MeterSpan = Field(description="The meter that holds longest.")
    meter_changes: tuple[MeterSpan, ...] = Field(description="All meters in order, covering the song; one entry where it never changes.")
    key_spans: tuple[KeySpan, ...]
    global_key: KeySpan | None

    @property
    def downbeats(self) -> tuple[float, ...]:
        return tuple(beat.time for beat in self.beats if beat.position == 1)


# --- chords ----------------------------------------------------------------------------------------------------------------------------


class ChordAlternative(Frozen):
    label: str
    display: str
    confidence: Confidence


class Chord(Frozen):
    start: Seconds
    end: Seconds
    label: str = Field(description="Harte syntax, such as A:min7/b3 or N.")
    display: str = Field(description="What a musician reads, such as Am7/C; N.C. for no chord.")
    root: str | None
    quality: str | None
    bass: str | None = Field(description="Bass note by name, where the chord is inverted or has a foreign bass.")
    confidence: Confidence
    start_beat: int | None = Field(description="Index into the beats of the beat the chord starts on; None as heard, and without beats.")
    end_beat: int | None = Field(description="Index of the beat it ends on (exclusive), len(beats) at the end of the song.")
    alternatives: tuple[ChordAlternative, ...] = ()


class Chords(StepResult):
    """Chords as they were heard, which cover the song without gaps or overlaps; `N` where there is none.

    They change where they were heard to, on no beat, and their names are the commonest: `tasks.common.harmony.on_beats` sets them on the
    beats and spells them in the key.
    """

    chords: tuple[Chord, ...]


# --- melody and bass -------------------------------------------------------------------------------------------------------------------


class PitchBend(Frozen):
    time: Seconds
    midi: float


class Note(Frozen):
    start: Seconds
    end: Seconds
    midi: int = Field(ge=0, le=127)
    cents: float = Field(ge=-100, le=100, description="Deviation of the note's median pitch from `midi`.")
    confidence: Confidence
    bends: tuple[PitchBend, ...] = Field(
        default=(), description="Pitch over the note, where it departs from `midi` + `cents` by more than 50 cents."
    )


class Part(StepResult):
    """One part: the notes of its line, sorted and without overlaps, and those that sound beside it."""

    part: Literal["melody", "bass"]
    notes: tuple[Note, ...]
    lowest_midi: int | None
    highest_midi: int | None
    polyphonic: bool = Field(description="True where the stem sounds several pitches at once, so that one line cannot describe it.")
    polyphonic_share: Confidence
    harmony: tuple[Note, ...] = Field(
        default=(), description="Notes of the other voices of a polyphonic stem, by start, then pitch; those of one pitch do not overlap."
    )


# --- structure -------------------------------------------------------------------------------------------------------------------------


class Section(Frozen):
    start: Seconds
    end: Seconds
    label: SectionLabel
    index: int = Field(ge=1, description="Which of its label, in order: 2 for the second verse.")
    group: str = Field(description="Letter of the repetition group; sections with the same letter repeat each other.")
    confidence: Confidence


class Structure(StepResult):
    """Three levels of segmentation, each covering the song without gaps."""

    sections: tuple[Section, ...]
    coarse: tuple[Section, ...]
    fine: tuple[Section, ...]


AnyResult = SongSource | StemSet | Lyrics | BeatsKey | Chords | Part | Structure
