"""What a person put right in a Song Map: a log of typed operations, which only grows. `corrections.schema.json` is the same as a schema.

An operation says where it belongs by time and by content (the word and its neighbours, the chord and those beside it, the section's label),
never by an index, which another analysis moves. What it says is what is right, in seconds from sample 0 of the decode of the song it was
made on (`song`), and not by how much the analysis was wrong: so that it can be told whether a later analysis needs it still.

An operation is taken back by another one (`undo`), so that two logs of a song that grew apart are joined by their operations' ids.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from schemas.results import Frozen, Mode, SectionLabel
from schemas.song_map import HARTE_LABEL, Bpm, Midi, Positive, Time

CORRECTIONS_VERSION: Final = "1.0"

SongId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
OperationId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Label = Annotated[str, Field(pattern=HARTE_LABEL, description="Harte syntax, such as A:min7/b3; N for no chord.")]
Text = Annotated[str, Field(max_length=1000)]
Ms = Annotated[float, Field(ge=-60_000, le=60_000, allow_inf_nan=False, description="Milliseconds; positive is later.")]
PartName = Literal["melody", "bass", "harmony"]
#: As long as a novel's chapter: beyond it, it is no song's lyrics.
_LONGEST_LYRICS: Final = 100_000
_MOST_BEATS: Final = 20_000
#: A log only grows; one that is longer was written by a program that went wrong.
MOST_OPERATIONS: Final = 20_000


# --- where it belongs ------------------------------------------------------------------------------------------------------------------


class WordAt(Frozen):
    """A word, by when it was heard, what it was, and the words beside it."""

    time: Time = Field(description="Its start (s).")
    text: Text = Field(description="What it was.")
    before: tuple[Text, ...] = Field(default=(), max_length=3, description="Up to three words before it, in order.")
    after: tuple[Text, ...] = Field(default=(), max_length=3, description="Up to three words after it, in order.")


class ChordAt(Frozen):
    """A chord, by its time, its label, and the chords beside it."""

    start: Time
    end: Time
    label: Label
    before: Label | None = Field(default=None, description="The chord before it.")
    after: Label | None = Field(default=None, description="The chord after it.")


class SectionAt(Frozen):
    """A section, by its time and its label."""

    start: Time
    end: Time
    label: SectionLabel


class NoteAt(Frozen):
    """A note of a part, by its time and its pitch."""

    part: PartName
    start: Time
    end: Time
    midi: Midi


class PlaceSpan(Frozen):
    """From start to end (s)."""

    start: Time
    end: Time


def _with_kind(schema: dict[str, Any]) -> None:
    schema["required"] = ["kind", *(name for name in schema.get("required", ()) if name != "kind")]


class OfKind(Frozen):
    """What is put right. Its `kind` is written always, for it says how the rest is read."""

    model_config = ConfigDict(json_schema_extra=_with_kind)


# --- beats and key: read by the steps behind them --------------------------------------------------------------------------------------


class TempoHalved(OfKind):
    """Half as many beats: those that were counted between are none."""

    kind: Literal["tempo_halved"] = "tempo_halved"
    bpm: Bpm = Field(description="What the tempo was (bpm).")


class TempoDoubled(OfKind):
    """Twice as many beats: one more between any two."""

    kind: Literal["tempo_doubled"] = "tempo_doubled"
    bpm: Bpm = Field(description="What the tempo was (bpm).")


class DownbeatMoved(OfKind):
    """The one of each bar is so many beats later, or earlier where it is negative; the bars keep their lengths."""

    kind: Literal["downbeat_moved"] = "downbeat_moved"
    beats: int = Field(ge=-31, le=31, description="By how many beats.")
    downbeat: Time = Field(description="A beat that is a one (s).")
    since: Time | None = Field(default=None, description="Only from there on (s); null: in the whole song.")


class BeatsShifted(OfKind):
    """All beats are later, or earlier where it is negative."""

    kind: Literal["beats_shifted"] = "beats_shifted"
    ms: Ms
    heard: tuple[Time, ...] = Field(
        default=(), max_length=64, description="Some of the beats before (s): by them it is seen what is right."
    )


class BeatsTapped(OfKind):
    """Beats that were tapped along: they are right as far as they go. Where a heard beat is near a tap, it is as exact as the tap meant."""

    kind: Literal["beats_tapped"] = "beats_tapped"
    times: tuple[Time, ...] = Field(min_length=4, max_length=_MOST_BEATS, description="When was tapped (s), in order.")
    downbeat: Time | None = Field(default=None, description="Which of them is a one (s); null: the bars are carried along.")


class BeatsReplaced(OfKind):
    """The whole grid, from another program or by hand."""

    kind: Literal["beats_replaced"] = "beats_replaced"
    beats: tuple[tuple[Time, Positive], ...] = Field(
        min_length=2, max_length=_MOST_BEATS, description="[time, position in the bar] of each beat, in order; 1 is the one."
    )


class MeterSet(OfKind):
    """The meter, of the song or of the passage that a time lies in."""

    kind: Literal["meter"] = "meter"
    numerator: Annotated[int, Field(ge=1, le=32)] = Field(description="Beats in a bar.")
    denominator: Literal[1, 2, 4, 8, 16, 32] = Field(description="Which note value a beat is.")
    at: Time | None = Field(default=None, description="In the passage of one meter around there (s); null: in the whole song.")


class KeySet(OfKind):
    """The key, of the song or from one time to another. Chords are spelled in it."""

    kind: Literal["key"] = "key"
    tonic: Annotated[str, Field(pattern=r"^[A-G][b#]?$")]
    mode: Mode
    start: Time | None = Field(default=None, description="From there (s); null: from the start.")
    end: Time | None = Field(default=None, description="To there (s); null: to the end.")


# --- chords ----------------------------------------------------------------------------------------------------------------------------


class ChordReplaced(OfKind):
    """Another chord; with `everywhere`, also wherever it stands between the same two chords."""

    kind: Literal["chord_replaced"] = "chord_replaced"
    chord: ChordAt
    label: Label
    everywhere: bool = False
    places: tuple[PlaceSpan, ...] = Field(default=(), max_length=2000, description="Where else that was when it was said.")


class ChordSplit(OfKind):
    """Two chords in the place of one."""

    kind: Literal["chord_split"] = "chord_split"
    chord: ChordAt
    at: Time = Field(description="Where the second begins (s).")
    labels: tuple[Label, Label]


class ChordsMerged(OfKind):
    """One chord in the place of neighbours."""

    kind: Literal["chords_merged"] = "chords_merged"
    first: ChordAt
    last: ChordAt
    label: Label


# --- sections --------------------------------------------------------------------------------------------------------------------------


class SectionRelabelled(OfKind):
    """A section is another part of the form."""

    kind: Literal["section_relabelled"] = "section_relabelled"
    section: SectionAt
    label: SectionLabel


class SectionMoved(OfKind):
    """A section begins elsewhere; the one before it ends there."""

    kind: Literal["section_moved"] = "section_moved"
    section: SectionAt
    start: Time = Field(description="Where it begins (s).")


class SectionSplit(OfKind):
    """Two sections in the place of one."""

    kind: Literal["section_split"] = "section_split"
    section: SectionAt
    at: Time = Field(description="Where the second begins (s).")
    labels: tuple[SectionLabel, SectionLabel]


class SectionsMerged(OfKind):
    """A section and the one after it are one."""

    kind: Literal["sections_merged"] = "sections_merged"
    first: SectionAt
    second: SectionAt
    label: SectionLabel


# --- lyrics ----------------------------------------------------------------------------------------------------------------------------


class WordText(OfKind):
    """Another word; several, separated by spaces; or none, where it is empty."""

    kind: Literal["word_text"] = "word_text"
    word: WordAt
    text: Text


class WordTime(OfKind):
    """A word is sung at another time."""

    kind: Literal["word_time"] = "word_time"
    word: WordAt
    start: Time
    end: Time


class LineSplit(OfKind):
    """A line ends before a word, which begins the next."""

    kind: Literal["line_split"] = "line_split"
    word: WordAt


class LinesJoined(OfKind):
    """A word that began a line goes on with the line before."""

    kind: Literal["lines_joined"] = "lines_joined"
    word: WordAt


class LyricsShifted(OfKind):
    """All lyrics are later, or earlier where it is negative."""

    kind: Literal["lyrics_shifted"] = "lyrics_shifted"
    ms: Ms
    heard: tuple[WordAt, ...] = Field(default=(), max_length=24, description="Some of the words before, by which it is seen what is right.")


class LyricsGiven(OfKind):
    """What is sung, as the person has it. The lyrics step aligns it."""

    kind: Literal["lyrics_given"] = "lyrics_given"
    text: Annotated[str, Field(min_length=1, max_length=_LONGEST_LYRICS)]


# --- notes and names -------------------------------------------------------------------------------------------------------------------


class NotePitch(OfKind):
    """A note has another pitch."""

    kind: Literal["note_pitch"] = "note_pitch"
    note: NoteAt
    midi: Midi


class NoteTime(OfKind):
    """A note starts or ends elsewhere."""

    kind: Literal["note_time"] = "note_time"
    note: NoteAt
    start: Time
    end: Time


class TitleSet(OfKind):
    """What the song is called."""

    kind: Literal["title"] = "title"
    title: Annotated[str, Field(min_length=1, max_length=500)]


class ArtistSet(OfKind):
    """Who performs it."""

    kind: Literal["artist"] = "artist"
    artist: Annotated[str, Field(min_length=1, max_length=500)]


class Undo(OfKind):
    """An operation does not count; one that took something back no longer does."""

    kind: Literal["undo"] = "undo"
    operation: OperationId


GridChange = TempoHalved | TempoDoubled | DownbeatMoved | BeatsShifted | BeatsTapped | BeatsReplaced | MeterSet | KeySet
ChordChange = ChordReplaced | ChordSplit | ChordsMerged
SectionChange = SectionRelabelled | SectionMoved | SectionSplit | SectionsMerged
LyricsChange = WordText | WordTime | LineSplit | LinesJoined | LyricsShifted | LyricsGiven
NoteChange = NotePitch | NoteTime
Change = Annotated[
    GridChange | ChordChange | SectionChange | LyricsChange | NoteChange | TitleSet | ArtistSet | Undo, Field(discriminator="kind")
]
#: Fields that hold times of the decode, wherever they are.
TIME_FIELDS: Final = frozenset({"time", "start", "end", "at", "since", "downbeat", "times", "near"})


class Operation(Frozen):
    """One thing that a person put right."""

    id: OperationId = Field(description="Its own, wherever the log is copied to.")
    author: Annotated[str, Field(max_length=200)] = Field(description="Who.")
    time: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$", description="When (ISO 8601, UTC).")
    song: SongId = Field(description="Id of the song it was made on: of that decode its times are.")
    replaces: Text | None = Field(default=None, description="What was there, as it is shown; null where that is not known.")
    near: tuple[Time, ...] = Field(
        default=(),
        max_length=64,
        description="Some beats that were heard (s): by them another decode of the song is set beside this.",
    )
    change: Change


class Corrections(Frozen):
    """All that persons put right in a song, in order."""

    schema_version: Literal["1.0"] = CORRECTIONS_VERSION
    song: SongId = Field(description="The song it is kept for.")
    operations: tuple[Operation, ...] = Field(default=(), max_length=MOST_OPERATIONS)

    def to_json(self) -> str:
        """The document as it is written to disk."""
        return self.model_dump_json(indent=1, exclude_defaults=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Corrections:
        """Read a document. Raises pydantic.ValidationError."""
        return cls.model_validate_json(text)


#: Changes as they come from outside: a client, a file.
CHANGES: Final[TypeAdapter[tuple[Change, ...]]] = TypeAdapter(tuple[Change, ...])


class GridCorrections(Frozen):
    """What a step that reads beats or keys is given of the corrections. Who made them, and when, is no part of it."""

    song: SongId
    operations: tuple[GridOperation, ...]


class GridOperation(Frozen):
    """A change of the beats or the keys, with what it is placed by."""

    song: SongId
    near: tuple[Time, ...]
    change: Annotated[GridChange, Field(discriminator="kind")]
