"""Attacks of the bass under drums."""

from __future__ import annotations

import numpy as np

RATE = 44100


def kicks(seconds: float, every: float) -> np.ndarray:
    """A sweep from 120 to 45 Hz that dies away, with a click."""
    out = np.zeros(round(seconds * RATE))
    time = np.arange(round(0.2 * RATE)) / RATE
    hz = 45 + 75 * np.exp(-time / 0.03)
    kick = 0.5 * np.sin(2 * np.pi * np.cumsum(hz) / RATE) * np.exp(-time / 0.06)
    kick[:200] += 0.3 * np.random.default_rng(0).standard_normal(200)
    for start in np.arange(0.0, seconds - 0.25, every):
        out[round(start * RATE) :][: len(kick)] += kick
    return out


def test_a_note_held_under_kicks_is_one(track, play):
    line = play([33, 36, 31], note_sec=2.0, gap=0.02)
    drums = kicks(6.0, 0.25)
    part = track("bass", line + 0.3 * drums, mix=line + drums, drums=drums)
    assert [note.midi for note in part.notes] == [33, 36, 31]


def test_a_note_struck_again_with_every_kick_is_as_many(track, play):
    line = play([33] * 8, note_sec=0.5)
    drums = kicks(4.0, 0.5)
    part = track("bass", line + 0.3 * drums, mix=line + drums, drums=drums)
    assert [note.midi for note in part.notes] == [33] * 8
