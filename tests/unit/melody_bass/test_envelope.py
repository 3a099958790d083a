"""Levels, attacks, and what is loud enough to be a part."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.melody_bass import envelope


@pytest.mark.parametrize("attack", [envelope.VOICE_ATTACK, envelope.BASS_ATTACK])
def test_attacks_stand_where_notes_begin(play, attack):
    signal = play([48, 48, 50, 43], rate=16000).astype(np.float32)
    found = envelope.measure(signal, len(signal) // 256, attack)
    later = np.flatnonzero(found.onset[10:] > 0.6) + 10  # the first note begins with the signal
    np.testing.assert_allclose(later * 0.016, [0.4, 0.8, 1.2], atol=0.035)


def test_a_held_note_has_no_attack_within(play):
    signal = play([57], note_sec=3.0, rate=16000).astype(np.float32)
    onset = envelope.measure(signal, len(signal) // 256).onset
    assert onset[5:150].max() < 0.2


def test_a_filtered_bass_has_attacks_too(play):
    signal = play([33, 33, 33], harmonics=1, rate=16000).astype(np.float32)
    onset = envelope.measure(signal, len(signal) // 256, envelope.BASS_ATTACK).onset
    np.testing.assert_allclose(np.flatnonzero(onset > 0.6) * 0.016, [0.4, 0.8], atol=0.05)


def test_level_is_rms_in_dbfs():
    time = np.arange(16000) / 16000
    level = envelope.level((0.5 * np.sin(2 * np.pi * 500 * time)).astype(np.float32))
    np.testing.assert_allclose(level[2:60], 20 * np.log10(0.5 / np.sqrt(2)), atol=0.1)


def test_blocks_leave_no_seams(play, monkeypatch):
    signal = play([50, 52, 53, 55], rate=16000).astype(np.float32)
    whole = envelope.measure(signal, 100)
    monkeypatch.setattr(envelope, "_BLOCK_FRAMES", 7)
    parts = envelope.measure(signal, 100)
    np.testing.assert_allclose(parts.onset, whole.onset, atol=1e-6)


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_the_shortest_signals_have_an_envelope(frames):
    found = envelope.measure(np.zeros(frames * 256, np.float32), frames)
    assert len(found.level_db) == len(found.onset) == frames


def test_a_stem_as_loud_as_ever_is_heard():
    assert envelope.audible(np.full(50, -20.0), np.full(50, -14.0)).min() > 0.99


def test_a_stem_far_below_the_mix_holds_no_part():
    np.testing.assert_array_equal(envelope.audible(np.full(50, -55.0), np.full(50, -14.0)), 0)


def test_leakage_in_a_loud_passage_is_not_heard():
    stem = np.concatenate([np.full(50, -20.0), np.full(50, -50.0)])
    weights = envelope.audible(stem, np.full(100, -14.0))
    assert weights[:50].min() > 0.99
    assert weights[50:].max() < 0.01


def test_a_part_that_plays_for_a_moment_is_heard():
    stem = np.full(1000, -90.0)
    stem[500:520] = -20.0
    assert envelope.audible(stem, np.full(1000, -14.0))[500:520].min() > 0.99


def test_silence_is_not_heard():
    np.testing.assert_array_equal(envelope.audible(np.full(20, -100.0), np.full(20, -100.0)), 0)
    assert len(envelope.audible(np.zeros(0), np.zeros(0))) == 0


def test_frames_past_the_end_of_the_mix_are_judged_by_the_stem_alone():
    assert envelope.audible(np.full(20, -20.0), np.full(18, -14.0)).min() > 0.99
