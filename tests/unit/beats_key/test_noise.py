"""No beats in noise, and all of them in music that is faint or has no pitch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from songs_of_beats import CHROMA_FPS, chord_a_bar, song

from tasks.beats_key.evidence import Evidence, Harmony, HeardChords
from tasks.beats_key.noise import evenness, without_noise

BEATS = 0.5 + 0.5 * np.arange(60)
NOISE = (12.0, 20.0)


def applauded(*, heard: float = 0.1, pitched: bool = False, chord: bool = False) -> Evidence:
    """A song of half a minute with a stretch in the middle that may be noise. heard: activation at the beats there."""
    bars = BEATS[::4]
    found = song(BEATS, bars, 31.0, chord_a_bar(bars, ("C:maj", "A:min", "F:maj", "G:maj"), 31.0))
    inside = slice(round(NOISE[0] * 100), round(NOISE[1] * 100))
    activations = found.activations.copy()
    activations[inside] *= heard / activations[inside].sum(axis=1).max()
    chroma = found.harmony.chroma.copy()
    if not pitched:
        chroma[:, round(NOISE[0] * CHROMA_FPS) : round(NOISE[1] * CHROMA_FPS)] = 0.3
    label = "C:maj" if chord else "N"
    chords = HeardChords.of_labels([(0.0, NOISE[0], "C:maj"), (*NOISE, label), (NOISE[1], 31.0, "G:maj")])
    return replace(found, activations=activations, harmony=Harmony(chroma, found.harmony.bass, CHROMA_FPS), chords=chords)


def test_beats_in_noise_are_none() -> None:
    found = without_noise(BEATS, applauded())
    start, end = NOISE
    np.testing.assert_array_equal(found, [beat for beat in BEATS if not start <= beat < end])


def test_drums_that_follow_upon_applause_without_a_chord_keep_their_beats() -> None:
    evidence = applauded()
    drums = HeardChords.of_labels([(0.0, NOISE[0], "C:maj"), (NOISE[0], 31.0, "N")])
    found = without_noise(BEATS, replace(evidence, chords=drums))
    assert not [beat for beat in found if NOISE[0] + 1 <= beat < NOISE[1] - 1]
    assert {beat for beat in BEATS if not NOISE[0] <= beat <= NOISE[1] + 1} <= set(found)


@pytest.mark.parametrize("music", [{"heard": 0.6}, {"pitched": True}, {"chord": True}])
def test_drums_alone_and_faint_music_keep_theirs(music: dict[str, float]) -> None:
    np.testing.assert_array_equal(without_noise(BEATS, applauded(**music)), BEATS)  # type: ignore[arg-type]


def test_one_pitch_class_is_uneven_and_all_alike_are_even() -> None:
    alone, alike = np.zeros((12, 100)), np.ones((12, 100))
    alone[3] = 1.0
    assert evenness(Harmony(alone, alone, 20.0), 0.0, 4.0) == pytest.approx(0.0)
    assert evenness(Harmony(alike, alike, 20.0), 0.0, 4.0) == pytest.approx(1.0)
    assert evenness(Harmony(alike * 0, alike, 20.0), 0.0, 4.0) == 1.0
