"""SwiftF0 and pYIN on tones of known pitch."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.common import models
from tasks.melody_bass import pyin_engine, swift_engine


@pytest.fixture
def swift_folder():
    return models.obtain("swift-f0")


def settled(track):
    return track.midi[15:45], track.confidence[15:45]


@pytest.mark.parametrize("midi", [45, 57.3, 69, 80])
@pytest.mark.parametrize("engine", ["swift", "pyin"])
def test_the_pitch_of_a_voice_is_found(play, swift_folder, engine, midi):
    signal = play([midi], note_sec=1.2, rate=16000).astype(np.float32)
    track = swift_engine.track_pitch(signal, swift_folder, 40, 88) if engine == "swift" else pyin_engine.track_pitch(signal, 40, 88)
    pitch, confidence = settled(track)
    np.testing.assert_allclose(pitch, midi, atol=0.25)
    assert confidence.min() > 0.5


@pytest.mark.parametrize("harmonics", [1, 8])
@pytest.mark.parametrize("midi", [23, 28, 33, 40, 55])
def test_swift_hears_the_lowest_bass_notes_at_double_speed(play, swift_folder, midi, harmonics):
    signal = play([midi], note_sec=1.2, harmonics=harmonics, rate=8000).astype(np.float32)
    pitch, confidence = settled(swift_engine.track_pitch(signal, swift_folder, 23, 60, octave_trick=True))
    np.testing.assert_allclose(pitch, midi, atol=0.25)
    assert np.median(confidence) > 0.8


@pytest.mark.parametrize("midi", [23, 28, 40])
def test_pyin_hears_the_lowest_bass_notes(play, midi):
    pitch, _ = settled(pyin_engine.track_pitch(play([midi], note_sec=1.2, rate=16000).astype(np.float32), 23, 60))
    np.testing.assert_allclose(pitch, midi, atol=0.25)


def test_frames_lie_on_one_grid_at_either_speed(play, swift_folder):
    plain = swift_engine.track_pitch(play([50, 57], rate=16000).astype(np.float32), swift_folder, 40, 88)
    double = swift_engine.track_pitch(play([50, 57], rate=8000).astype(np.float32), swift_folder, 40, 70, octave_trick=True)
    assert len(plain) == len(double) == 50
    change = [int(np.argmax(track.midi > 53.5)) for track in (plain, double)]
    assert abs(change[0] - change[1]) <= 3


@pytest.mark.parametrize("octave_trick", [False, True])
def test_swift_gives_the_same_in_blocks(play, swift_folder, monkeypatch, octave_trick):
    signal = play([45, 50, 52, 57, 55], rate=swift_engine.sample_rate(octave_trick)).astype(np.float32)
    whole = swift_engine.track_pitch(signal, swift_folder, 40, 70, octave_trick)
    monkeypatch.setattr(swift_engine, "_BLOCK_FRAMES", 40)
    parts = swift_engine.track_pitch(signal, swift_folder, 40, 70, octave_trick)
    np.testing.assert_allclose(parts.midi, whole.midi, atol=1e-3)
    np.testing.assert_allclose(parts.confidence, whole.confidence, atol=1e-3)


def test_swift_is_silent_in_silence(swift_folder):
    track = swift_engine.track_pitch(np.zeros(16000, np.float32), swift_folder, 40, 88)
    assert len(track) == 62
    assert track.confidence.max() == 0


@pytest.mark.parametrize("samples", [0, 100, 256, 700])
@pytest.mark.parametrize("octave_trick", [False, True])
def test_the_shortest_signals_have_a_track(swift_folder, samples, octave_trick):
    track = swift_engine.track_pitch(np.full(samples, 0.1, np.float32), swift_folder, 40, 70, octave_trick)
    assert len(track) >= samples // 256
    assert np.isfinite(track.confidence).all()


def test_progress_runs_to_the_end(play, swift_folder):
    seen: list[float] = []
    signal = play([57], rate=8000).astype(np.float32)
    swift_engine.track_pitch(signal, swift_folder, 23, 60, octave_trick=True, progress=lambda fraction, message="": seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
