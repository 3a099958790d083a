"""Major and minor chords by templates on a constant-Q chroma: what is left when no model is there.

Source: Fujishima, "Realtime chord recognition of musical sound" (ICMC 1999). The spectrum is compressed and weighted towards the middle of
the keyboard before it is folded, since overtones lie above it and drums below.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from tasks.chords.cqt import Spectrogram, cqt
from tasks.chords.posteriors import ChordPosteriors, Floats, normalise_rows
from tasks.common.audio import read_mono
from tasks.common.constant_q import CqtShape
from tasks.common.harmony.harte import NO_CHORD
from tasks.common.progress import Progress, part_of, silent
from tasks.common.tuning import tuning_of

_LOWEST_MIDI: Final = 24
SHAPE: Final = CqtShape(sample_rate=22050, hop=1024, lowest_midi=_LOWEST_MIDI, bins=252, bins_per_octave=36)
HOP_SEC: Final = SHAPE.hop / SHAPE.sample_rate
_NOTES: Final = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
LABELS: Final = (NO_CHORD, *(f"{note}:maj" for note in _NOTES), *(f"{note}:min" for note in _NOTES))

# Chosen on two rendered songs of POP909; all but the price of a change matter little (within 0.01 majmin).
_COMPRESSION: Final = 50.0
_CENTRE_MIDI, _WIDTH_SEMITONES = 60, 15
#: Turns likeness (a cosine) into nats.
_SHARPNESS: Final = 12.0
#: Likeness at which a chord and none are equally likely. A flat chroma is like every template by 0.5.
_NO_CHORD_LIKENESS: Final = 0.55
#: The middle of what does well on them (8 to 16).
CHANGE_COST: Final = 12.0


def infer(path: Path, progress: Progress = silent) -> ChordPosteriors:
    """Posteriors of a WAV file over the major and minor chords."""
    spectrogram = cqt(read_mono(path, SHAPE.sample_rate), SHAPE, tuning_of(path), part_of(progress, 0.0, 0.9))
    return ChordPosteriors(LABELS, normalise_rows(match(chroma(spectrogram)).astype(np.float32)), HOP_SEC, CHANGE_COST, "templates")


def chroma(spectrogram: Spectrogram) -> Floats:
    """(frames, 12) energy of the pitch classes from C, from a spectrogram in `SHAPE`."""
    per_note = SHAPE.bins_per_octave // 12
    # The bins of a note are those around its centre: the last of the semitone below belongs to it.
    semitones = spectrogram.astype(np.float64)[:, ::per_note]
    for offset in range(1, per_note):
        neighbour = spectrogram[:, offset::per_note]
        if offset <= per_note // 2:
            semitones = np.maximum(semitones, neighbour)
        else:
            semitones[:, 1:] = np.maximum(semitones[:, 1:], neighbour[:, :-1])
    loud = max(float(np.percentile(semitones, 99)), 1e-9)
    compressed = np.log1p(_COMPRESSION * semitones / loud)
    midi = _LOWEST_MIDI + np.arange(semitones.shape[1])
    weighted = compressed * np.exp(-0.5 * ((midi - _CENTRE_MIDI) / _WIDTH_SEMITONES) ** 2)
    folded: Floats = weighted.reshape(len(weighted), -1, 12).sum(axis=1)
    return folded


def match(pitch_classes: Floats) -> Floats:
    """(frames, 25) log scores of `LABELS` from (frames, 12) chroma."""
    norms = np.linalg.norm(pitch_classes, axis=1, keepdims=True)
    unit = np.divide(pitch_classes, norms, out=np.zeros_like(pitch_classes), where=norms > 1e-6)
    none = np.full(len(unit), _NO_CHORD_LIKENESS)
    scores: Floats = _SHARPNESS * np.column_stack([none, unit @ templates().T])
    return scores


def templates() -> Floats:
    """(24, 12) unit chroma of the major and minor triads from C."""
    found = np.zeros((24, 12))
    for minor, third in enumerate((4, 3)):
        for root in range(12):
            found[12 * minor + root, [root, (root + third) % 12, (root + 7) % 12]] = 1.0
    unit: Floats = found / np.sqrt(3.0)
    return unit
