"""From Basic Pitch's posteriors to notes, several at a time: the package's own note creation (note_creation.py, by Bittner et al. 2022).

From each onset, the last one first, a note is followed until its semitone has been silent for some frames; what it used up, with the
semitones beside it, is taken away. What is left over and sounds is taken for notes that begin softly, the loudest first ("melodia trick").

The package looks for the loudest of what is left all over again for each note, so that its time grows with the square of the song's length;
here what is left is sorted once, with the same result.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.melody_bass.basic_pitch_engine import LOWEST_MIDI, Posterior

#: Frames (11.6 ms) that a semitone may be silent within a note.
_SILENT_FRAMES: Final = 11
#: Frames over which a rise of the note posterior counts as an onset.
_RISE_FRAMES: Final = 2


class NoteEvent(NamedTuple):
    """Frames [start, end), MIDI note number, and the mean note posterior."""

    start: int
    end: int
    midi: int
    strength: float


def note_events(
    note: Posterior, onset: Posterior, onset_threshold: float, note_threshold: float, shortest: int, low: int = 21, high: int = 108
) -> list[NoteEvent]:
    """The notes in (frames, 88) posteriors, by start, then pitch; notes of one pitch do not overlap.

    onset_threshold, note_threshold: what a begin, and a frame that sounds, have at least. shortest: notes last longer than so many frames.
    low, high: MIDI note numbers, both within the range.
    """
    allowed = slice(max(low - LOWEST_MIDI, 0), max(high - LOWEST_MIDI + 1, 0))
    sounds, begins = np.zeros_like(note), np.zeros_like(onset)
    sounds[:, allowed], begins[:, allowed] = note[:, allowed], onset[:, allowed]
    if len(note) <= _RISE_FRAMES:
        return []
    left = sounds.copy()
    found = _from_onsets(sounds, left, _peaks(_with_rises(begins, sounds), onset_threshold), note_threshold, shortest)
    found += _from_what_is_left(sounds, left, note_threshold, shortest)
    return sorted(found)


def _with_rises(onset: Posterior, note: Posterior) -> npt.NDArray[np.float64]:
    """The onset posterior, or the rise of the note posterior where that is stronger, on the onsets' scale."""
    rise = np.full(note.shape, np.inf)
    for lag in range(1, _RISE_FRAMES + 1):
        rise[lag:] = np.minimum(rise[lag:], note[lag:] - note[:-lag].astype(np.float64))
    rise[:_RISE_FRAMES] = 0.0
    rise = np.maximum(rise, 0.0)
    highest = float(rise.max())
    return np.maximum(onset, rise * (float(onset.max()) / highest) if highest > 0 else 0.0)


def _peaks(onset: npt.NDArray[np.float64], threshold: float) -> list[tuple[int, int]]:
    """(frame, pitch) of the local maxima along time, the last one first."""
    inner = onset[1:-1]
    frames, pitches = np.nonzero((inner > onset[:-2]) & (inner > onset[2:]) & (inner >= threshold))
    return list(zip((frames[::-1] + 1).tolist(), pitches[::-1].tolist(), strict=True))


def _take(left: Posterior, start: int, end: int, pitch: int) -> None:
    left[start:end, max(pitch - 1, 0) : pitch + 2] = 0.0


def _from_onsets(sounds: Posterior, left: Posterior, onsets: list[tuple[int, int]], threshold: float, shortest: int) -> list[NoteEvent]:
    found = []
    last = len(sounds) - 1
    for start, pitch in onsets:
        if start >= last:
            continue
        end, quiet = start + 1, 0
        while end < last and quiet < _SILENT_FRAMES:
            quiet = quiet + 1 if left[end, pitch] < threshold else 0
            end += 1
        end -= quiet
        if end - start > shortest:
            _take(left, start, end, pitch)
            found.append(_event(sounds, start, end, pitch))
    return found


def _from_what_is_left(sounds: Posterior, left: Posterior, threshold: float, shortest: int) -> list[NoteEvent]:
    found = []
    last = len(sounds) - 1
    flat = left.ravel()
    loud = np.flatnonzero(flat > threshold)
    for place in loud[np.argsort(-flat[loud], kind="stable")].tolist():
        if flat[place] <= threshold:  # used up since
            continue
        middle, pitch = divmod(place, left.shape[1])
        left[middle, pitch] = 0.0
        end, quiet = middle + 1, 0
        while end < last and quiet < _SILENT_FRAMES:
            quiet = quiet + 1 if left[end, pitch] < threshold else 0
            _take(left, end, end + 1, pitch)
            end += 1
        end -= 1 + quiet
        start, quiet = middle - 1, 0
        while start > 0 and quiet < _SILENT_FRAMES:
            quiet = quiet + 1 if left[start, pitch] < threshold else 0
            _take(left, start, start + 1, pitch)
            start -= 1
        start += 1 + quiet
        if end - start > shortest:
            found.append(_event(sounds, start, end, pitch))
    return found


def _event(sounds: Posterior, start: int, end: int, pitch: int) -> NoteEvent:
    return NoteEvent(start, end, pitch + LOWEST_MIDI, float(np.mean(sounds[start:end, pitch])))
