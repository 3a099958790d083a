"""How a folder's run ends."""

from __future__ import annotations

import pytest
from prefect.states import State

from flows.folder_analysis.batch_run import end_state
from schemas.batch import BatchSummary
from tasks.common.errors import AllSongsFailed


def summary(**counts: int) -> BatchSummary:
    return BatchSummary(folder="/in", output_dir="/out", manifest="/out/manifest.json", songs=3, at_once=1, memory_budget_gib=1, **counts)


def test_a_folder_without_a_failure_is_its_summary() -> None:
    good = summary(done=2, cached=1)
    assert end_state(good) is good


@pytest.mark.parametrize("counts", [{"done": 2, "failed": 1}, {"done": 2, "partial": 1}])
def test_a_song_that_lacks_something_makes_the_folder_partial(counts: dict[str, int]) -> None:
    state = end_state(summary(**counts))
    assert isinstance(state, State)
    assert (state.name, state.is_completed()) == ("Partial", True)


def test_a_folder_of_failures_fails() -> None:
    with pytest.raises(AllSongsFailed, match=r"/out/manifest\.json says why"):
        end_state(summary(failed=3))
