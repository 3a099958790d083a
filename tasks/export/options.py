"""What a person chooses for an export. Every format takes the same options and reads those that concern it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from schemas.results import Frozen
from schemas.sound_format import USUAL_FORMAT, SoundFormat
from tasks.common.errors import OptionInvalid

#: An octave up or down; a capo higher than the eleventh fret has no strings left.
TRANSPOSE_BOUNDS: Final = (-12, 12)
CAPO_BOUNDS: Final = (0, 11)
LEAD_BOUNDS: Final = (0.0, 10.0)
COUNT_IN_BOUNDS: Final = (0, 8)
TONES_BOUNDS: Final = (-40.0, 40.0)


class ExportOptions(Frozen):
    """How a song is written."""

    transpose: Annotated[int, Field(ge=TRANSPOSE_BOUNDS[0], le=TRANSPOSE_BOUNDS[1])] = Field(
        default=0, description="Semitones by which chords, keys and notes are moved. The sound of stems and mixes is not."
    )
    capo: Annotated[int, Field(ge=CAPO_BOUNDS[0], le=CAPO_BOUNDS[1])] = Field(
        default=0, description="Fret of the capo: chord sheets show the shapes that are fingered with it. The sound stays the same."
    )
    lead_sec: Annotated[float, Field(ge=LEAD_BOUNDS[0], le=LEAD_BOUNDS[1], allow_inf_nan=False)] = Field(
        default=0.3, description="How long before it is sung a line is shown (s)."
    )
    quantised: bool = Field(default=False, description="Whether notes are set on the grid of the beats, or written as they were heard.")

    sound_format: SoundFormat = Field(
        default=USUAL_FORMAT,
        description="In which format stems, click tracks and sonifications are written: FLAC or WAV by bits, or lossy.",
    )
    count_in_bars: Annotated[int, Field(ge=COUNT_IN_BOUNDS[0], le=COUNT_IN_BOUNDS[1])] = Field(
        default=1, description="Bars of count-in before a click track's first beat."
    )
    tones_db: Annotated[float, Field(ge=TONES_BOUNDS[0], le=TONES_BOUNDS[1], allow_inf_nan=False)] = Field(
        default=0.0, description="How loud the tones of a sonification are against the song (dB, by their power)."
    )


def export_options(**chosen: Any) -> ExportOptions:
    """The options, of what a person chose; None stands for what was left out. Raises OptionInvalid."""
    try:
        return ExportOptions(**{name: value for name, value in chosen.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise OptionInvalid(f"{place}: {first['msg']}", "`performia export --help` shows what is allowed") from None
