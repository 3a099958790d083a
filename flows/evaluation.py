"""The steps of the analysis that a scoreboard asks for, and those whose results they read: the same tasks, from the same cache.

Unlike `analyze_song`, nothing is packaged, and steps that nobody asks for do not run.
"""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
from pathlib import Path
from typing import Any

from flows.run.endings import flow_run_name
from flows.run.hooks import LIFE
from flows.run.patience import patient_flow
from flows.song_analysis import STEP_TASKS, Submits, start_steps
from schemas.options import AnalysisOptions
from schemas.steps import StepName, with_inputs
from tasks.common.orchestration.step_task import result_or_error
from tasks.common.orchestration.task_runners import ChosenTaskRunner
from tasks.common.planning import make_plan
from tasks.ingest.checks import file_identity


class _LeftOut:
    """In the place of a step that nobody asks for."""

    def submit(self, *_: Any) -> None:
        return None


@patient_flow(name="evaluate-song", flow_run_name=flow_run_name, task_runner=ChosenTaskRunner(), **LIFE)
def evaluate_song(song: Path, steps: list[StepName], options: AnalysisOptions = AnalysisOptions()) -> dict[str, Any]:  # noqa: B008 (frozen)
    """Run some steps on a song. Returns, for each of them and for ingest and separation, its result or the error it ended with."""
    wanted = with_inputs([*steps, "separation"])
    asked: dict[StepName, Submits] = {name: task if name in wanted else _LeftOut() for name, task in STEP_TASKS.items()}
    found = start_steps(asked, make_plan(options), song, file_identity(song))
    return {name: result_or_error(found[name]) for name in wanted if name in (*steps, "ingest", "separation")}
