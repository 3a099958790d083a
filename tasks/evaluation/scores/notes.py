"""Notes and pitch along time, of the melody and the bass."""

from __future__ import annotations

from collections.abc import Sequence

import mir_eval
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from schemas.results import Part
from tasks.evaluation.annotations import Annotations, PitchTrack, TrueNote

Array = NDArray[np.float64]
_CENTS = 50.0
_HOP_SEC = 0.01
#: A bend counts for the frames this close to it: half the hop of the pitch trackers.
_BEND_SEC = 0.01


def score_melody(truth: Annotations, found: Part) -> dict[str, float]:
    """Note F at ±50 and ±100 ms and ±50 cents, without offsets, and what share of the true frames has the right pitch or chroma.

    Written notes are compared with the semitones that we write; pitch tracks with the pitch, bends and all.
    """
    if truth.melody is not None:
        return melody_figures(truth, written_notes(found))
    if truth.melody_pitch is not None:
        return frame_figures(truth.melody_pitch, sample(found, np.asarray(truth.melody_pitch.times)), True)
    return {}


def melody_figures(truth: Annotations, found: Sequence[TrueNote]) -> dict[str, float]:
    """The same for steady notes, which may be anybody's."""
    figures = {} if truth.melody is None else note_figures(truth.melody, found, truth.octave_known)
    track = melody_track(truth)
    if track is not None:
        figures |= frame_figures(track, sample_notes(found, np.asarray(track.times)), truth.octave_known)
    return figures


def melody_track(truth: Annotations) -> PitchTrack | None:
    """The pitch of the melody along time, from whatever is annotated."""
    return track_of_notes(truth.melody) if truth.melody is not None else truth.melody_pitch


def score_bass(truth: Annotations, pitch: PitchTrack | None, found: Part) -> dict[str, float]:
    """Note F where the notes are known; where the bass alone is, frames against its pitch."""
    figures = {} if truth.bass is None else note_figures(truth.bass, written_notes(found), octave_known=True)
    return figures if pitch is None else figures | frame_figures(pitch, sample(found, np.asarray(pitch.times)), True)


def written_notes(part: Part) -> list[TrueNote]:
    """The notes of a part, each at its semitone."""
    return [TrueNote(note.start, note.end, note.midi) for note in part.notes]


def note_figures(truth: Sequence[TrueNote], found: Sequence[TrueNote], octave_known: bool) -> dict[str, float]:
    """F of the largest one-to-one matching, as in mir_eval.transcription; on the pitch circle where the octave is not known."""
    return {f"note_f_{round(1000 * tolerance)}ms": note_f(truth, found, tolerance, octave_known) for tolerance in (0.05, 0.1)}


def note_f(truth: Sequence[TrueNote], found: Sequence[TrueNote], tolerance: float, octave_known: bool) -> float:
    if not truth or not found:
        return 0.0
    matched = len(matching(truth, found, tolerance, octave_known))
    return 2 * matched / (len(truth) + len(found))


def matching(truth: Sequence[TrueNote], found: Sequence[TrueNote], tolerance: float, octave_known: bool) -> list[tuple[int, int]]:
    """Pairs of indices (truth, found)."""
    onset = np.abs(np.subtract.outer([n.start for n in truth], [n.start for n in found])) <= tolerance
    distance = np.subtract.outer([n.midi for n in truth], [n.midi for n in found])
    if not octave_known:
        distance = (distance + 6.0) % 12.0 - 6.0
    partners = maximum_bipartite_matching(csr_matrix(onset & (np.abs(distance) <= _CENTS / 100)), perm_type="column")
    return [(index, int(partner)) for index, partner in enumerate(partners) if partner >= 0]


def frame_figures(truth: PitchTrack, estimate: Array, octave_known: bool) -> dict[str, float]:
    """mir_eval.melody: raw pitch and chroma accuracy (±50 cents) where the truth sounds, and recall and false alarm of voicing.

    estimate: pitch at the times of the truth (hertz), 0 for none.
    """
    reference = np.asarray(truth.hertz)
    ref_voicing, ref_cents = (reference > 0).astype(float), _cents(reference)
    est_voicing, est_cents = (estimate > 0).astype(float), _cents(estimate)
    recall, false_alarm = mir_eval.melody.voicing_measures(ref_voicing, est_voicing)
    scores = {
        "raw_chroma": float(mir_eval.melody.raw_chroma_accuracy(ref_voicing, ref_cents, est_voicing, est_cents)),
        "voicing_recall": float(recall),
        "voicing_false_alarm": float(false_alarm),
    }
    if octave_known:
        scores["raw_pitch"] = float(mir_eval.melody.raw_pitch_accuracy(ref_voicing, ref_cents, est_voicing, est_cents))
    return scores


def sample(part: Part, times: Array) -> Array:
    """The pitch of the notes at some times (hertz), 0 between them: the note's median, and where it departs from that, its bends."""
    midi = np.zeros(len(times))
    for note in part.notes:
        begin, end = np.searchsorted(times, [note.start, note.end])
        midi[begin:end] = note.midi + note.cents / 100
        if note.bends:
            at = np.array([bend.time for bend in note.bends])
            nearest = np.abs(times[begin:end, None] - at).argmin(axis=1)
            close = np.abs(times[begin:end] - at[nearest]) <= _BEND_SEC
            midi[begin:end][close] = np.array([bend.midi for bend in note.bends])[nearest[close]]
    return np.where(midi > 0, 440.0 * 2.0 ** ((midi - 69.0) / 12.0), 0.0)


def sample_notes(notes: Sequence[TrueNote], times: Array) -> Array:
    """The pitch of steady notes at some times (hertz), 0 between them."""
    hertz = np.zeros(len(times))
    for note in notes:
        begin, end = np.searchsorted(times, [note.start, note.end])
        hertz[begin:end] = 440.0 * 2.0 ** ((note.midi - 69.0) / 12.0)
    return hertz


def track_of_notes(notes: Sequence[TrueNote]) -> PitchTrack:
    """Notes as pitch along time."""
    times = np.arange(0.0, max((note.end for note in notes), default=0.0), _HOP_SEC)
    return PitchTrack(tuple(times), tuple(sample_notes(notes, times)))


def note_hits(truth: Annotations, found: Part) -> list[tuple[float, bool]]:
    """(confidence, right) of each note: right where it is matched at ±100 ms."""
    if truth.melody is None:
        return []
    notes = written_notes(found)
    right = {partner for _, partner in matching(truth.melody, notes, 0.1, truth.octave_known)} if truth.melody and notes else set()
    return [(note.confidence, index in right) for index, note in enumerate(found.notes)]


def _cents(hertz: Array) -> Array:
    return np.where(hertz > 0, 1200.0 * np.log2(np.maximum(hertz, 1e-9) / 10.0), 0.0)
