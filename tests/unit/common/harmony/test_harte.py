"""Harte labels, and the names of notes in a key."""

from __future__ import annotations

import json
from pathlib import Path

import mir_eval
import pytest

from tasks.common.harmony import harte, spelling

GOLDEN: dict[str, tuple[str, str | None]] = json.loads((Path(__file__).parent / "golden/harte_display.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("label", GOLDEN)
def test_a_label_is_shown_as_a_musician_writes_it(label: str) -> None:
    shown, bass = GOLDEN[label]
    chord = harte.parse(label)
    assert harte.display(label) == shown
    assert (chord.bass_note if chord else None) == bass


@pytest.mark.parametrize("label", [label for label in GOLDEN if harte.parse(label)])
def test_a_label_taken_apart_and_put_together_is_the_same_chord(label: str) -> None:
    chord = harte.parse(label)
    assert chord is not None
    assert harte.parse(chord.label) == chord
    for before, after in zip(mir_eval.chord.encode(label), mir_eval.chord.encode(chord.label), strict=True):
        assert (before == after).all() if hasattr(before, "shape") else before == after


@pytest.mark.parametrize(
    ("quality", "tones"),
    [
        ("maj", (0, 4, 7)),
        ("sus4(b7)", (0, 5, 7, 10)),
        ("maj(9)", (0, 4, 7, 14)),
        ("min9", (0, 3, 7, 10, 14)),
        ("(1,5)", (0, 7)),
        ("maj(*3)", (0, 7)),
        ("min11", (0, 3, 7)),
    ],
)
def test_a_quality_has_the_tones_of_its_shorthand_and_its_degrees(quality: str, tones: tuple[int, ...]) -> None:
    assert harte.tones(quality) == tones


@pytest.mark.parametrize("label", ["", "H:maj", "c:maj", "C:", "C:maj/", "C maj", "Cb#:maj", "C:maj7/x", "C:maj\n", "N:maj"])
def test_what_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="Harte"):
        harte.parse(label)


@pytest.mark.parametrize(
    ("tonic", "mode", "sharp", "name"),
    [
        ("F", "major", "A#", "Bb"),
        ("Eb", "major", "G#", "Ab"),
        ("Db", "major", "F#", "Gb"),
        ("D", "major", "Gb", "F#"),
        ("B", "major", "Bb", "A#"),
        ("F#", "major", "F", "E#"),
        ("C", "major", "A#", "Bb"),
        ("C", "major", "F#", "F#"),
        ("A", "minor", "Ab", "G#"),
        ("C", "minor", "G#", "Ab"),
        ("G#", "minor", "Eb", "D#"),
        ("Eb", "minor", "B", "Cb"),
        (None, "major", "A#", "Bb"),
        (None, "major", "Gb", "F#"),
        (None, "major", "Cb", "B"),
    ],
)
def test_a_note_is_named_as_its_key_names_it(tonic: str | None, mode: str, sharp: str, name: str) -> None:
    assert spelling.respell(sharp, tonic, mode) == name


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", ["C", "G", "D", "A", "E", "B", "F#", "C#", "Db", "Ab", "Eb", "Bb", "F"])
def test_respelling_changes_the_name_and_never_the_pitch(tonic: str, mode: str) -> None:
    for name in ("C", "C#", "Db", "D", "D#", "Eb", "E", "Fb", "F", "E#", "F#", "Gb", "G", "G#", "Ab", "A", "A#", "Bb", "B", "Cb"):
        spelled = spelling.respell(name, tonic, mode)
        assert spelling.pitch_class(spelled) == spelling.pitch_class(name)
        assert len(spelled) <= 2
    assert spelling.respell(tonic, tonic, mode) == tonic
