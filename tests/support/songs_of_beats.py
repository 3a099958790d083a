"""Evidence as a song of our making would give it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.beats_key.evidence import BANDS, Evidence, Harmony, HeardChords
from tasks.common.spectra import FPS

CHROMA_FPS = 20.0
Times = npt.NDArray[np.float64]


def bumps(times: npt.ArrayLike, height: float, duration: float) -> npt.NDArray[np.float64]:
    """(frames,) `height` at each time, and a little around it."""
    found = np.full(round(duration * FPS), 0.002)
    for frame in np.round(np.asarray(times, float) * FPS).astype(int):
        for away, share in ((0, 1.0), (-1, 0.4), (1, 0.4)):
            if 0 <= frame + away < len(found):
                found[frame + away] = max(found[frame + away], share * height)
    return found


def song(
    beats: Times,
    downbeats: Times,
    duration: float,
    chords: Sequence[tuple[float, float, str]] = (),
    kick: Times | None = None,
    snare: Times | None = None,
    sure: float = 0.5,
) -> Evidence:
    """A song whose networks hear these beats and, with `sure`, these downbeats; whose chroma is that of its chords."""
    down = bumps(downbeats, sure, duration)
    beat = np.maximum(bumps(beats, 0.8, duration) - down, 0.002)
    heard = HeardChords.of_labels(list(chords))
    frames = round(duration * CHROMA_FPS)
    chroma = np.full((12, frames), 0.01)
    bass = np.full((12, frames), 0.01)
    for start, end, root, kind in zip(heard.starts, heard.ends, heard.roots, heard.kinds, strict=True):
        part = slice(round(start * CHROMA_FPS), round(end * CHROMA_FPS))
        if root >= 0:
            chroma[[root, (root + (3 if kind == 2 else 4)) % 12, (root + 7) % 12], part] += 1.0
            bass[root, part] += 1.0
    onsets = {name: np.zeros(round(duration * FPS)) for name in BANDS}
    onsets["kick"] = bumps(beats if kick is None else kick, 1.0, duration)
    onsets["snare"] = bumps([] if snare is None else snare, 1.0, duration)
    return Evidence(
        np.stack([beat, down], axis=1).astype(np.float32),
        {name: np.zeros(len(beat)) for name in BANDS},
        onsets,
        Harmony(chroma, bass, CHROMA_FPS),
        heard,
    )


def chord_a_bar(bars: Times, labels: Sequence[str], end: float) -> list[tuple[float, float, str]]:
    """A chord from each bar line to the next, in turn."""
    edges = [*map(float, bars), end]
    return [(start, stop, labels[i % len(labels)]) for i, (start, stop) in enumerate(itertools.pairwise(edges))]
