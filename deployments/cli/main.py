"""The `performia` command. Prefect and the models are imported by the commands that need them, so that `--help` answers at once."""

from __future__ import annotations

import gc
import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli.api import app as api_app
from deployments.cli.options import (
    AtOnceOption,
    BassRange,
    DamagedOption,
    EngineOption,
    LanguageOption,
    LyricsOption,
    MaxBpm,
    MelodyRange,
    MinBpm,
    QualityOption,
    StemsFormatOption,
    StemsOption,
    StrictOption,
    TrackOption,
    analysis_options,
)
from deployments.terminal import print_json, shown
from schemas.options import Quality
from schemas.sound_format import USUAL_FORMAT, SoundFormat
from schemas.steps import WITH_ENGINES
from tasks.common.errors import EngineUnknown, ExportFormatUnknown, OptionInvalid, PerformiaError
from tasks.evaluation.split import SPLITS
from tasks.ingest.lyrics_files import read_lyrics

app = typer.Typer(
    help="Performia listens to a song and writes down everything a musician needs to perform it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models_app = typer.Typer(help="The models: which there are, where they come from, under which licence.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(api_app, name="api")


@app.command()
def analyze(
    songs: Annotated[list[Path], typer.Argument(metavar="SONG...", help="Audio files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets one folder a song.")] = Path("performia-out"),
    quality: QualityOption = Quality.balanced,
    language: LanguageOption = None,
    lyrics: LyricsOption = None,
    strict: StrictOption = False,
    engine: EngineOption = None,
    stems: StemsOption = True,
    stems_format: StemsFormatOption = USUAL_FORMAT,
    min_bpm: MinBpm = None,
    max_bpm: MaxBpm = None,
    melody_range: MelodyRange = None,
    bass_range: BassRange = None,
    track: TrackOption = None,
    accept_damaged: DamagedOption = False,
    corrections: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What was put right in the song, beside what is kept with it: a corrections.json.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Let the service there do the work, such as http://nas:8000; its key in PERFORMIA_API_KEY."),
    ] = None,
    export_to: Annotated[
        list[str] | None, typer.Option("--export", metavar="FORMAT,...", help="Files beside each Song Map; `performia export --list`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and logs.")] = False,
) -> None:
    """Analyse songs: write a Song Map and the stems of each."""
    _set_up_logging(debug)
    if lyrics is not None and len(songs) != 1:
        raise OptionInvalid("--lyrics names one file, for one song", "Give the songs one by one, or put a .txt or .lrc file beside each")
    options = analysis_options(
        quality=quality,
        language=language,
        lyrics=read_lyrics(lyrics) if lyrics is not None else None,
        strict=strict,
        engine=engine,
        stems=stems,
        stems_format=stems_format,
        min_bpm=min_bpm,
        max_bpm=max_bpm,
        melody_range=melody_range,
        bass_range=bass_range,
        track=track,
        accept_damaged=accept_damaged,
    )
    given = None
    if corrections is not None:
        if len(songs) > 1:
            raise OptionInvalid("--corrections are those of one song", "Give one song; what is kept with the others is applied without it")
        from tasks.corrections.kept import read_file

        given = read_file(corrections)
    request = None
    if export_to:
        from deployments.cli.export import requested
        from tasks.export.options import ExportOptions

        request = requested(export_to, ExportOptions(), None, False)
    if server is not None:
        from deployments.api.client import Client
        from deployments.cli.analyze_at_server import analyze_at_server

        with Client(server) as client:
            raise typer.Exit(
                analyze_at_server(client, songs, output, options, as_json=as_json, debug=debug, corrections=given, export=request)
            )
    from deployments.cli.analyze import analyze_songs

    ended = analyze_songs(songs, output, options, as_json=as_json, debug=debug, corrections=given, export=request)
    raise typer.Exit(ended)


