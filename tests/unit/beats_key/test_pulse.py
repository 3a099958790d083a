"""Which pulse is the beat."""

from __future__ import annotations

import numpy as np
import pytest
from songs_of_beats import chord_a_bar, song

from tasks.beats_key import pulse

LOOP = ("C:maj", "A:min", "F:maj", "G:maj")


def test_the_candidates_are_the_pulses_beside_the_one_that_was_found_within_the_range() -> None:
    times = 0.5 * np.arange(1, 81)
    found = {(one.kind, round(one.bpm)) for one in pulse.candidates(times, 40, 250)}
    assert {
        ("found", 120),
        ("half", 60),
        ("double", 240),
        ("off-beat", 120),
        ("third", 40),
        ("two thirds", 80),
        ("three halves", 180),
    } == found
    assert {one.kind for one in pulse.candidates(times, 100, 130)} == {"found", "off-beat"}
    assert {one.kind for one in pulse.candidates(times, 200, 210)} == {"found"}  # what was found stays, whatever the range


def test_a_clear_pulse_with_backbeats_is_the_beat() -> None:
    times = 0.5 + 0.5 * np.arange(80)
    evidence = song(times, times[::4], 41.0, chord_a_bar(times[::4], LOOP, 41.0), kick=times[::2], snare=times[1::2])
    weighed = pulse.weigh(times, evidence, 40, 240)
    assert weighed[0].kind == "found"
    assert weighed[0].probability > 0.6
    assert sum(one.probability for one in weighed) == pytest.approx(1.0)


def test_eighths_of_a_ballad_are_not_the_beat() -> None:
    eighths = 0.5 + 0.5 * np.arange(96)
    beats = eighths[::2]  # sixty a minute
    evidence = song(beats, beats[::4], 49.0, chord_a_bar(beats[::4], LOOP, 49.0), kick=beats[::2], snare=beats[1::2])
    best = pulse.weigh(eighths, evidence, 40, 240)[0]
    assert best.kind == "half"
    np.testing.assert_allclose(best.times, beats)
    assert pulse.weigh(eighths, evidence, 100, 240)[0].kind == "found"  # a range that leaves the ballad's tempo out


def test_a_few_beats_are_taken_as_they_are() -> None:
    times = 0.5 * np.arange(1, 10)
    assert [(one.kind, one.probability) for one in pulse.weigh(times, song(times, times[::4], 6.0), 40, 240)] == [("found", 1.0)]


BEATS = np.arange(0.5, 39.5, 0.5)
WAVERING = np.concatenate([BEATS[BEATS < 12], np.arange(12.25, 25, 0.5), BEATS[BEATS > 26]])
"""The second third is on the off-beats."""


@pytest.mark.parametrize("late", [0.0, 0.25])
def test_a_tracker_that_wavers_is_held_on_the_pulse_with_the_kick(late: float) -> None:
    wanted = BEATS + late
    both = np.sort(np.concatenate([BEATS, BEATS + 0.25]))
    found = pulse.held(WAVERING, song(both, both[:0], 41.0, kick=wanted))
    inner = wanted[(wanted > 1) & (wanted < 38)]
    assert np.abs(found[:, None] - inner).min(axis=0).max() < 0.03
    assert np.allclose(np.diff(found), 0.5, atol=0.03)


def test_a_steady_pulse_is_left_as_it_is() -> None:
    both = np.sort(np.concatenate([BEATS, BEATS + 0.25]))
    assert pulse.held(BEATS, song(both, both[:0], 41.0, kick=BEATS + 0.25)) is BEATS


def test_beats_that_one_pulse_would_miss_are_left_as_they_are() -> None:
    only_these = song(WAVERING, WAVERING[:0], 41.0, kick=BEATS)
    assert pulse.held(WAVERING, only_these) is WAVERING


def test_a_song_that_changes_its_tempo_does_not_waver() -> None:
    gliding = np.cumsum(np.concatenate([np.full(20, 0.5), np.linspace(0.5, 0.7, 20), np.full(20, 0.7)]))
    assert pulse.wavering(gliding, float(np.median(np.diff(gliding)))) is None
