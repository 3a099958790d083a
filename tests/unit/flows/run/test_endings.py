"""How a run over one song ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.states import State

from flows.run.endings import refuse_if_strict, run_state
from schemas.options import AnalysisOptions
from schemas.song_map import SongMap
from tasks.common.errors import StrictRunFailed
from tasks.common.planning import make_plan

EXAMPLE = Path(__file__).parents[2] / "packager" / "golden" / "song_map.json"
STRICT = AnalysisOptions(strict=True)


def song_map(status: str = "ok", **steps: str) -> SongMap:
    """The example, with all steps well but those that are named."""
    example = SongMap.model_validate_json(EXAMPLE.read_text(encoding="utf-8"))
    said = {name: step.model_copy(update={"status": steps.get(name, "ok")}) for name, step in example.steps}
    return example.model_copy(update={"status": status, "steps": example.steps.model_copy(update=said)})


def test_a_whole_map_is_what_the_run_returns() -> None:
    whole = song_map(separation="cached")
    assert run_state(whole, AnalysisOptions()) is whole
    assert run_state(whole, STRICT) is whole


def test_a_partial_map_ends_in_a_state_that_says_so() -> None:
    state = run_state(song_map("partial", asr="failed"), AnalysisOptions())
    assert isinstance(state, State)
    assert (state.name, state.message, state.is_completed()) == ("Partial", "Without: asr failed", True)


@pytest.mark.parametrize("how", ["failed", "degraded", "skipped"])
def test_strict_takes_nothing_less_than_the_best(how: str) -> None:
    with pytest.raises(StrictRunFailed, match=f"asr {how}"):
        run_state(song_map(asr=how), STRICT)


def test_strict_fails_before_anything_heavy_where_the_plan_falls_back_already() -> None:
    plan = make_plan(STRICT)
    fallen = plan.model_copy(update={"asr": plan.asr.model_copy(update={"degraded_because": ("large-v3: not here",)})})
    with pytest.raises(StrictRunFailed, match="asr: large-v3: not here"):
        refuse_if_strict(fallen, STRICT)
    refuse_if_strict(fallen, AnalysisOptions())
