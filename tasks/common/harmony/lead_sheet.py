"""Chord names as musicians write them, read as Harte labels: Am7, F#m7b5, Bb/D, Csus4, N.C. Pure.

What Performia writes (`harte.display`) is read again as it was; the usual other ways to write the same are read too: CM7, C-7, Co7, CΔ.
"""

from __future__ import annotations

import re
from typing import Final

from tasks.common.harmony import harte
from tasks.common.harmony.spelling import degree_above, pitch_class

_NAME: Final = re.compile(r"(?P<root>[A-G][b#]?)(?P<quality>.*?)(?:/(?P<bass>[A-G][b#]?))?")
_NOTHING: Final = frozenset({"n", "n.c.", "nc", "n.c", "no chord"})
#: Other ways to write a quality, as they stand after the root.
_ALSO: Final = {
    "M": "maj",
    "maj": "maj",
    "major": "maj",
    "min": "min",
    "minor": "min",
    "mi": "min",
    "-": "min",
    "°": "dim",
    "o": "dim",
    "+": "aug",
    "#5": "aug",
    "sus": "sus4",
    "sus7": "sus4(b7)",
    "7sus": "sus4(b7)",
    "9sus": "sus4(b7,9)",
    "M7": "maj7",
    "Maj7": "maj7",
    "ma7": "maj7",
    "Δ": "maj7",
    "Δ7": "maj7",
    "j7": "maj7",
    "dom7": "7",
    "min7": "min7",
    "mi7": "min7",
    "-7": "min7",
    "mM7": "minmaj7",
    "mmaj7": "minmaj7",
    "m(M7)": "minmaj7",
    "-Δ7": "minmaj7",
    "°7": "dim7",
    "o7": "dim7",
    "ø": "hdim7",
    "ø7": "hdim7",
    "m7b5": "hdim7",
    "min7b5": "hdim7",
    "-7b5": "hdim7",
    "M6": "maj6",
    "maj6": "maj6",
    "min6": "min6",
    "-6": "min6",
    "69": "maj6(9)",
    "6add9": "maj6(9)",
    "M9": "maj9",
    "min9": "min9",
    "-9": "min9",
    "2": "maj(9)",
    "add2": "maj(9)",
    "(add9)": "maj(9)",
    "madd9": "min(9)",
    "7b9": "7(b9)",
    "7#9": "7(#9)",
    "min11": "min11",
}
#: What the bass of a chord may be of it, the usual name first.
_DEGREES: Final = ("b2", "2", "b3", "3", "4", "b5", "5", "b6", "6", "b7", "7", "#1", "#2", "#4", "#5", "#6")


def label_of(text: str) -> str | None:
    """The Harte label of a chord's name, or of a label itself; None where it is neither."""
    text = text.strip().replace("♭", "b").replace("♯", "#").replace("𝄫", "bb")
    if text.lower() in _NOTHING:
        return harte.NO_CHORD
    named = _NAME.fullmatch(text)
    quality = _qualities().get(named["quality"].strip()) if named else None
    if named is not None and quality is not None:
        bass = named["bass"]
        degree = _degree(named["root"], bass) if bass and pitch_class(bass) != pitch_class(named["root"]) else None
        return harte.HarteChord(named["root"], quality, degree).label
    try:
        parts = harte.parse(text)
    except ValueError:
        return None
    return parts.label if parts is not None else None


def _degree(root: str, note: str) -> str:
    """The degree of a note above a root: b3 for the C of A."""
    spelled = (degree for degree in _DEGREES if degree_above(root, degree) == note)
    sounding = (degree for degree in _DEGREES if pitch_class(degree_above(root, degree)) == pitch_class(note))
    return next(spelled, None) or next(sounding)


def _qualities() -> dict[str, str]:
    return {name.replace("♭", "b").replace("♯", "#"): quality for name, quality in harte.qualities_by_name().items()} | _ALSO
