"""What a person chooses for a run. The models render as a form in the Prefect UI, and their values are part of the step cache's keys.

Tempi are beats a minute, pitches MIDI note numbers (C4 is 60). A range is (lowest, highest), both included.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field

from schemas.results import Frozen
from schemas.sound_format import USUAL_FORMAT, SoundFormat
from schemas.steps import Step

#: Where the beats and the notes are sought if nothing is chosen: E2 to E6, and B0 (the low string of a five-string bass) to C4.
TEMPO_RANGE: Final = (40.0, 240.0)
MELODY_RANGE: Final = (40, 88)
BASS_RANGE: Final = (23, 60)
#: What can be chosen at all. SwiftF0 hears up to C7, and in a bass, which is played to it an octave higher, up to C6.
TEMPO_BOUNDS: Final = (20.0, 400.0)
MELODY_BOUNDS: Final = (23, 96)
BASS_BOUNDS: Final = (23, 84)

#: The longest lyrics that are taken (characters): a rap album has fewer.
LONGEST_LYRICS: Final = 100_000

Bpm = Annotated[float, Field(ge=TEMPO_BOUNDS[0], le=TEMPO_BOUNDS[1])]
MelodyNote = Annotated[int, Field(ge=MELODY_BOUNDS[0], le=MELODY_BOUNDS[1])]
BassNote = Annotated[int, Field(ge=BASS_BOUNDS[0], le=BASS_BOUNDS[1])]


class Quality(StrEnum):
    """How much time to spend. What it means for each step is in `tasks.common.planning`."""

    fast = "fast"
    balanced = "balanced"
    best = "best"


class Reading(Frozen):
    """How a song's file is read. track: which of its audio tracks, from 1; None: see `tasks.ingest.tracks`."""

    track: Annotated[int, Field(ge=1)] | None = None
    accept_damaged: bool = False


