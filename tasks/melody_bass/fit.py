"""What the pitch track says of each decoded segment: its semitone, cents, confidence and bends."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.results import Note, PitchBend
from tasks.common.calibration import logistic, logit
from tasks.melody_bass.intonation import semitones, tuning_offset
from tasks.melody_bass.notes import Segment
from tasks.melody_bass.pitch import HOP_SEC, FloatArray, PitchTrack

Indices = npt.NDArray[np.int_]

#: Semitones from the decoded pitch within which a frame speaks for the note: the decoder's own cap.
_NEAR: Final = 1.5
#: Semitones from the note's median up to which a frame fits the note: a wide vibrato does.
_FIT: Final = 1.0
#: Semitones from the note's median from which a frame is bent, and from which it is a glitch of the tracker instead.
_BENT: Final = 0.5
_FARTHEST_BEND: Final = 3.0
#: How far below its median level a sung note's tail begins (dB; of 2 to 10 the most accurate on MDB Drums), and the frames that stay.
_TAIL_DB: Final = 6.0
_LEAST_FRAMES: Final = 6
#: The curve of `with_probabilities`: offset, weight of the confidence's log odds, weight of the log duration (s).
_CALIBRATION: Final = (0.86, 0.16, 0.50)


def notes_of(
    segments: list[Segment], track: PitchTrack, aim: float, allowed: tuple[int, int], duration_sec: float, tuning: float = 0.0
) -> tuple[Note, ...]:
    """The segments as notes: in semitones, in range, inside the song, sorted, without overlaps.

    aim: the quantile of a note's pitch that stands for it when it is rounded. allowed: lowest and highest MIDI note number.
    tuning: the song's, in semitones.
    """
    own_tuning = tuning_offset(track.midi, np.where(track.voiced, track.confidence**2, 0.0), tuning)
    frames = [_own_frames(segment, track) for segment in segments]
    aims = np.array([np.quantile(track.midi[own], aim) if len(own) else s.pitch for s, own in zip(segments, frames, strict=True)])
    durations = np.array([(segment.end - segment.start) * HOP_SEC for segment in segments])
    found: list[Note] = []
    for segment, own, midi in zip(segments, frames, semitones(aims, durations, own_tuning), strict=True):
        # A frame reaches half a hop to either side of its centre.
        start = max(0.0, (segment.start - 0.5) * HOP_SEC)
        end = min(duration_sec, (segment.end - 0.5) * HOP_SEC)
        if len(own) and allowed[0] <= midi <= allowed[1] and start < end:
            found.append(_note(segment, own, track, int(midi), round(start, 4), round(end, 4)))
    return tuple(found)


def without_tails(segments: list[Segment], level_db: FloatArray) -> list[Segment]:
    """The segments, each up to the last frame that is within 6 dB of its median level.

    What follows is the room, breath, and the consonant before the next syllable. level_db: (frames,) of the stem.
    """
    return [replace(segment, end=segment.start + _sounding(level_db[segment.start : segment.end])) for segment in segments]


def _sounding(level_db: FloatArray) -> int:
    """Frames from the beginning of a note to the end of its sound."""
    if not len(level_db):
        return 0
    loud = np.flatnonzero(level_db >= np.median(level_db) - _TAIL_DB)
    return max(int(loud[-1]) + 1, min(_LEAST_FRAMES, len(level_db)))


def with_probabilities(notes: tuple[Note, ...]) -> tuple[Note, ...]:
    """Notes sung to a band, with confidences that are probabilities of being right (onset within 100 ms, semitone, any octave).

    Fitted on 2797 notes of ten songs, where the expected calibration error is 0.02; of the trackers' own confidences it is 0.18. Short
    notes are wrong more often, and nothing a tracker is sure of is right more often than four times in five.
    """
    durations = np.array([note.end - note.start for note in notes])
    offset, by_confidence, by_duration = _CALIBRATION
    scores = offset + by_confidence * logit([note.confidence for note in notes]) + by_duration * np.log(np.maximum(durations, 0.01))
    found = logistic(scores)
    return tuple(note.model_copy(update={"confidence": round(float(value), 4)}) for note, value in zip(notes, found, strict=True))


def _own_frames(segment: Segment, track: PitchTrack) -> Indices:
    """Indices of the segment's voiced frames that are near its pitch."""
    span = np.arange(segment.start, segment.end)
    near = np.abs(track.midi[span] - segment.pitch) <= _NEAR
    own: Indices = span[track.voiced[span] & near]
    return own


def _note(segment: Segment, own: Indices, track: PitchTrack, midi: int, start: float, end: float) -> Note:
    median = float(np.median(track.midi[own]))
    span = np.arange(segment.start, segment.end)
    distance = np.abs(track.midi[span] - median)
    voiced = track.voiced[span]
    fit = float(np.mean(distance[voiced] <= _FIT))
    bent = span[_in_company(voiced & (distance > _BENT) & (distance <= _FARTHEST_BEND))]
    times = np.clip(bent * HOP_SEC, start, end)
    return Note(
        start=start,
        end=end,
        midi=midi,
        cents=round(float(np.clip(100 * (median - midi), -100, 100)), 1),
        confidence=round(float(np.mean(track.confidence[own]) * len(own) / len(span) * fit), 4),
        bends=tuple(PitchBend(time=round(float(t), 4), midi=round(float(m), 2)) for t, m in zip(times, track.midi[bent], strict=True)),
    )


def _in_company(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The flags that have a neighbour: a single frame is noise."""
    padded = np.pad(flags, 1)
    kept: npt.NDArray[np.bool_] = flags & (padded[:-2] | padded[2:])
    return kept
