"""`performia evaluate`: the pipeline's steps on annotated songs, scored, beside off-the-shelf parts, and compared with the last figures."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deployments.cli.console import print_error
from deployments.server.embedded_api import EmbeddedApi
from deployments.server.prefect_environment import quiet_prefect
from deployments.terminal import error_console
from schemas.options import AnalysisOptions
from schemas.steps import WITH_ENGINES, StepName
from tasks.common.errors import EvaluationDataNotFound, EvaluationDataUnusable, PerformiaError
from tasks.common.memory import MemoryBudget, base_bytes, default_at_once, default_budget_bytes, return_free_memory, song_bytes
from tasks.common.planning import make_plan
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import ArtifactStore, discard_unfinished
from tasks.common.storage.atomic import atomic_write
from tasks.evaluation.annotations import AnnotatedSong
from tasks.evaluation.datasets import load_songs
from tasks.evaluation.report import change_table, document, markdown, number, read
from tasks.evaluation.scoring import Scorer, SongScore
from tasks.evaluation.split import Split
from tasks.evaluation.summary import Change, Mean, changes, means

RESULTS_NAME = "results.json"
REPORT_NAME = "report.md"


@dataclass(frozen=True)
class EvaluateOptions:
    """data: folder of the data sets; None: the setting. split, every: as in load_songs. against: results of an earlier run; None: those
    that are overwritten."""

    output: Path
    data: Path | None = None
    steps: tuple[StepName, ...] = WITH_ENGINES
    songs: tuple[str, ...] = ()
    split: Split | None = None
    every: int = 1
    at_once: int | None = None
    with_baselines: bool = True
    against: Path | None = None


def evaluate(options: EvaluateOptions, analysis: AnalysisOptions) -> int:
    """Score the songs, write the report, and return the exit code: 1 where something was lost beyond noise or nothing could be scored."""
    console = error_console()
    quiet_prefect()
    settings = get_settings()
    try:
        data = options.data or settings.evaluation_data
        if data is None:
            raise EvaluationDataNotFound("No folder with annotated songs is named")
        rendered = settings.data_dir / "evaluation" / "audio"
        found = load_songs(data, rendered, options.songs, options.split, options.every)
        songs = [song for song in found if _scored(song, options)]
        before = read(options.against or options.output / RESULTS_NAME)
        with EmbeddedApi.of_settings():
            scores, unusable = _score_all(console, songs, options, analysis)
    except PerformiaError as error:
        print_error(console, error)
        return 1
    except KeyboardInterrupt:
        discard_unfinished()
        console.print("\nStopped. Finished steps are kept: the same command goes on from there.")
        os._exit(130)
    moved = changes(before, scores) if before is not None else None
    _write(options.output, document(scores, unusable), moved)
    _print(console, means(scores), unusable, moved, options.output)
    return 1 if not scores or any(change.is_loss for change in moved or ()) else 0


def _scored(song: AnnotatedSong, options: EvaluateOptions) -> bool:
    return any(step in options.steps for step in song.truth.steps)


def _score_all(
    console: Console, songs: Sequence[AnnotatedSong], options: EvaluateOptions, analysis: AnalysisOptions
) -> tuple[list[SongScore], dict[str, str]]:
    """The scores in the order of the songs, and why a song could not be had."""
    from flows.folder_analysis.song_pool import in_parallel

    settings = get_settings()
    plan = make_plan(analysis)
    whisper = next((model.name for model in plan.asr.expected.models), "") if plan.asr.expected else ""
    store = ArtifactStore(settings.artifacts_url, settings.scratch_dir)
    scorer = Scorer(store, settings.data_dir / "evaluation", whisper, with_baselines=options.with_baselines)
    unusable: dict[str, str] = {}
    scores: dict[str, SongScore] = {}

    def work(song: AnnotatedSong) -> tuple[AnnotatedSong, SongScore | None]:
        try:
            return song, _score(song, scorer, options, analysis)
        except EvaluationDataUnusable as error:
            unusable[song.id] = str(error)
            return song, None
        finally:
            return_free_memory()

    budget, base = default_budget_bytes(), base_bytes(plan)
    pool = MemoryBudget(budget - base, options.at_once or default_at_once(budget, base))
    bar = Progress(
        TextColumn("songs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"), console=console
    )
    with bar if console.is_terminal else nullcontext():
        total = bar.add_task("", total=len(songs))
        for song, score in in_parallel(songs, work, lambda _: song_bytes(None), pool, lambda: None):
            bar.update(total, advance=1, description=escape(song.id))
            if not console.is_terminal:
                console.print(f"{len(scores) + len(unusable) + (score is not None)} of {len(songs)}: {escape(song.id)}", soft_wrap=True)
            if score is not None:
                scores[song.id] = score
    return [scores[song.id] for song in songs if song.id in scores], unusable


def _score(song: AnnotatedSong, scorer: Scorer, options: EvaluateOptions, analysis: AnalysisOptions) -> SongScore:
    from flows.evaluation import evaluate_song

    steps = tuple(step for step in song.truth.steps if step in options.steps)
    results: dict[str, Any] = evaluate_song(song.audio(), list(steps), analysis)
    return scorer.score(song, steps, results)


def _write(folder: Path, found: dict[str, Any], moved: list[Change] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / RESULTS_NAME, (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))
    atomic_write(folder / REPORT_NAME, markdown(found, moved).encode("utf-8"))


def _print(console: Console, found: Sequence[Mean], unusable: dict[str, str], moved: list[Change] | None, folder: Path) -> None:
    table = Table("step", "data set", "split", "metric", "songs", "ours", "off the shelf", "goal")
    for mean in found:
        goal = mean.goal
        colour = "" if goal is None else "[green]" if goal.is_met(mean.ours) else "[yellow]"
        table.add_row(
            mean.step,
            mean.dataset,
            mean.split,
            mean.metric,
            str(mean.songs),
            colour + number(mean.ours),
            number(mean.baseline),
            number(goal.value) if goal else "",
        )
    Console().print(table)
    for song, reason in unusable.items():
        console.print(f"[yellow]left out[/] {escape(song)}: {escape(reason)}", soft_wrap=True)
    if moved:
        console.print("Since the last figures:\n" + escape(change_table(moved)), soft_wrap=True)
    console.print(f"Written: {escape(str(folder / REPORT_NAME))}, {escape(str(folder / RESULTS_NAME))}", soft_wrap=True)