class AnalysisOptions(Frozen):
    """How a song is analysed."""

    quality: Quality = Field(
        default=Quality.balanced,
        title="Quality",
        description="fast: small models; balanced: the usual choice; best: the largest models, several times slower.",
        json_schema_extra={"position": 1},
    )
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = Field(
        default=None,
        title="Language",
        description="Language of the lyrics as an ISO 639-1 code, such as en. Empty: detected.",
        json_schema_extra={"position": 2},
    )
    strict: bool = Field(
        default=False,
        title="Strict",
        description="Fail the run if any step failed or fell back to a lesser engine.",
        json_schema_extra={"position": 3},
    )
    engines: dict[Step, str] = Field(
        default_factory=dict,
        title="Engines",
        description="Engine to use for a step instead of the best there is, such as {'asr': 'faster-whisper:small'}. It has no fallback.",
        json_schema_extra={"position": 4},
    )
    stems: bool = Field(
        default=True,
        title="Write stems",
        description="Write the stems and the karaoke mix beside the Song Map.",
        json_schema_extra={"position": 5},
    )
    min_bpm: Bpm | None = Field(
        default=None,
        title="Slowest tempo",
        description="Beats a minute (20 to 400). A song that is slower is counted at twice its tempo. Empty: 40.",
        json_schema_extra={"position": 6},
    )
    max_bpm: Bpm | None = Field(
        default=None,
        title="Fastest tempo",
        description="Beats a minute (20 to 400). A song that is faster is counted at half its tempo. Empty: 240.",
        json_schema_extra={"position": 7},
    )
    melody_min_midi: MelodyNote | None = Field(
        default=None,
        title="Lowest note of the melody",
        description="MIDI note number (23 to 96; C4 is 60). Empty: 40, which is E2.",
        json_schema_extra={"position": 8},
    )
    melody_max_midi: MelodyNote | None = Field(
        default=None,
        title="Highest note of the melody",
        description="MIDI note number (23 to 96; C4 is 60). Empty: 88, which is E6.",
        json_schema_extra={"position": 9},
    )
    bass_min_midi: BassNote | None = Field(
        default=None,
        title="Lowest note of the bass",
        description="MIDI note number (23 to 84; C4 is 60). Empty: 23, which is B0.",
        json_schema_extra={"position": 10},
    )
    bass_max_midi: BassNote | None = Field(
        default=None,
        title="Highest note of the bass",
        description="MIDI note number (23 to 84; C4 is 60). Empty: 60, which is C4.",
        json_schema_extra={"position": 11},
    )
    track: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        title="Audio track",
        description="Which audio track of the file, from 1. Empty: the default one, else the first with music.",
        json_schema_extra={"position": 12},
    )
    accept_damaged: bool = Field(
        default=False,
        title="Accept damaged files",
        description="Analyse what there is of a file that is cut off or damaged. The Song Map carries a warning.",
        json_schema_extra={"position": 13},
    )
    lyrics: Annotated[str, Field(max_length=LONGEST_LYRICS)] | None = Field(
        default=None,
        title="Lyrics",
        description="The song's words, as text or LRC: they are then placed where they are sung. Empty: they are heard.",
        json_schema_extra={"position": 14},
    )
    stems_format: SoundFormat = Field(
        default=USUAL_FORMAT,
        title="Format of the stems",
        description="flac16: a fifth of the size of floats, with no difference to hear; flac24, wav16, wav24, wav-float: for further "
        "processing; mp3, opus: smaller, with losses.",
        json_schema_extra={"position": 15},
    )

    @property
    def given_lyrics(self) -> str | None:
        """The song's words as somebody wrote them; None where nobody did."""
        return self.lyrics if self.lyrics and self.lyrics.strip() else None

    @property
    def reading(self) -> Reading:
        """How the song's file is read."""
        return Reading(track=self.track, accept_damaged=self.accept_damaged)

    @property
    def tempo_range(self) -> tuple[float, float]:
        """The tempi in which beats are sought."""
        return _completed(self.min_bpm, self.max_bpm, TEMPO_RANGE)

    @property
    def melody_range(self) -> tuple[int, int]:
        """The pitches in which the melody is sought."""
        return _completed(self.melody_min_midi, self.melody_max_midi, MELODY_RANGE)

    @property
    def bass_range(self) -> tuple[int, int]:
        """The pitches in which the bass is sought."""
        return _completed(self.bass_min_midi, self.bass_max_midi, BASS_RANGE)

    def chosen_ranges(self) -> dict[str, tuple[float, float]]:
        """The ranges that differ from the usual ones, by name."""
        ranges = {
            "tempo_range": (self.tempo_range, TEMPO_RANGE),
            "melody_range": (self.melody_range, MELODY_RANGE),
            "bass_range": (self.bass_range, BASS_RANGE),
        }
        return {name: chosen for name, (chosen, usual) in ranges.items() if chosen != usual}

    def identity(self) -> dict[str, Any]:
        """All that decides a song's result: `chosen`, and the lyrics that were given."""
        return self.chosen() | ({"lyrics": self.given_lyrics} if self.given_lyrics is not None else {})

    def chosen(self) -> dict[str, Any]:
        """The options for a Song Map's JSON, without the lyrics.

        A range, the stems' format, or how the file is read, is there only where it is not as usual: old keys stay as they were.
        """
        sides = {"min_bpm", "max_bpm", "melody_min_midi", "melody_max_midi", "bass_min_midi", "bass_max_midi"}
        whole = self.model_dump(mode="json", exclude=sides | set(Reading.model_fields) | {"lyrics", "stems_format"})
        stems = {} if self.stems_format is USUAL_FORMAT else {"stems_format": self.stems_format.value}
        return whole | self.chosen_ranges() | stems | self.reading.model_dump(mode="json", exclude_defaults=True)


_T = TypeVar("_T", float, int)


def _completed(lowest: _T | None, highest: _T | None, usual: tuple[_T, _T]) -> tuple[_T, _T]:
    return usual[0] if lowest is None else lowest, usual[1] if highest is None else highest
