"""The note decoder: pitch tracks in, notes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.results import Note
from tasks.melody_bass.fit import notes_of
from tasks.melody_bass.notes import NoteModel, decode_notes
from tasks.melody_bass.pitch import PitchTrack
from tasks.melody_bass.track_notes import MELODY


def melody_of(midi, confidence, onset):
    track = PitchTrack(np.asarray(midi, float), np.asarray(confidence, float))
    segments = decode_notes(track, np.asarray(onset, float), MELODY.model())
    return notes_of(segments, track, MELODY.aim, (MELODY.min_midi, MELODY.max_midi), len(track) * 0.016)


@pytest.mark.parametrize("name", ["steady", "vibrato", "glide", "repeated", "octave_glitch", "noise", "out_of_tune", "short"])
def test_finds_the_notes_of_the_golden_file(golden, name):
    case = golden(name)
    onset = np.zeros(len(case["midi"]))
    for frame, strength in case["onset_peaks"]:
        onset[frame] = strength
    midi = [np.nan if pitch is None else pitch for pitch in case["midi"]]
    found = melody_of(midi, case["confidence"], onset)
    expected = [Note.model_validate(note) for note in case["notes"]]
    assert [(note.start, note.end, note.midi) for note in found] == [(note.start, note.end, note.midi) for note in expected], case["what"]
    for note, wanted in zip(found, expected, strict=True):
        assert note.cents == pytest.approx(wanted.cents, abs=0.11)
        assert note.confidence == pytest.approx(wanted.confidence, abs=1e-3)
        assert [(bend.time, bend.midi) for bend in note.bends] == [(bend.time, bend.midi) for bend in wanted.bends]


def test_a_repeated_pitch_without_attack_or_dip_is_one_note():
    assert len(melody_of([60.0] * 60, [0.95] * 60, np.zeros(60))) == 1


def test_a_weak_attack_does_not_cut_a_note():
    onset = np.zeros(60)
    onset[30] = 0.3
    assert len(melody_of([60.0] * 60, [0.95] * 60, onset)) == 1


def test_an_attack_in_silence_makes_no_note():
    onset = np.zeros(60)
    onset[[10, 30, 50]] = 1.0
    assert melody_of([np.nan] * 60, [0.0] * 60, onset) == ()


def test_nothing_comes_of_nothing():
    assert melody_of([], [], []) == ()


def test_notes_outside_the_range_are_left_out():
    assert melody_of([30.0] * 60, [0.95] * 60, np.zeros(60)) == ()


def test_onsets_and_pitches_must_have_one_length():
    with pytest.raises(ValueError, match="5 frames"):
        decode_notes(PitchTrack(np.zeros(4), np.zeros(4)), np.zeros(5), NoteModel(40, 88))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_notes_never_overlap_nor_leave_the_song(seed, frames):
    rng = np.random.default_rng(seed)
    midi = np.where(rng.random(frames) < 0.1, np.nan, 60 + np.cumsum(rng.normal(0, 0.6, frames)))
    onset = np.where(rng.random(frames) < 0.05, rng.random(frames), 0.0)
    found = melody_of(midi, rng.random(frames) ** 0.3, onset)
    times = [time for note in found for time in (note.start, note.end)]
    assert times == sorted(times)
    assert all(note.start < note.end <= frames * 0.016 + 1e-9 for note in found)
