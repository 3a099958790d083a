"""Running down a chain of engines."""

import pytest

from schemas.plan import EngineChoice, StepPlan
from tasks.common.errors import AudioSilent, EngineFailed, LanguageUnsupported, ModelUnavailable, OutOfMemory
from tasks.common.step import StepContext, run_chain


def plan(*engines: str, because: tuple[str, ...] = ()) -> StepPlan:
    return StepPlan(step="chords", chain=tuple(EngineChoice(engine=name) for name in engines), degraded_because=because)


def failing(error: Exception):
    def engine(choice: EngineChoice) -> str:
        raise error

    return engine


def test_the_first_engine_answers_and_the_report_is_ok(ctx: StepContext) -> None:
    answer, report = run_chain(plan("a", "b"), ctx, {"a": lambda choice: choice.engine, "b": failing(ValueError("unused"))})
    assert (answer, report.status, report.engine, report.degraded_because) == ("a", "ok", "a", ())


def test_a_failing_engine_gives_way_and_the_report_says_why(ctx: StepContext) -> None:
    answer, report = run_chain(plan("a", "b"), ctx, {"a": failing(ValueError("broken net")), "b": lambda choice: "fine"})
    assert (answer, report.status, report.engine) == ("fine", "degraded", "b")
    assert report.degraded_because == ("a: ValueError: broken net",)


def test_what_the_plan_lacks_makes_the_report_degraded(ctx: StepContext) -> None:
    _, report = run_chain(plan("b", because=("a: no weights",)), ctx, {"b": lambda choice: 1})
    assert (report.status, report.degraded_because) == ("degraded", ("a: no weights",))


def test_warnings_are_kept_once(ctx: StepContext) -> None:
    def engine(choice: EngineChoice) -> int:
        ctx.warn("odd")
        ctx.warn("odd")
        return 1

    assert run_chain(plan("a"), ctx, {"a": engine})[1].warnings == ("odd",)


def test_bad_input_is_raised_at_once(ctx: StepContext) -> None:
    with pytest.raises(AudioSilent):
        run_chain(plan("a", "b"), ctx, {"a": failing(AudioSilent("x")), "b": lambda choice: 1})


def test_a_chosen_engine_that_fails_says_its_own_reason(ctx: StepContext) -> None:
    with pytest.raises(LanguageUnsupported):
        run_chain(plan("a"), ctx, {"a": failing(LanguageUnsupported("only English"))})


def test_running_out_of_memory_everywhere_is_its_own_error(ctx: StepContext) -> None:
    with pytest.raises(OutOfMemory, match="b: MemoryError"):
        run_chain(plan("a", "b"), ctx, {"a": failing(ValueError("x")), "b": failing(MemoryError("big"))})


def test_a_chain_of_failures_lists_them_all(ctx: StepContext) -> None:
    with pytest.raises(EngineFailed, match="a: ValueError: x; b: KeyError: 'y'"):
        run_chain(plan("a", "b"), ctx, {"a": failing(ValueError("x")), "b": failing(KeyError("y"))})


def test_an_empty_chain_says_what_is_missing(ctx: StepContext) -> None:
    with pytest.raises(ModelUnavailable, match="a: no weights"):
        run_chain(plan(because=("a: no weights",)), ctx, {})
