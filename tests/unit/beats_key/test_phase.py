from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.beats_key import phase
from tasks.beats_key.beat_grid import BeatGrid
from tasks.beats_key.downbeat_cues import DownbeatCues, harmonic_change, harmonic_chroma, kick_onsets, strongest_near

SECONDS = 40
BEATS = np.arange(0.5, SECONDS - 0.5, 0.5)
#: A chord a bar: which pitch class sounds in each two seconds, from the first beat on.
CHROMA_FPS = 20.0


def grid(times: np.ndarray, first: int, length: int = 4) -> BeatGrid:
    """first: index of the beat that the tracker takes for the first of a bar."""
    positions = (np.arange(len(times)) - first) % length + 1
    return BeatGrid(times, positions, np.full(len(times), 0.8), np.full(len(times), length), 0.9)


def activations(times: np.ndarray, first: int, downbeat: float, beat: float = 0.6) -> np.ndarray:
    """Of a network that hears the beats, and downbeats on every fourth from `first` on."""
    heard = np.zeros((SECONDS * 100, 2), np.float32)
    frames = np.round(times * 100).astype(int)
    heard[frames, 0] = beat
    heard[frames[first::4], 0] -= downbeat
    heard[frames[first::4], 1] = downbeat
    return heard


def chords_from(first: float) -> np.ndarray:
    times = np.arange(SECONDS * CHROMA_FPS) / CHROMA_FPS
    chroma = np.zeros((12, len(times)))
    chroma[(np.floor((times - first) / 2.0).astype(int) * 5) % 12, np.arange(len(times))] = 1.0
    return chroma


def hits(times: np.ndarray) -> np.ndarray:
    kick = np.zeros(SECONDS * 100)
    kick[np.round(times * 100).astype(int)] = 1.0
    return kick


def first_of(found: BeatGrid) -> int:
    return int(np.flatnonzero(found.positions == 1)[0])


def test_bars_begin_where_the_harmony_changes_if_the_networks_are_unsure() -> None:
    cues = DownbeatCues(chords_from(BEATS[2]), CHROMA_FPS)
    found = phase.align_bars(grid(BEATS, 0), activations(BEATS, 0, downbeat=0.31), cues)
    assert first_of(found) == 2
    assert (found.times == BEATS).all()


def test_networks_that_are_sure_are_believed() -> None:
    faint = 0.02 * np.random.default_rng(0).random((12, int(SECONDS * CHROMA_FPS))) + 1.0  # harmony that does not change
    found = phase.align_bars(grid(BEATS, 1), activations(BEATS, 1, downbeat=0.59), DownbeatCues(faint, CHROMA_FPS))
    assert first_of(found) == 1


def test_what_the_networks_hear_in_the_drums_counts_too() -> None:
    still = DownbeatCues(np.ones((12, int(SECONDS * CHROMA_FPS))), CHROMA_FPS)
    mix = activations(BEATS, 0, downbeat=0.35)
    assert first_of(phase.align_bars(grid(BEATS, 0), mix, still)) == 0
    assert first_of(phase.align_bars(grid(BEATS, 0), mix, replace(still, drums=activations(BEATS, 3, downbeat=0.55)))) == 3


def test_short_songs_and_changing_meters_are_left_as_they_are() -> None:
    cues = DownbeatCues(chords_from(BEATS[2]), CHROMA_FPS)
    heard = activations(BEATS, 0, downbeat=0.31)
    short = grid(BEATS[:12], 0)
    assert phase.align_bars(short, heard, cues) is short
    mixed = grid(BEATS, 0)
    mixed.bar_lengths[40:] = 3
    assert phase.align_bars(mixed, heard, cues) is mixed
    assert phase.settle(BeatGrid.empty(), heard, cues, 40).times.size == 0


WAVERING = np.concatenate([BEATS[BEATS < 12], np.arange(12.25, 25, 0.5), BEATS[BEATS > 26]])
"""The second third is on the off-beats."""


def test_a_tracker_that_wavers_is_held_on_the_pulse_with_the_kick() -> None:
    for kick_on in (BEATS, BEATS + 0.25):
        cues = DownbeatCues(chords_from(0.5), CHROMA_FPS, kick=hits(kick_on[:-1]))
        found = phase.hold_pulse(grid(WAVERING, 0), activations(BEATS, 0, 0.3), cues)
        wanted = kick_on[(kick_on > 1) & (kick_on < SECONDS - 1.5)]
        assert np.abs(found.times[:, None] - wanted).min(axis=0).max() < 0.03
        assert np.allclose(np.diff(found.times), 0.5, atol=0.03)
        assert len(found.positions) == len(found.confidences) == len(found.bar_lengths) == len(found.times)