@app.command("analyze-folder")
def analyze_folder(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with songs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Gets the songs' folders, in folders like those of DIR.")] = Path(
        "performia-out"
    ),
    quality: QualityOption = Quality.balanced,
    language: LanguageOption = None,
    strict: StrictOption = False,
    engine: EngineOption = None,
    stems: StemsOption = True,
    stems_format: StemsFormatOption = USUAL_FORMAT,
    min_bpm: MinBpm = None,
    max_bpm: MaxBpm = None,
    melody_range: MelodyRange = None,
    bass_range: BassRange = None,
    track: TrackOption = None,
    accept_damaged: DamagedOption = False,
    at_once: AtOnceOption = None,
    memory: Annotated[float | None, typer.Option(min=0.1, metavar="GIB", help="Memory that the songs may take together.")] = None,
    pattern: Annotated[list[str] | None, typer.Option(help="Names of the files to take, such as *.flac. May be repeated.")] = None,
    recursive: Annotated[bool, typer.Option(help="Also take the songs in the folders below.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and logs.")] = False,
) -> None:
    """Analyse every song of a folder in one process. Started again, it goes on where it was stopped."""
    _set_up_logging(debug)
    options = analysis_options(
        quality=quality,
        language=language,
        strict=strict,
        engine=engine,
        stems=stems,
        stems_format=stems_format,
        min_bpm=min_bpm,
        max_bpm=max_bpm,
        melody_range=melody_range,
        bass_range=bass_range,
        track=track,
        accept_damaged=accept_damaged,
    )
    from deployments.cli.analyze_folder import analyze_folder_command
    from flows.folder_analysis.request import BatchRequest

    request = BatchRequest(folder, options, output.absolute(), at_once, memory, tuple(pattern or ()), recursive)
    raise typer.Exit(analyze_folder_command(request, as_json=as_json, debug=debug))


