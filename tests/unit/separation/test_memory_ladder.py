import pytest
import torch

from tasks.separation.memory_ladder import Attempt, climb_down, ladder


def test_the_ladder_goes_to_half_the_segment_and_then_to_the_cpu():
    assert ladder("cuda", 8.0) == [Attempt("cuda", 8.0), Attempt("cuda", 4.0), Attempt("cpu", 8.0), Attempt("cpu", 4.0)]
    assert ladder("cpu", 8.0) == [Attempt("cpu", 8.0), Attempt("cpu", 4.0)]


def test_segments_are_not_halved_below_what_makes_sense():
    assert ladder("cpu", 3.0) == [Attempt("cpu", 3.0), Attempt("cpu", 2.0)]
    assert ladder("cpu", 0.75) == [Attempt("cpu", 0.75)]


@pytest.fixture
def memory():
    """Something to run that needs more memory than the first `fails` attempts have."""

    def make(fails, error=torch.OutOfMemoryError):
        tried = []

        def run(attempt):
            tried.append(attempt)
            if len(tried) <= fails:
                raise error("CUDA out of memory")

        return run, tried

    return make


def test_the_first_attempt_with_enough_memory_is_used_and_every_retreat_is_told(memory):
    run, tried = memory(fails=2)
    warnings = []
    assert climb_down(ladder("cuda", 8.0), run, warnings.append) == Attempt("cpu", 8.0)
    assert len(tried) == 3
    assert warnings == [
        "Separation ran out of memory on cuda with segments of 8 s; tried again on cuda with segments of 4 s",
        "Separation ran out of memory on cuda with segments of 4 s; tried again on cpu with segments of 8 s",
    ]


def test_enough_memory_at_once_is_nothing_to_tell(memory):
    run, tried = memory(fails=0)
    warnings = []
    climb_down(ladder("cpu", 8.0), run, warnings.append)
    assert (len(tried), warnings) == (1, [])


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_the_last_rungs_error_is_raised(memory, error):
    run, tried = memory(fails=99, error=error)
    with pytest.raises(error):
        climb_down(ladder("cpu", 8.0), run, lambda _: None)
    assert len(tried) == 2


def test_another_error_is_not_tried_again(memory):
    run, tried = memory(fails=99, error=lambda _: ValueError("shapes do not match"))
    with pytest.raises(ValueError, match="shapes"):
        climb_down(ladder("cuda", 8.0), run, lambda _: None)
    assert len(tried) == 1
