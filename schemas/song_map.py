"""The Song Map, typed. `song_map.schema.json` beside this module is normative; these models say the same, and a test holds them together.

The top level keeps the fields the first Performia front end reads (`id` … `provenance`) as they were, and adds to them. Times are seconds
from sample 0 of the decoded audio, pitches MIDI note numbers, confidences (`conf`) in [0, 1], chord labels Harte syntax. What a schema
cannot say (order, coverage, references) is checked by `tasks.packager.validation`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PrivateAttr

from schemas.results import ChannelsUsed, Frozen, Mode, SectionLabel

SCHEMA_VERSION: Final = "1.0"

#: Harte, Sandler, Abdallah & Gómez, "Symbolic representation of musical chords" (ISMIR 2005): root:shorthand(degrees)/bass, N, or X.
_DEGREES: Final = r"\(\*?(b*|#*)[0-9]+(,\*?(b*|#*)[0-9]+)*\)"
HARTE_LABEL: Final = rf"^(N|X|[A-G](b*|#*)(:(([a-z]+[0-9]*|[0-9]+)({_DEGREES})?|{_DEGREES}))?(/(b*|#*)[0-9]+)?)$"
_NOTE_NAME: Final = r"^[A-G](b*|#*)$"
_GROUP: Final = r"^[A-Z]+$"


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 4.0 is an integer, as JSON Schema has it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Positive = Annotated[int, Field(gt=0), BeforeValidator(_whole)]
Index = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Midi = Annotated[int, Field(ge=0, le=127), BeforeValidator(_whole)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Bpm = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Start = Annotated[Time, Field(description="Where it starts (s).")]
End = Annotated[Time, Field(description="Where it ends (s); after its start.")]
Conf = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="Confidence in [0, 1].")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
HarteLabel = Annotated[str, Field(pattern=HARTE_LABEL, description="Harte syntax, such as A:min7/b3; N for no chord.")]
Display = Annotated[str, Field(description="What a musician reads, such as Am7/C; N.C. for no chord.")]
SongStem = Literal["vocals", "drums", "bass", "other", "instrumental"]
#: Those of `schemas.sound_format`.
StemFormat = Literal["flac16", "flac24", "wav16", "wav24", "wav-float", "mp3", "opus"]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
By = Annotated[Literal["person"] | None, Field(description="person: a person said so; left out: the analysis did.")]


class TempoCandidate(Frozen):
    """A tempo a listener may tap."""

    bpm: Bpm = Field(description="Beats per minute.")
    weight: Conf = Field(description="How likely it is, in [0, 1].")


class Tempo(Frozen):
    """How fast the song is."""

    bpm_global: Bpm | None = Field(description="The song's tempo in beats per minute; null where it has no steady pulse.")
    curve: tuple[tuple[Time, Bpm], ...] = Field(description="[time, bpm] pairs in order; a tempo holds until the next.")
    confidence: Conf
    candidates: tuple[TempoCandidate, ...] = Field(description="The tempi a listener may tap, the likeliest first.")
    by: By = None


class MeterChange(Frozen):
    """A meter that holds from start to end."""

    start: Start
    end: End
    numerator: Positive = Field(description="Beats in a bar.")
    denominator: Positive = Field(description="Which note value a beat is: 4 for a quarter note.")
    conf: Conf
    by: By = None


class Meter(Frozen):
    """The meter that holds longest, and every meter in order."""

    numerator: Positive = Field(description="Beats in a bar.")
    denominator: Positive = Field(description="Which note value a beat is: 4 for a quarter note.")
    conf: Conf
    changes: tuple[MeterChange, ...] = Field(description="Every meter in order; one where it never changes.")
    by: By = None


class Bar(Frozen):
    """A bar, from its downbeat to the next."""

    start: Start = Field(description="Time of its downbeat (s).")
    end: End = Field(description="Time of the next downbeat (s); where the beats end, for the last bar.")
    first_beat: Index = Field(description="Index into `beats` of the bar's downbeat.")
    beats: Positive = Field(description="How many beats the bar has.")


class Key(Frozen):
    """A key that holds from start to end."""

    start: Start
    end: End
    tonic: str = Field(pattern=r"^[A-G][b#]?$", description="Name of the tonic, such as Bb.")
    mode: Mode = Field(description="major or minor.")
    conf: Conf
    by: By = None


class ChordAlternative(Frozen):
    """Another chord it could be."""

    label: HarteLabel
    display: Display
    conf: Conf


class Chord(Frozen):
    """A chord, as a label and in its parts."""

    start: Start
    end: End
    label: HarteLabel
    conf: Conf
    display: Display
    root: Annotated[str, Field(pattern=_NOTE_NAME)] | None = Field(description="Name of the root; null for no chord.")
    quality: str | None = Field(description="Harte shorthand, such as min7; null for no chord.")
    bass: Annotated[str, Field(pattern=_NOTE_NAME)] | None = Field(description="Name of the bass note where it is not the root.")
    start_beat: Index | None = Field(description="Index into `beats` of the beat the chord starts on; null where there are no beats.")
    end_beat: Index | None = Field(description="Index of the beat it ends on, exclusive; the number of beats at the song's end.")
    alternatives: Annotated[tuple[ChordAlternative, ...], Field(max_length=3)] = Field(
        description="Up to three other chords it could be, the likeliest first."
    )
    by: By = None


class Section(Frozen):
    """A part of the song's form."""

    start: Start
    end: End
    label: SectionLabel = Field(description="What it is in the song.")
    index: Positive = Field(description="Which of its label, in order: 2 for the second verse.")
    group: str = Field(pattern=_GROUP, description="Sections of one level with the same letter repeat each other.")
    conf: Conf
    by: By = None


