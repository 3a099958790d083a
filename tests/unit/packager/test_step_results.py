"""The status of a step, from what it ended with."""

from __future__ import annotations

from typing import Any

from schemas.steps import StepName
from tasks.common.errors import ModelUnavailable
from tasks.packager.step_results import ResultOrError, classify, describe, statuses_of


def test_a_result_of_this_run_is_ok_and_carries_its_report(results: dict[StepName, ResultOrError], run_id: str) -> None:
    status = classify(results["separation"], run_id)
    assert (status.status, status.cached, status.engine, status.device, status.seconds) == (
        "ok",
        False,
        "separation-engine",
        "cuda:0",
        1.25,
    )
    assert status.models[0].licence == "MIT"
    assert status.code is None


def test_a_result_of_another_run_is_cached(results: dict[StepName, ResultOrError], run_id: str) -> None:
    assert (classify(results["chords"], run_id).status, classify(results["chords"], run_id).cached) == ("cached", True)


def test_a_degraded_result_of_another_run_stays_degraded(results: dict[StepName, ResultOrError]) -> None:
    status = classify(results["beats_key"], "another run")
    assert (status.status, status.cached, status.reasons) == ("degraded", True, ("madmom is not installed",))


def test_a_named_error_gives_its_code_and_text() -> None:
    error = ModelUnavailable("No engine can run")
    status = classify(error, "")
    assert (status.status, status.code, status.reasons, status.engine) == ("failed", "MODEL_UNAVAILABLE", (str(error),), None)


def test_errors_of_others_give_their_kind_and_a_code_of_ours() -> None:
    assert (classify(KeyError("x"), "").code, classify(KeyError("x"), "").reasons) == ("PERFORMIA_ERROR", ("KeyError: 'x'",))
    assert classify(MemoryError(), "").code == "OUT_OF_MEMORY"


def test_the_text_of_an_error_is_one_line_of_whole_characters_and_not_endless() -> None:
    assert describe(ValueError("two\n  lines\udce9")) == "ValueError: two lines\ufffd"
    assert len(describe(ValueError("x" * 100_000))) < 2100


def test_a_step_that_never_ran_names_what_it_lacked(results: dict[StepName, ResultOrError], run_id: str) -> None:
    changed: dict[StepName, Any] = results | {"separation": RuntimeError("boom"), "melody": None, "asr": None}
    steps = statuses_of(changed, run_id)
    assert steps.melody.reasons == ("It needs the result of: separation",)
    assert steps.asr.reasons == ("It did not run",)
    assert [name for name, step in steps if step.status in ("failed", "skipped")] == ["separation", "asr", "melody"]