@app.command()
def export(
    songs: Annotated[list[Path] | None, typer.Argument(metavar="SONG...", help="Songs' folders, or files with a Song Map.")] = None,
    to: Annotated[list[str] | None, typer.Option("--to", metavar="FORMAT,...", help="The formats, or all; --list shows them.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder that gets the files. Default: that of the Song Map.")
    ] = None,
    transpose: Annotated[int | None, typer.Option(metavar="N", help="Chords, keys and notes N semitones higher, or lower.")] = None,
    capo: Annotated[
        int | None, typer.Option(metavar="FRET", help="Chord sheets show the shapes with a capo there; the sound is the same.")
    ] = None,
    lead: Annotated[float | None, typer.Option(metavar="SEC", help="How long before it is sung a line is shown. Default: 0.3.")] = None,
    quantised: Annotated[bool, typer.Option("--quantised", help="Notes on the grid of the beats, where a format has both.")] = False,
    sound_format: Annotated[
        str | None,
        typer.Option(
            "--sound-format", "--stems-format", metavar="FORMAT", help=f"Of sound: {', '.join(SoundFormat)}. Default: {USUAL_FORMAT}."
        ),
    ] = None,
    count_in: Annotated[int | None, typer.Option(metavar="BARS", help="Bars of count-in before a click track. Default: 1.")] = None,
    tones: Annotated[
        float | None, typer.Option(metavar="DB", help="How loud a sonification's tones are against the song. Default: 0.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that were changed by hand, or are others.")] = False,
    list_formats: Annotated[bool, typer.Option("--list", help="Show the formats, and what opens them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write songs as files for other programs: lyrics, subtitles, chord sheets and more."""
    from deployments.cli import export as command
    from tasks.export.options import export_options

    if list_formats:
        command.list_formats(as_json)
        return
    if not songs:
        raise OptionInvalid("No song was given", "Give a song's folder, or the song_map.json in it")
    options = export_options(
        transpose=transpose,
        capo=capo,
        lead_sec=lead,
        quantised=quantised,
        sound_format=sound_format,
        count_in_bars=count_in,
        tones_db=tones,
    )
    request = command.requested(to or (), options, output, force)
    raise typer.Exit(command.export_songs(songs, request, as_json))


@app.command()
def serve(
    inbox: Annotated[Path | None, typer.Option(help="The watched folder.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder that gets one folder a song; it mirrors the inbox.")] = None,
    root: Annotated[list[Path] | None, typer.Option(help="A further folder that runs may read songs from. May be repeated.")] = None,
    at_once: Annotated[int | None, typer.Option(min=1, help="How many songs are analysed at once.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's API and UI, on loopback.")] = 4200,
    api_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the HTTP API, on loopback; 0: none. Default: PERFORMIA_API_PORT.")
    ] = None,
) -> None:
    """Run as a service: songs dropped into the inbox become Song Maps; everything shows in the Prefect UI."""
    from deployments.api.process import refuse_open_door
    from deployments.server.serve import ServeOptions
    from deployments.server.serve import serve as serve_all
    from tasks.common.settings import get_settings

    if api_port or (api_port is None and get_settings().api_port):
        refuse_open_door(get_settings().api_host)
    raise typer.Exit(serve_all(ServeOptions(inbox, output, tuple(root or ()), at_once, port, api_port)))


@app.command()
def setup(
    limit: Annotated[list[str] | None, typer.Option(metavar="NAME=SLOTS", help="Slots of a limit, such as gpu=2.")] = None,
) -> None:
    """Make what a Prefect server lacks: limits, the work pool, the automation against dead runs, storage blocks."""
    from deployments.cli.setup import setup as set_up

    raise typer.Exit(set_up(limit or []))


@app.command()
def prune(
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0, max=36500, metavar="DAYS", help="Days since the last use. Default: PERFORMIA_RETENTION_DAYS."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing; list what would go, and how many bytes.")] = False,
    outputs: Annotated[
        list[Path] | None,
        typer.Option("--outputs", metavar="DIR", help="A further folder with Song Maps that are kept. May be repeated."),
    ] = None,
    keep_all_audio: Annotated[bool, typer.Option("--keep-all-audio", help="Keep all audio that a kept Song Map names.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Delete run records, cached results, decoded songs and stems that nobody has used for some days."""
    from deployments.cli.prune import prune_now

    _set_up_logging(False)
    raise typer.Exit(prune_now(older_than, dry_run, outputs or [], keep_all_audio, sure=yes, as_json=as_json))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check the installation: packages, models, disk, device, folders, the Prefect server; and say what to do."""
    from deployments.cli.doctor import doctor as examine

    _set_up_logging(False)
    raise typer.Exit(examine(as_json))


@app.command()
def evaluate(
    data: Annotated[Path | None, typer.Option(help="Folder with annotated songs. Default: PERFORMIA_EVALUATION_DATA.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.")] = Path("performia-evaluation"),
    steps: Annotated[str, typer.Option(metavar="STEP,...", help="Only these steps.")] = "",
    songs: Annotated[str, typer.Option(metavar="NAME,...", help="Only songs with one of these in data set/name.")] = "",
    split: Annotated[str, typer.Option(metavar="choose|check", help="Only the songs that constants may be chosen on, or the others.")] = "",
    every: Annotated[int, typer.Option(metavar="N", min=1, help="Of the large data sets every Nth song.")] = 1,
    engine: EngineOption = None,
    quality: QualityOption = Quality.balanced,
    at_once: AtOnceOption = None,
    baselines: Annotated[bool, typer.Option(help="Also score off-the-shelf parts.")] = True,
    against: Annotated[Path | None, typer.Option(metavar="RESULTS.json", help="An earlier run to compare with.")] = None,
) -> None:
    """Score the steps on annotated songs. Exit code 1 if something is worse than before, beyond noise."""
    _set_up_logging(False)
    options = analysis_options(quality=quality, engine=engine, stems=False)
    try:
        from deployments.cli.evaluate import EvaluateOptions
        from deployments.cli.evaluate import evaluate as score
    except ModuleNotFoundError as missing:
        raise OptionInvalid(f"The package {missing.name} is not installed", "Run `pip install 'performia[evaluation]'`") from missing

    wanted = tuple(name.strip() for name in steps.split(",") if name.strip())
    if unknown := [name for name in wanted if name not in WITH_ENGINES]:
        raise OptionInvalid(f"No step is called {', '.join(unknown)}", f"Choose of: {', '.join(WITH_ENGINES)}")
    chosen = tuple(step for step in WITH_ENGINES if not wanted or step in wanted)
    names = tuple(name.strip() for name in songs.split(",") if name.strip())
    if split and split not in SPLITS:
        raise OptionInvalid(f"No split is called {split}", f"Choose of: {', '.join(SPLITS)}")
    half = next((name for name in SPLITS if name == split), None)
    raise typer.Exit(score(EvaluateOptions(output, data, chosen, names, half, every, at_once, baselines, against), options))


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="SONG_MAP...", help="Song Maps to check.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Check Song Maps against the schema and its semantics. All problems are listed; exit code 1 if there is any."""
    from tasks.ingest.file_names import as_text
    from tasks.packager.validation import validate_file

    found = {as_text(file): validate_file(file) for file in files}
    if as_json:
        print_json({name: [vars_of(problem) for problem in problems] for name, problems in found.items()})
    else:
        for name, problems in found.items():
            typer.echo(f"{shown(name)}: {'valid' if not problems else f'{len(problems)} problems'}")
            for problem in problems:
                typer.echo(f"  {shown(problem.json_path)}: {shown(problem.message)}")
    raise typer.Exit(1 if any(found.values()) else 0)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def correct(context: typer.Context) -> None:
    """Put right what was heard wrong: `performia correct --help` says how."""
    from deployments.cli.correct import run

    run(context.args, context.command_path)


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="A song's folder, or a Song Map.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another, such as the machine_map.json beside a corrected one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
) -> None:
    """Show in what two Song Maps differ. Exit code 1 if they do."""
    from deployments.cli.diff import diff_maps

    raise typer.Exit(diff_maps(first, second, as_json))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the Song Map."""
    from schemas.song_map import load_schema

    typer.echo(json.dumps(load_schema(), indent=2, ensure_ascii=False))


@models_app.command("list")
def models_list(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Every model: the step it serves, its size, its licence, and whether it is here."""
    from deployments.cli.models import list_models

    list_models(as_json)


@models_app.command("fetch")
def models_fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL...]", help="Models to download.")] = None,
    quality: Annotated[Quality, typer.Option(help="Without names: fetch what this quality uses.")] = Quality.balanced,
) -> None:
    """Download models, resuming what was begun, and check them."""
    from deployments.cli.models import fetch_models

    raise typer.Exit(fetch_models(names or [], quality))


@models_app.command("verify")
def models_verify(names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL...]")] = None) -> None:
    """Hash the files of the models that are here and compare. Exit code 1 if one is damaged."""
    from deployments.cli.models import verify_models

    raise typer.Exit(verify_models(names or []))


@models_app.command("where")
def models_where(names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL...]")] = None) -> None:
    """The folders of the models that are here."""
    from deployments.cli.models import locate_models

    raise typer.Exit(locate_models(names or []))


def vars_of(problem: Any) -> dict[str, str]:
    return {"path": problem.json_path, "message": problem.message, "code": problem.code}


def _set_up_logging(debug: bool) -> None:
    """Only what the command prints reaches the screen; with --debug, everything."""
    import warnings

    if debug:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    else:
        logging.getLogger().addHandler(logging.NullHandler())
        warnings.simplefilter("ignore")


def main() -> None:
    """Entry point: named errors are printed plainly."""
    try:
        app()
    except PerformiaError as error:
        typer.echo(shown(error), err=True)
        sys.exit(2 if isinstance(error, OptionInvalid | EngineUnknown | ExportFormatUnknown) else 1)
    finally:
        gc.freeze()  # no collection at the end: the system takes all memory at once; exit handlers still run


if __name__ == "__main__":
    main()