class Repeat(Frozen):
    """Sections that repeat each other."""

    group: str = Field(pattern=_GROUP, description="The letter they share.")
    sections: Annotated[tuple[Index, ...], Field(min_length=2)] = Field(description="Indices into `sections`, in order.")


class Levels(Frozen):
    """Coarser and finer divisions than `sections`, and which sections repeat each other."""

    coarse: tuple[Section, ...] = Field(description="The song in few, long parts.")
    fine: tuple[Section, ...] = Field(description="The song in short parts, about phrases.")
    repeats: tuple[Repeat, ...] = Field(description="Which of `sections` repeat each other.")


class Syllable(Frozen):
    """A part of a word that is sung on its own."""

    start: Start
    end: End
    text: str = Field(description="The letters it has in its word.")


class Word(Frozen):
    """A sung word."""

    start: Start
    end: End
    text: str = Field(description="The word with its punctuation.")
    conf: Conf
    syllables: tuple[Syllable, ...] = Field(description="Its syllables in order; empty where they are not known.")
    by: By = None


class LyricLine(Frozen):
    """A line of the lyrics."""

    start: Start
    end: End
    text: str = Field(description="The line as it is shown.")
    conf: Conf
    words: tuple[Word, ...] = Field(description="Its words in order, each within the line.")
    by: By = None


class UnplacedWord(Frozen):
    """A given word that was not placed: it is not sung, or nobody can say where."""

    line: Positive = Field(description="Which of the given text's lines with words it is in, from 1.")
    text: str = Field(description="The word with its punctuation.")


class GivenHeader(Frozen):
    """A header of the given lyrics, such as Chorus."""

    start: Start
    text: str = Field(description="The header as it was given.")


class GivenLyrics(Frozen):
    """What became of the lyrics that somebody gave."""

    fits: bool = Field(description="False: they are of another song, and `lyrics` are as heard.")
    words: Index = Field(description="How many words were given.")
    agreement: Conf = Field(description="Share of what was heard that is in the given text.")
    unplaced: tuple[UnplacedWord, ...] = Field(description="Given words that are nowhere in `lyrics`.")
    headers: tuple[GivenHeader, ...] = Field(description="Headers of the given text, where their first words are sung.")


class Voice(Frozen):
    """What is known of the singing beside its words."""

    language: Language | None = Field(description="ISO 639 code of the lyrics; null where nothing is sung.")
    language_conf: Conf | None = Field(description="Confidence of the language in [0, 1].")
    activity: tuple[tuple[Time, Time], ...] = Field(description="[start, end] of the passages with a voice (s).")
    transcribed_from: Literal["mix", "vocals"] | None = Field(description="What the lyrics were heard from.")
    given: GivenLyrics | None = Field(default=None, description="What became of given lyrics; left out where none were given.")


