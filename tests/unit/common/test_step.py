"""Running down a chain of engines."""

import pytest

from schemas.plan import EngineChoice, StepPlan
from tasks.common.errors import AudioSilent, EngineFailed, LanguageUnsupported, ModelUnavailable, OutOfMemory
from tasks.common.placement import Engine, Placement
from tasks.common.step import StepContext, run_chain


def plan(*engines: str, because: tuple[str, ...] = ()) -> StepPlan:
    return StepPlan(step="chords", chain=tuple(EngineChoice(engine=name) for name in engines), degraded_because=because)


def failing(error: Exception) -> Engine[[], str]:
    def run(choice: EngineChoice, at: Placement) -> str:
        raise error

    return Engine(run)


def answering(value: str = "fine") -> Engine[[], str]:
    return Engine(lambda choice, at: value)


def test_the_first_engine_answers_and_the_report_is_ok(ctx: StepContext) -> None:
    first = Engine(lambda choice, at: choice.engine)
    answer, report = run_chain(plan("a", "b"), ctx, {"a": first, "b": failing(ValueError("unused"))})
    assert (answer, report.status, report.engine, report.degraded_because) == ("a", "ok", "a", ())


def test_engines_get_what_the_step_gives_them(ctx: StepContext) -> None:
    engine = Engine(lambda choice, at, *inputs, **options: (at.device, inputs, options))
    assert run_chain(plan("a"), ctx, {"a": engine}, 1, 2, x=3)[0] == ("cpu", (1, 2), {"x": 3})


def test_a_failing_engine_gives_way_and_the_report_says_why(ctx: StepContext) -> None:
    answer, report = run_chain(plan("a", "b"), ctx, {"a": failing(ValueError("broken net")), "b": answering()})
    assert (answer, report.status, report.engine) == ("fine", "degraded", "b")
    assert report.degraded_because == ("a: ValueError: broken net",)
    assert (report.fallen_back, report.provisional) == (True, False)


def test_what_the_plan_lacks_makes_the_report_degraded(ctx: StepContext) -> None:
    _, report = run_chain(plan("b", because=("a: no weights",)), ctx, {"b": answering()})
    assert (report.status, report.degraded_because, report.fallen_back) == ("degraded", ("a: no weights",), False)


def test_warnings_are_kept_once(ctx: StepContext) -> None:
    def engine(choice: EngineChoice, at: Placement) -> int:
        ctx.warn("odd")
        ctx.warn("odd")
        return 1

    assert run_chain(plan("a"), ctx, {"a": Engine(engine)})[1].warnings == ("odd",)


def test_bad_input_is_raised_at_once(ctx: StepContext) -> None:
    with pytest.raises(AudioSilent):
        run_chain(plan("a", "b"), ctx, {"a": failing(AudioSilent("x")), "b": answering()})


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
