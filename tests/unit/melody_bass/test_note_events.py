"""Notes out of Basic Pitch's posteriors, as the package makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.melody_bass.note_events import note_events

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def posteriors():
    """Two saxophones, four seconds, as the network of the package hears them, in 255 steps: with as many ties as that makes."""
    with np.load(GOLDEN / "basic_pitch.npz") as kept:
        return tuple((kept[name] / 255).astype(np.float32) for name in ("note", "onset"))


@pytest.mark.parametrize(
    ("name", "options"),
    [("package", (0.5, 0.3, 11)), ("ours", (0.6, 0.3, 8)), ("range", (0.5, 0.3, 11, 60, 72))],
)
def test_the_notes_are_those_of_the_package(posteriors, golden, name, options):
    """The golden file is what `output_to_notes_polyphonic` of basic-pitch 0.4.0 returns."""
    found = [[*event[:3], round(event.strength, 6)] for event in note_events(*posteriors, *options)]
    assert [event[:3] for event in found] == [event[:3] for event in golden("basic_pitch")[name]]
    np.testing.assert_allclose([event[3] for event in found], [event[3] for event in golden("basic_pitch")[name]], atol=1e-5)


def test_silence_has_no_notes():
    assert note_events(np.zeros((100, 88), np.float32), np.zeros((100, 88), np.float32), 0.5, 0.3, 8) == []


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_the_shortest_posteriors_are_no_trouble(frames):
    ones = np.ones((frames, 88), np.float32)
    assert note_events(ones, ones, 0.5, 0.3, 8) == []
