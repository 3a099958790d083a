"""The Song Map, typed. `song_map.schema.json` beside this module is normative; these models mirror it, and a test holds the two together.

The top level keeps the fields the first Performia front end reads (`id` … `provenance`) as they were, and adds to them. Times are seconds
from sample 0 of the decoded audio, pitches MIDI note numbers, confidences (`conf`) in [0, 1], chord labels Harte syntax.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PrivateAttr

from schemas.results import Confidence, Frozen, Mode, ModelUse, Seconds, SectionLabel, StemName

SCHEMA_VERSION: Final = "1.0"

Midi = Annotated[int, Field(ge=0, le=127)]
Index = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class TempoCandidate(Frozen):
    bpm: Annotated[float, Field(gt=0)]
    weight: Confidence


class Tempo(Frozen):
    bpm_global: Annotated[float, Field(gt=0)] | None = Field(description="Null where the song has no steady pulse.")
    curve: tuple[tuple[Seconds, Annotated[float, Field(gt=0)]], ...] = Field(description="[time, bpm] pairs; a tempo holds until the next.")
    confidence: Confidence
    candidates: tuple[TempoCandidate, ...] = Field(description="Other tempi a listener may tap, the likeliest first.")


class MeterChange(Frozen):
    start: Seconds
    end: Seconds
    numerator: Annotated[int, Field(ge=1)]
    denominator: Annotated[int, Field(ge=1)]
    conf: Confidence


class Meter(Frozen):
    numerator: Annotated[int, Field(ge=1)]
    denominator: Annotated[int, Field(ge=1)]
    conf: Confidence
    changes: tuple[MeterChange, ...] = Field(description="Every meter in order; one where it never changes.")


class Bar(Frozen):
    start: Seconds
    end: Seconds
    first_beat: Index = Field(description="Index into `beats` of the bar's downbeat.")
    beats: Annotated[int, Field(ge=1)] = Field(description="How many beats the bar has.")


class Key(Frozen):
    start: Seconds
    end: Seconds
    tonic: str = Field(pattern=r"^[A-G][b#]?$")
    mode: Mode
    conf: Confidence


class ChordAlternative(Frozen):
    label: str
    display: str
    conf: Confidence


class Chord(Frozen):
    start: Seconds
    end: Seconds
    label: str = Field(description="Harte syntax, such as A:min7/b3; N for no chord.")
    conf: Confidence
    display: str = Field(description="What a musician reads, such as Am7/C; N.C. for no chord.")
    root: str | None
    quality: str | None
    bass: str | None
    start_beat: Index | None = Field(description="Index into `beats` of the beat the chord starts on.")
    end_beat: Index | None = Field(description="Index into `beats` of the beat it ends on; the number of beats at the song's end.")
    alternatives: Annotated[tuple[ChordAlternative, ...], Field(max_length=3)]


class Section(Frozen):
    start: Seconds
    end: Seconds
    label: SectionLabel
    index: Annotated[int, Field(ge=1)] = Field(description="Which of its label: 2 for the second verse.")
    group: str = Field(pattern=r"^[A-Z]+$", description="Sections with the same letter repeat each other.")
    conf: Confidence


class Repeat(Frozen):
    group: str = Field(pattern=r"^[A-Z]+$")
    sections: Annotated[tuple[Index, ...], Field(min_length=2)] = Field(description="Indices into `sections`.")


class Levels(Frozen):
    """Coarser and finer divisions than `sections`, and which sections repeat each other."""

    coarse: tuple[Section, ...]
    fine: tuple[Section, ...]
    repeats: tuple[Repeat, ...]


class Syllable(Frozen):
    start: Seconds
    end: Seconds
    text: str


class Word(Frozen):
    start: Seconds
    end: Seconds
    text: str
    conf: Confidence
    syllables: tuple[Syllable, ...]


class LyricLine(Frozen):
    start: Seconds
    end: Seconds
    text: str
    conf: Confidence
    words: tuple[Word, ...]


class Voice(Frozen):
    """What is known of the singing beside its words."""

    language: str | None
    language_conf: Confidence | None
    activity: tuple[tuple[Seconds, Seconds], ...] = Field(description="[start, end] of the passages with a voice.")
    transcribed_from: Literal["mix", "vocals"] | None


class Note(Frozen):
    start: Seconds
    end: Seconds
    midi: Midi
    conf: Confidence
    cents: Annotated[float, Field(ge=-100, le=100)] = Field(description="Deviation of the sounding pitch from `midi`.")
    bends: tuple[tuple[Seconds, Finite], ...] = Field(description="[time, midi] where the pitch departs from the note.")


class PartFacts(Frozen):
    lowest_midi: Midi | None
    highest_midi: Midi | None
    polyphonic: bool = Field(description="True where the stem sounds several pitches at once, so that one line cannot describe it.")
    polyphonic_share: Confidence


class Parts(Frozen):
    melody: PartFacts | None
    bass: PartFacts | None


class Performance(Frozen):
    melody: tuple[Note, ...]
    bass: tuple[Note, ...]
    parts: Parts


class Stem(Frozen):
    name: StemName | Literal["instrumental"]
    path: str | None = Field(description="Relative to the Song Map; null where stems were not written.")
    sha256: Sha256 = Field(description="Of the samples: 32-bit float, interleaved, little-endian.")
    sample_rate: Annotated[int, Field(gt=0)]
    channels: Annotated[int, Field(gt=0)]


class Tags(Frozen):
    title: str | None
    artist: str | None
    album: str | None
    date: str | None
    genre: str | None
    track: str | None
    comment: str | None
    licence: str | None


class Loudness(Frozen):
    integrated_lufs: Finite | None = Field(description="ITU-R BS.1770-4; null where everything is below the gate.")
    peak_dbfs: Finite


class Source(Frozen):
    file_name: str
    file_sha256: Sha256
    file_bytes: Index
    audio_sha256: Sha256 = Field(description="Of the decoded samples: 44.1 kHz stereo, 32-bit float, interleaved, little-endian.")
    container: str
    codec: str
    decoder: str
    original_sample_rate: Annotated[int, Field(gt=0)]
    original_channels: Annotated[int, Field(gt=0)]
    tags: Tags
    loudness: Loudness


class StepStatus(Frozen):
    status: Literal["ok", "cached", "degraded", "failed", "skipped"]
    cached: bool = Field(description="True where the result came from an earlier run.")
    engine: str | None
    models: tuple[ModelUse, ...]
    device: str | None
    seconds: Annotated[float, Field(ge=0)] | None = Field(description="How long the step took when it was computed.")
    warnings: tuple[str, ...]
    reasons: tuple[str, ...] = Field(description="Why the step is degraded, failed or skipped.")
    code: str | None = Field(description="Code of the error, where the step failed.")


class Steps(Frozen):
    ingest: StepStatus
    separation: StepStatus
    beats_key: StepStatus
    asr: StepStatus
    chords: StepStatus
    melody: StepStatus
    bass: StepStatus
    structure: StepStatus


class Provenance(Frozen):
    performia: str = Field(description="Version of Performia.")
    created: str = Field(description="When this map was written: ISO 8601, UTC.")
    flow_run: str | None
    options: dict[str, Any]


class SongMap(Frozen):
    """Everything a musician needs to perform a song."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    id: str = Field(pattern=r"^[0-9a-f]{16}$", description="From the hash of the decoded sound: a retagged file is the same song.")
    status: Literal["complete", "partial"] = Field(description="partial: a step failed or was skipped; `steps` says which and why.")
    title: str
    duration_sec: Annotated[float, Field(gt=0)]
    tempo: Tempo
    meter: Meter
    beats: tuple[Seconds, ...]
    downbeats: tuple[Seconds, ...]
    key: tuple[Key, ...]
    chords: tuple[Chord, ...]
    sections: tuple[Section, ...]
    lyrics: tuple[LyricLine, ...]
    performance: Performance
    provenance: Provenance
    beat_conf: tuple[Confidence, ...] = Field(description="Confidence of each beat.")
    bars: tuple[Bar, ...]
    levels: Levels
    voice: Voice
    stems: tuple[Stem, ...]
    stems_residual_db: Finite | None = Field(description="Level of mix minus the sum of the four stems, relative to the mix (dB).")
    source: Source
    steps: Steps

    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Where the map was written, in this process; not part of the document."""
        return self._folder

    def to_json(self) -> str:
        """The document, as it is written to disk."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> SongMap:
        """Read a document. Raises pydantic.ValidationError; `tasks.packager.validation` lists problems in the document's own terms."""
        return cls.model_validate_json(text)


def load_schema() -> dict[str, Any]:
    """The normative JSON Schema (2020-12)."""
    text = resources.files("schemas").joinpath("song_map.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def schema_of_models() -> dict[str, Any]:
    """The JSON Schema the models above amount to: what `song_map.schema.json` must say."""
    schema = SongMap.model_json_schema(mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:performia:song-map:{SCHEMA_VERSION}",
        "title": "Performia Song Map",
    }
    return head | {name: value for name, value in schema.items() if name not in head}