def test_a_steady_pulse_and_one_without_drums_are_left_as_they_are() -> None:
    heard = activations(BEATS, 0, 0.3)
    steady, wavering = grid(BEATS, 0), grid(WAVERING, 0)
    assert phase.hold_pulse(steady, heard, DownbeatCues(chords_from(0.5), CHROMA_FPS, kick=hits(BEATS + 0.25))) is steady
    assert phase.hold_pulse(wavering, heard, DownbeatCues(chords_from(0.5), CHROMA_FPS)) is wavering


def test_a_song_that_changes_its_tempo_does_not_waver() -> None:
    gliding = np.cumsum(np.concatenate([np.full(20, 0.5), np.linspace(0.5, 0.7, 20), np.full(20, 0.7)]))
    assert phase.wavering(gliding, float(np.median(np.diff(gliding)))) is None


def alternating(strong: float, weak: float) -> np.ndarray:
    """Activations of beats twice a second, the odd ones weak."""
    heard = activations(BEATS, 0, 0.0, strong)
    heard[np.round(BEATS[1::2] * 100).astype(int), 0] = weak
    return heard


def test_every_other_beat_that_the_networks_hardly_hear_is_none() -> None:
    found = phase.every_other(grid(BEATS, 0), alternating(0.6, 0.2), 40)
    np.testing.assert_array_equal(found.times, BEATS[::2])
    assert set(found.bar_lengths) == {4}
    assert len(found.positions) == len(found.confidences) == len(found.times)


def test_the_stronger_beats_are_kept_where_they_are_the_even_ones() -> None:
    found = phase.every_other(grid(BEATS[1:], 0), alternating(0.6, 0.2), 40)
    np.testing.assert_array_equal(found.times, BEATS[2::2])


def test_backbeats_that_are_somewhat_stronger_leave_the_tempo_alone() -> None:
    given = grid(BEATS, 0)
    assert phase.every_other(given, alternating(0.6, 0.4), 40) is given


def test_a_slow_song_is_not_made_slower() -> None:
    slow = grid(BEATS[::2], 0)
    assert phase.every_other(slow, alternating(0.6, 0.1), 40) is slow


def test_no_tempo_is_halved_to_below_the_slowest_there_may_be() -> None:
    given = grid(BEATS, 0)  # 120 bpm
    assert phase.every_other(given, alternating(0.6, 0.2), 61) is given
    np.testing.assert_array_equal(phase.every_other(given, alternating(0.6, 0.2), 60).times, BEATS[::2])


def test_harmonic_change_is_high_where_chords_change_and_nan_in_silence() -> None:
    chroma = chords_from(0.0)
    chroma[:, int(30 * CHROMA_FPS) :] = 0.0
    change = harmonic_change(DownbeatCues(chroma, CHROMA_FPS), np.array([2.0, 3.0, 35.0]), width=0.9)
    assert change[0] == pytest.approx(1.0)
    assert change[1] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(change[2])


def test_the_strongest_value_near_a_time() -> None:
    assert list(strongest_near(np.array([0.0, 0.0, 1.0, 0.0]), np.array([0.0, 0.05, 9.0]))) == [1.0, 1.0, 0.0]
    assert list(strongest_near(np.zeros(0), np.array([0.0]))) == [0.0]


def test_cues_are_read_from_files(tmp_path: Path) -> None:
    rate, time = 44100, np.arange(44100 * 35) / 44100
    tone = 0.3 * np.sin(2 * np.pi * np.where(time < 17.5, 220.0, 293.66) * time)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], axis=1), rate, subtype="FLOAT")
    chroma = harmonic_chroma([tmp_path / "tone.wav"])
    fps = chroma.shape[1] / 35
    assert chroma[:, int(5 * fps)].argmax() == 9  # A
    assert chroma[:, int(30 * fps)].argmax() == 2  # D
    clicks = np.zeros(len(time))
    for at in np.arange(1, 34):
        clicks[at * rate : at * rate + 2000] = np.sin(2 * np.pi * 60 * time[:2000])
    soundfile.write(tmp_path / "kick.wav", np.stack([clicks, clicks], axis=1), rate, subtype="FLOAT")
    kick = kick_onsets(tmp_path / "kick.wav")
    assert abs(len(kick) - 3500) < 12
    at_hits, between = strongest_near(kick, np.arange(1.0, 34.0)), strongest_near(kick, np.arange(1.5, 34.0))
    assert at_hits.min() > 10 * max(between.max(), 1e-3)


def test_a_file_shorter_than_a_window_has_no_onsets(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros((100, 2)), 44100, subtype="FLOAT")
    assert not kick_onsets(tmp_path / "short.wav").any()
    assert harmonic_chroma([tmp_path / "short.wav"]).shape[0] == 12