class Note(Frozen):
    """A note of a part."""

    start: Start = Field(description="Onset (s).")
    end: End = Field(description="Offset (s).")
    midi: Midi = Field(description="MIDI note number of the nearest pitch.")
    conf: Conf
    cents: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] = Field(
        description="How far the sounding pitch lies from `midi` (hundredths of a semitone)."
    )
    bends: tuple[tuple[Time, Finite], ...] = Field(description="[time, midi] pairs where the pitch departs from the note; midi is a float.")
    by: By = None


class PartFacts(Frozen):
    """What is known of a part as a whole."""

    lowest_midi: Midi | None = Field(description="MIDI note number of its lowest note; null where it has none.")
    highest_midi: Midi | None = Field(description="MIDI note number of its highest note; null where it has none.")
    polyphonic: bool = Field(description="True where the stem sounds several pitches at once, so that one line cannot describe it.")
    polyphonic_share: Conf = Field(description="Share of the sounding time with several pitches at once, in [0, 1].")


class Parts(Frozen):
    """What is known of each part; null where its step failed."""

    melody: PartFacts | None = Field(description="The sung melody.")
    bass: PartFacts | None = Field(description="The bass line.")


class Performance(Frozen):
    """What to play and sing."""

    melody: tuple[Note, ...] = Field(description="Notes of the sung melody in order; they do not overlap.")
    bass: tuple[Note, ...] = Field(description="Notes of the bass line in order; they do not overlap.")
    harmony: tuple[Note, ...] = Field(
        default=(),
        description="Notes of the voices beside the melody, where its stem sounds several pitches at once, by start, then pitch; those of "
        "one pitch do not overlap.",
    )
    parts: Parts = Field(description="Range and polyphony of the parts.")


class Stem(Frozen):
    """A part of the mix, as long as the song, and the audio file it is in."""

    name: SongStem = Field(description="What it carries; instrumental is the mix without the voice.")
    path: str | None = Field(description="Path relative to the Song Map; null where stems were not written.")
    sha256: Sha256 = Field(
        description="SHA-256 of the samples as they were separated: 32-bit float, interleaved, little-endian. A wav-float file has these."
    )
    sample_rate: Positive = Field(description="Samples per second.")
    channels: Positive = Field(description="How many channels it has.")
    format: StemFormat = Field(
        default="wav-float", description="What the file is: FLAC or WAV by bits, or lossy; left out: WAV, 32-bit float."
    )
    file_sha256: Sha256 | None = Field(default=None, description="SHA-256 of the file; left out where it is wav-float.")


class Tags(Frozen):
    """What the file says of itself."""

    title: str | None = Field(description="Title of the song.")
    artist: str | None = Field(description="Who performs it.")
    album: str | None = Field(description="The album it is on.")
    date: str | None = Field(description="Date or year, as written in the file.")
    genre: str | None = Field(description="Genre, as written in the file.")
    track: str | None = Field(description="Track number, as written in the file.")
    comment: str | None = Field(description="Comment, as written in the file.")
    licence: str | None = Field(description="Licence or copyright, as written in the file.")


class Loudness(Frozen):
    """How loud the song is."""

    integrated_lufs: Finite | None = Field(description="ITU-R BS.1770-4 integrated loudness (LUFS); null where all is below the gate.")
    peak_dbfs: Finite = Field(description="Sample peak (dB relative to full scale).")


class Source(Frozen):
    """The file the map was made from, and its decode."""

    file_name: str = Field(description="Name of the file, without its folder.")
    file_sha256: Sha256 = Field(description="SHA-256 of the file.")
    file_bytes: Index = Field(description="Size of the file (bytes).")
    audio_sha256: Sha256 = Field(description="SHA-256 of the decoded samples: 44.1 kHz stereo, 32-bit float, interleaved, little-endian.")
    analysed_sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of the samples that were analysed, where something was put right of the decode; else left out."
    )
    container: str = Field(description="Format of the file, such as mp3.")
    codec: str = Field(description="Codec of the sound, such as vorbis.")
    decoder: str = Field(description="What decoded it, with its version.")
    original_sample_rate: Positive = Field(description="Samples per second in the file.")
    original_channels: Positive = Field(description="Channels in the file.")
    track: Positive = Field(default=1, description="Which of the file's audio tracks was analysed, from 1.")
    tracks: Positive = Field(default=1, description="How many audio tracks the file has.")
    start_sec: Finite = Field(
        default=0.0,
        description="When the sound begins on the file's own clock (s), as a player of the video shows it: add it to the map's times.",
    )
    gain_db: Finite = Field(
        default=0.0, description="By how much the recording was raised for the analysis (dB); the stems are louder than the file by it."
    )
    offset: tuple[Finite, Finite] = Field(
        default=(0.0, 0.0), description="Constant offset that was taken out of the left and the right channel (1 is full scale)."
    )
    channels: ChannelsUsed = Field(
        default="both",
        description="What was analysed, and what the stems are made of: both channels; left or right: that one, in the place of a silent "
        "one too; inverted: both, the right one turned over, because they cancelled each other.",
    )
    tags: Tags = Field(description="What the file says of itself.")
    loudness: Loudness = Field(description="How loud the song is.")


