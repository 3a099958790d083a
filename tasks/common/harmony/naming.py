"""A chord with its names: its root as a key names it, what a musician reads, its bass note, and the other chords it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.results import Chord, ChordAlternative, KeySpan
from tasks.common.harmony import harte, spelling

_ALTERNATIVES: Final = 3
#: What is less likely than this is no alternative.
_LEAST_LIKELY: Final = 0.01


def named_chord(
    start: float,
    end: float,
    label: str,
    belief: Mapping[str, float],
    key: KeySpan | None = None,
    start_beat: int | None = None,
    end_beat: int | None = None,
) -> Chord:
    """A chord from start to end (s), spelled in a key; without one, by the commonest names.

    belief: the probability of each label, this one and others; the likeliest others are the alternatives. A label that is not in Harte's
    syntax is left as it is, for whoever checks the Song Map to refuse.
    """
    others = sorted((other for other in belief if other != label and belief[other] >= _LEAST_LIKELY), key=lambda other: -belief[other])
    spelled = in_key(label, key)
    parts = _parts(spelled)
    return Chord(
        start=round(start, 6),
        end=round(end, 6),
        label=spelled,
        display=_display(spelled),
        root=parts.root if parts else None,
        quality=parts.quality if parts else None,
        bass=parts.bass_note if parts else None,
        confidence=_confidence(belief.get(label, 0.0)),
        start_beat=start_beat,
        end_beat=end_beat,
        alternatives=tuple(
            ChordAlternative(label=there, display=_display(there), confidence=_confidence(belief[other]))
            for other in others[:_ALTERNATIVES]
            for there in [in_key(other, key)]
        ),
    )


def in_key(label: str, key: KeySpan | None) -> str:
    """The label with its root named as the key names it: `Bb:maj`, not `A#:maj`, in F major."""
    chord = _parts(label)
    if chord is None:
        return label
    root = spelling.respell(chord.root, key.tonic if key else None, key.mode if key else "major")
    return harte.HarteChord(root, chord.quality, chord.bass).label


def _parts(label: str) -> harte.HarteChord | None:
    try:
        return harte.parse(label)
    except ValueError:
        return None


def _display(label: str) -> str:
    try:
        return harte.display(label)
    except ValueError:
        return label


def _confidence(belief: float) -> float:
    return round(min(max(float(belief), 0.0), 1.0), 6)
