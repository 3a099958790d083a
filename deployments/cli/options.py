"""The options that commands share: how songs are analysed. One type an option, and what a person's words become."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.options import TEMPO_BOUNDS, AnalysisOptions, Quality
from schemas.sound_format import SoundFormat
from schemas.steps import Step
from tasks.common.errors import OptionInvalid

_Bpm = {"min": TEMPO_BOUNDS[0], "max": TEMPO_BOUNDS[1], "metavar": "BPM"}

QualityOption = Annotated[Quality, typer.Option(help="How much time to spend.")]
LanguageOption = Annotated[str | None, typer.Option(help="Language of the lyrics, such as en. Detected if not given.")]
LyricsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The song's words, as text or LRC: they are placed where they are sung. One song only."),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="A song fails if any step failed or fell back to a lesser engine.")]
EngineOption = Annotated[list[str] | None, typer.Option(metavar="STEP=NAME", help="Engine for a step, such as separation=spleeter.")]
StemsFormatOption = Annotated[SoundFormat, typer.Option(help="Format of the stems; mp3 and opus lose something.")]
StemsOption = Annotated[bool, typer.Option(help="Write the stems and the karaoke mix.")]
MinBpm = Annotated[float | None, typer.Option(help="Slowest tempo; a slower song is counted twice as fast. Default: 40.", **_Bpm)]
MaxBpm = Annotated[float | None, typer.Option(help="Fastest tempo; a faster song is counted half as fast. Default: 240.", **_Bpm)]
MelodyRange = Annotated[
    str | None, typer.Option(metavar="LOW-HIGH", help="Notes of the melody, as names or MIDI numbers, such as E2-C6. Default: E2-E6.")
]
BassRange = Annotated[str | None, typer.Option(metavar="LOW-HIGH", help="Notes of the bass, such as E1-G3. Default: B0-C4.")]
TrackOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Audio track of the file, from 1. Default: the default one, else the first with music."),
]
DamagedOption = Annotated[bool, typer.Option("--accept-damaged", help="Analyse what there is of files that are cut off or damaged.")]
AtOnceOption = Annotated[int | None, typer.Option(min=1, help="Songs at a time. Default: what the cores and the memory allow.")]


def analysis_options(*, engine: Sequence[str] | None = None, **chosen: Any) -> AnalysisOptions:
    """How songs are analysed, of what a person chose; the ranges of notes come as text. Raises OptionInvalid, EngineUnknown."""
    from pydantic import ValidationError

    from tasks.common.note_names import note_range
    from tasks.common.planning import refuse_empty_ranges

    for part in ("melody", "bass"):
        text = chosen.pop(f"{part}_range", None)
        if text is not None:
            chosen[f"{part}_min_midi"], chosen[f"{part}_max_midi"] = note_range(text)
    engines = engine_choices(engine or ())
    try:
        options = AnalysisOptions(engines=engines, **chosen)
    except ValidationError as error:
        first = error.errors()[0]
        raise OptionInvalid(f"{_flag(str(first['loc'][0]))}: {first['msg']}") from None
    refuse_empty_ranges(options)
    return options


def engine_choices(chosen: Sequence[str]) -> dict[Step, str]:
    """{step: engine} of texts like `separation=spleeter`. Raises OptionInvalid, EngineUnknown."""
    from tasks.common.planning import candidates

    engines: dict[Step, str] = {}
    for item in chosen:
        step, equals, name = item.partition("=")
        if not equals or not name or step not in Step.__members__:
            raise OptionInvalid(f"--engine {item}: not STEP=NAME", f"STEP is one of: {', '.join(Step)}")
        candidates(Step(step), Quality.balanced, name)
        engines[Step(step)] = name
    return engines


def _flag(field: str) -> str:
    """The command's option that sets a field of the options."""
    part, _, side = field.partition("_")
    return f"--{part}-range" if side in ("min_midi", "max_midi") else f"--{field.replace('_', '-')}"