class Model(Frozen):
    """A model that took part: which one exactly, and under which licence."""

    name: str = Field(description="Name in Performia's list of models.")
    digest: str = Field(description="SHA-256 of the weights, or the version of the package they are part of.")
    licence: str = Field(description="Licence of the weights.")


class StepStatus(Frozen):
    """How a step went."""

    status: Literal["ok", "cached", "degraded", "failed", "skipped"] = Field(
        description="ok; cached: the result of an earlier run; degraded: by a lesser engine; failed; skipped: what it needs failed."
    )
    cached: bool = Field(description="True where the result came from an earlier run.")
    engine: str | None = Field(description="What computed the result; null where there is none.")
    models: tuple[Model, ...] = Field(description="The models the engine used.")
    device: str | None = Field(description="What it ran on, such as cpu or cuda.")
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(description="How long the step took when it was computed.")
    warnings: tuple[str, ...] = Field(description="What a reader of the result should know.")
    reasons: tuple[str, ...] = Field(description="Why the step is degraded, failed or skipped.")
    code: str | None = Field(description="Code of the error where the step failed.")


class Steps(Frozen):
    """How each step of the analysis went."""

    ingest: StepStatus = Field(description="Decoding the file.")
    separation: StepStatus = Field(description="Separating the stems.")
    beats_key: StepStatus = Field(description="Beats, tempo, meter and key.")
    asr: StepStatus = Field(description="Lyrics.")
    align: StepStatus | None = Field(default=None, description="Placing given lyrics; left out where none were given.")
    chords: StepStatus = Field(description="Chords.")
    melody: StepStatus = Field(description="The sung melody.")
    bass: StepStatus = Field(description="The bass line.")
    structure: StepStatus = Field(description="Sections.")

    def __iter__(self) -> Iterator[tuple[str, StepStatus]]:  # type: ignore[override]
        """The steps that this run had, each with how it went."""
        return ((name, status) for name in type(self).model_fields if (status := getattr(self, name)) is not None)


class Options(Frozen):
    """What the person who ran the analysis chose."""

    quality: Literal["fast", "balanced", "best"] = Field(description="How much time to spend.")
    language: Language | None = Field(description="Language of the lyrics; null: detected.")
    strict: bool = Field(description="Whether the run was to fail if any step failed or fell back.")
    engines: dict[str, str] = Field(description="Engines chosen for steps, by step.")
    stems: bool = Field(description="Whether stems were to be written.")
    stems_format: StemFormat = Field(default="flac16", description="The format in which stems were to be written; left out: flac16.")
    tempo_range: tuple[Bpm, Bpm] | None = Field(
        default=None, description="The slowest and the fastest tempo (bpm) in which beats were sought; left out: 40 to 240."
    )
    melody_range: tuple[Midi, Midi] | None = Field(
        default=None, description="The lowest and the highest note in which the melody was sought; left out: 40 to 88."
    )
    bass_range: tuple[Midi, Midi] | None = Field(
        default=None, description="The lowest and the highest note in which the bass was sought; left out: 23 to 60."
    )
    track: Positive | None = Field(default=None, description="The audio track that was asked for, from 1; left out: none.")
    accept_damaged: bool = Field(default=False, description="Whether a damaged file was to be analysed; left out: it was not.")


