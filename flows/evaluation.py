"""The steps of the analysis that a scoreboard asks for, and those whose results they read: the same tasks, from the same cache.

Unlike `analyze_song`, nothing is packaged, and steps that nobody asks for do not run.
"""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

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

#: Steps that a step is scored with, though it does not read them: chords are scored as a Song Map has them, on its beats.
_SCORED_WITH: Final[Mapping[StepName, tuple[StepName, ...]]] = MappingProxyType({"chords": ("beats_key",)})


class _LeftOut:
    """In the place of a step that nobody asks for."""

    def submit(self, *_: Any) -> None:
        return None


@patient_flow(name="evaluate-song", flow_run_name=flow_run_name, task_runner=ChosenTaskRunner(), **LIFE)
def evaluate_song(song: Path, steps: list[StepName], options: AnalysisOptions = AnalysisOptions()) -> dict[str, Any]:  # noqa: B008 (frozen)
    """Run some steps on a song.

    Returns, for each of them, for those that it is scored with, and for ingest and separation, its result or the error it ended with.
    """
    shown: list[StepName] = ["ingest", "separation", *steps, *(other for step in steps for other in _SCORED_WITH.get(step, ()))]
    wanted = with_inputs(shown)
    asked: dict[StepName, Submits] = {name: task if name in wanted else _LeftOut() for name, task in STEP_TASKS.items()}
    found = start_steps(asked, make_plan(options), song, file_identity(song), options.reading)
    return {name: result_or_error(found[name]) for name in wanted if name in shown}
