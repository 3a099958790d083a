"""The voices of a polyphonic stem: which leads, and which are beside it."""

from __future__ import annotations

import numpy as np

from schemas.results import Note
from tasks.melody_bass.basic_pitch_engine import LOWEST_MIDI, Posteriors
from tasks.melody_bass.harmony import split, voices
from tasks.melody_bass.pitch import PitchTrack

FRAME_SEC = 256 / 22050


def heard(*notes: tuple[int, int, int, float], frames: int = 400) -> Posteriors:
    """Posteriors of notes [first frame, last frame, midi, onset posterior]."""
    note, onset = np.zeros((frames, 88), np.float32), np.zeros((frames, 88), np.float32)
    contour = np.zeros((frames, 264), np.float32)
    for start, end, midi, strength in notes:
        note[start:end, midi - LOWEST_MIDI] = 0.8
        onset[start, midi - LOWEST_MIDI] = strength
        contour[start:end, 3 * (midi - LOWEST_MIDI) + 1] = 0.8
    return Posteriors(note, onset, contour, np.arange(frames) * FRAME_SEC)


def note(start: float, end: float, midi: int) -> Note:
    return Note(start=start, end=end, midi=midi, cents=0, confidence=0.5)


def tracked(pitch: float, sec: float = 4.0) -> PitchTrack:
    frames = round(sec / 0.016)
    return PitchTrack(np.full(frames, pitch), np.ones(frames))


TWO = (note(0.0, 1.0, 72), note(0.1, 1.0, 65), note(1.0, 2.5, 65), note(1.0, 2.0, 74))


def test_two_voices_are_heard_in_order():
    found = voices(heard((50, 150, 72, 0.9), (60, 150, 65, 0.9)), 0.0, (40, 88), 60.0)
    assert [(n.midi, round(n.start, 1), round(n.end, 1)) for n in found] == [(72, 0.6, 1.7), (65, 0.7, 1.7)]
    assert all(0.5 < n.confidence < 1 and n.cents == 0 for n in found)


def test_a_soft_beginning_is_put_earlier_than_a_clear_one():
    clear, soft = voices(heard((50, 150, 72, 0.9), (50, 150, 65, 0.61), (200, 210, 50, 0.9)), 0.0, (40, 88), 60.0)[:2][::-1]
    assert clear.midi == 72
    assert soft.start < clear.start


def test_an_overtone_that_is_believed_less_is_no_voice():
    posteriors = heard((50, 150, 60, 0.9), (55, 140, 84, 0.61), (50, 150, 67, 0.9))
    octaves = [n.midi for n in voices(posteriors, 0.0, (40, 88), 60.0)]
    posteriors.note[:, 84 - LOWEST_MIDI] *= 0.45
    assert (octaves, [n.midi for n in voices(posteriors, 0.0, (40, 88), 60.0)]) == ([60, 67, 84], [60, 67])


def test_a_song_out_of_tune_says_so_in_cents():
    assert [n.cents for n in voices(heard((50, 150, 72, 0.9)), 0.3, (40, 88), 60.0)] == [30]


def test_notes_lie_in_the_range_and_in_the_song():
    found = voices(heard((50, 399, 72, 0.9), (60, 150, 45, 0.9)), 0.0, (50, 88), 4.0)
    assert [(n.midi, n.end) for n in found] == [(72, 4.0)]


def test_where_the_voices_are_heard_throughout_the_highest_leads():
    lead, others = split((note(0.0, 2.5, 65),), tracked(65, 2.5), TWO)
    assert [(n.start, n.end, n.midi) for n in lead] == [(0.0, 1.0, 72), (1.0, 2.0, 74)]
    assert [(n.start, n.midi) for n in others] == [(0.1, 65), (1.0, 65)]


def test_a_note_that_goes_on_under_a_higher_one_is_cut_in_the_line_and_not_doubled():
    lead, others = split((), tracked(60, 2.0), (note(0.0, 2.0, 60), note(0.8, 1.2, 64), note(1.2, 2.0, 62)))
    assert [(n.start, n.end, n.midi) for n in lead] == [(0.0, 0.8, 60), (0.8, 1.2, 64), (1.2, 2.0, 62)]
    assert others == ()


def test_where_they_are_missed_often_the_trackers_line_leads():
    line = (note(0.0, 1.0, 72), note(1.5, 3.9, 70))
    lead, others = split(line, tracked(70, 4.0), TWO)
    assert lead == line
    assert [(n.start, n.midi) for n in others] == [(0.1, 65), (1.0, 65), (1.0, 74)]


def test_without_voices_the_line_stays():
    line = (note(0.0, 1.0, 72),)
    assert split(line, tracked(72), ()) == (line, ())