class CorrectionOutcome(Frozen):
    """What became of one thing that a person put right."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$", description="Id of the operation in the song's corrections.")
    kind: str = Field(description="What was put right, such as word_text.")
    outcome: Literal["applied", "moved", "conflict", "obsolete"] = Field(
        description="applied; moved: applied where the analysis had something else or was elsewhere; conflict: not applied, and kept; "
        "obsolete: the analysis says so itself, or a later correction says it anew."
    )
    text: str = Field(description="The same for a person.")


class Corrected(Frozen):
    """What persons put right in this map; the analysis's own map lies beside it."""

    operations: Index = Field(description="How many operations count.")
    outcomes: tuple[CorrectionOutcome, ...] = Field(description="What became of each, in order.")


class Provenance(Frozen):
    """Where the map comes from."""

    performia: str = Field(description="Version of Performia.")
    created: str = Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
        description="When the map was made (ISO 8601, UTC), such as 2025-01-31T12:00:00Z.",
    )
    flow_run: str | None = Field(description="Id of the Prefect flow run; null outside one.")
    options: Options = Field(description="What was chosen for the run.")


class SongMap(Frozen):
    """Everything a musician needs to perform a song. Times are seconds from sample 0 of the decoded audio."""

    schema_version: Literal["1.0"] = Field(description="Version of this schema.")
    id: str = Field(pattern=r"^[0-9a-f]{16}$", description="From the hash of the decoded sound: a retagged file is the same song.")
    status: Literal["complete", "partial"] = Field(description="partial: a step failed or was skipped; `steps` says which and why.")
    title: str = Field(description="Title from the file's tags, else from its name.")
    duration_sec: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(description="Length of the song (s).")
    tempo: Tempo = Field(description="How fast the song is.")
    meter: Meter = Field(description="Its meter.")
    beats: tuple[Time, ...] = Field(description="Times of the beats (s), in order.")
    downbeats: tuple[Time, ...] = Field(description="Times of the first beats of the bars (s); each is one of `beats`.")
    key: tuple[Key, ...] = Field(description="Keys in order; one where the song does not modulate.")
    chords: tuple[Chord, ...] = Field(description="Chords that cover the song without gaps; empty where the step failed.")
    sections: tuple[Section, ...] = Field(description="Sections that cover the song without gaps; empty where the step failed.")
    lyrics: tuple[LyricLine, ...] = Field(description="Lines of the lyrics in order; empty where nothing is sung or the step failed.")
    performance: Performance = Field(description="Melody and bass.")
    provenance: Provenance = Field(description="Where the map comes from.")
    beat_conf: tuple[Conf, ...] = Field(description="Confidence of each beat in [0, 1].")
    bars: tuple[Bar, ...] = Field(description="Bars in order. Beats before the first downbeat are the pickup, and in no bar.")
    levels: Levels = Field(description="Coarser and finer sections, and repetitions.")
    voice: Voice = Field(description="What is known of the singing beside its words.")
    stems: tuple[Stem, ...] = Field(description="Separated parts of the mix; empty where the step failed.")
    stems_residual_db: Finite | None = Field(description="Level of mix minus the sum of the four stems, relative to the mix (dB).")
    stems_gain_db: Finite = Field(
        default=0.0,
        description="How much louder the files of the stems are than what was separated (dB), at most 0, so that none exceeds full scale: "
        "they add up to the mix with this gain. Left out: 0.",
    )
    source: Source = Field(description="The file the map was made from.")
    steps: Steps = Field(description="How each step went.")
    by_person: tuple[Literal["title", "artist", "beats", "downbeats", "lyrics"], ...] = Field(
        default=(), description="What a person said as a whole; title and artist stand where the file's own did."
    )
    corrections: Corrected | None = Field(default=None, description="What persons put right; left out: nothing.")

    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Where the map was written, in this process; not part of the document."""
        return self._folder

    def written_to(self, folder: Path) -> SongMap:
        """The same map, knowing its folder."""
        copy = self.model_copy()
        copy._folder = folder  # noqa: SLF001 (of this class)
        return copy

    def to_json(self) -> str:
        """The document, as it is written to disk: without what was left out of the options."""
        return json.dumps(self.model_dump(mode="json", exclude_unset=True), ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> SongMap:
        """Read a document. Raises pydantic.ValidationError; `tasks.packager.validation` lists problems in the document's own terms."""
        return cls.model_validate_json(text, strict=True)


def load_schema() -> dict[str, Any]:
    """The normative JSON Schema (2020-12). It travels in the wheel."""
    text = resources.files("schemas").joinpath("song_map.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
