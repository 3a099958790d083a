"""The voices of a stem that sounds several pitches at once, from Basic Pitch: the leading one, and those beside it.

A pitch tracker jumps from voice to voice where they are equally loud, and Basic Pitch misses most of what a singer does who glides and
speaks. So the line is the tracker's, unless Basic Pitch hears something nearly always when the tracker does: then its highest voice leads.

A voice that begins softly (a choir, strings) is heard late: its onset posterior is weak, and peaks up to a tenth of a second after the note
began. So the weaker an onset, the earlier it is put. README.md has the figures, and which renders the constants were chosen on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np

from schemas.results import Note
from tasks.common.calibration import logistic, logit
from tasks.melody_bass.basic_pitch_engine import CONTOUR_STEPS, LOWEST_MIDI, Posteriors
from tasks.melody_bass.note_events import NoteEvent, note_events
from tasks.melody_bass.pitch import HOP_SEC, PitchTrack

#: What an onset and a sounding frame have at least (the package: 0.5 and 0.3), and how many frames (11.6 ms) a note lasts more than.
_ONSET: Final = 0.6
_NOTE: Final = 0.3
_SHORTEST: Final = 8
#: How late an onset is heard (s): always, and for each unit that its posterior lies below the last figure.
_LATE: Final = (0.02, 0.16, 0.65)
#: The curve of the confidence: offset, and the weights of the strength's log odds, of the onset posterior and of the log duration (s).
_CALIBRATION: Final = (-1.84, 1.09, 5.34, 1.16)
#: Share of the tracker's time that the voices cover where they are believed: instruments and choirs 0.96 to 1, four singers 0.12 to 0.80.
_COVERED: Final = 0.9
#: A voice leads where no higher one sounds for this share of its note.
_BELOW: Final = 0.5
#: Semitones from a note to its overtones that are heard as notes of their own, the share of their time that it sounds, and how much less
#: they are believed.
_OVERTONES: Final = (12, 19, 24, 28, 31)
_WITHIN: Final = 0.7
_FAINTER: Final = 0.9
#: The line has a note where it holds the same semitone for this share of it.
_SAME: Final = 0.5


def split(line: tuple[Note, ...], track: PitchTrack, sounding: tuple[Note, ...]) -> tuple[tuple[Note, ...], tuple[Note, ...]]:
    """The leading voice, whose notes do not overlap, and the notes of the others, by start, then pitch.

    line, track: what the pitch tracker comes to. sounding: the notes of all voices.
    """
    if _covered(track, sounding) < _COVERED:
        same = _Overlaps(line)
        return line, tuple(note for note in sounding if not same.over(note, note.midi.__eq__, _SAME))
    higher = _Overlaps(sounding)
    below = [bool(higher.over(note, note.midi.__lt__, _BELOW)) for note in sounding]
    leading = [note for note, hidden in zip(sounding, below, strict=True) if not hidden]
    shortened = [first.model_copy(update={"end": min(first.end, then.start)}) for first, then in pairwise(leading)] + leading[-1:]
    lead = tuple(note for note in shortened if note.start < note.end)
    return lead, tuple(note for note, hidden in zip(sounding, below, strict=True) if hidden)


def voices(heard: Posteriors, tuning: float, allowed: tuple[int, int], duration_sec: float) -> tuple[Note, ...]:
    """The notes of all voices, by start, then pitch; notes of one pitch do not overlap.

    tuning: of the song, in semitones. allowed: lowest and highest MIDI note number.
    """
    found: list[Note] = []
    ends: dict[int, float] = {}
    for event in note_events(heard.note, heard.onset, _ONSET, _NOTE, _SHORTEST, *allowed):
        column = event.midi - LOWEST_MIDI
        onset = float(heard.onset[max(event.start - 1, 0) : event.start + 2, column].max())
        always, per_unit, clear = _LATE
        early = float(heard.times[event.start]) - always - per_unit * max(0.0, clear - onset)
        start = round(max(early, ends.get(event.midi, 0.0)), 4)
        end = round(min(float(heard.times[event.end]), duration_sec), 4)
        if start < end:
            ends[event.midi] = end
            found.append(_note(event, heard, tuning, onset, start, end))
    return _without_overtones(tuple(sorted(found, key=lambda note: (note.start, note.midi))))


def _without_overtones(found: tuple[Note, ...]) -> tuple[Note, ...]:
    """The notes but those that lie on an overtone of a lower one for most of their time, and are believed less."""
    overlaps = _Overlaps(found)
    kept = []
    for note in found:
        below = [note.midi - interval for interval in _OVERTONES]
        if not any(note.confidence < _FAINTER * other.confidence for other in overlaps.over(note, below.__contains__, _WITHIN)):
            kept.append(note)
    return tuple(kept)


def _note(event: NoteEvent, heard: Posteriors, tuning: float, onset: float, start: float, end: float) -> Note:
    offset, by_strength, by_onset, by_duration = _CALIBRATION
    score = offset + by_strength * float(logit(event.strength)) + by_onset * onset + by_duration * float(np.log(max(end - start, 0.01)))
    return Note(
        start=start,
        end=end,
        midi=event.midi,
        cents=round(float(np.clip(100 * (tuning + _deviation(event, heard)), -100, 100)), 1),
        confidence=round(float(logistic(score)), 4),
    )


def _deviation(event: NoteEvent, heard: Posteriors) -> float:
    """How far the contours lie from the middle of the note's semitone, in semitones: their centre of mass over a semitone."""
    middle = CONTOUR_STEPS * (event.midi - LOWEST_MIDI) + 1
    around = np.arange(max(middle - 1, 0), min(middle + 2, heard.contour.shape[1]))
    weights = heard.contour[event.start : event.end, around].sum(axis=0, dtype=np.float64)
    total = float(weights.sum())
    return float(weights @ (around - middle)) / total / CONTOUR_STEPS if total > 0 else 0.0


def _covered(track: PitchTrack, sounding: tuple[Note, ...]) -> float:
    """Share of the track's voiced frames in which some voice sounds."""
    heard = np.zeros(len(track), np.bool_)
    for note in sounding:
        heard[round(note.start / HOP_SEC) : round(note.end / HOP_SEC) + 1] = True
    return float(np.mean(heard[track.voiced])) if track.voiced.any() else 0.0


class _Overlaps:
    """Looks up the notes that sound at the same time: notes sorted by start, in time that does not grow with their number."""

    def __init__(self, notes: tuple[Note, ...]):
        self.notes = notes
        self.starts = [note.start for note in notes]
        self.longest = max((note.end - note.start for note in notes), default=0.0)

    def over(self, note: Note, pitches: Callable[[int], bool], share: float) -> list[Note]:
        """Those of these pitches that sound for more than a share of a note."""
        first, last = bisect_left(self.starts, note.start - self.longest), bisect_left(self.starts, note.end)
        return [
            other
            for other in self.notes[first:last]
            if pitches(other.midi) and min(other.end, note.end) - max(other.start, note.start) > share * (note.end - note.start)
        ]
