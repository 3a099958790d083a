"""Chords with their names."""

from __future__ import annotations

import pytest

from schemas.results import KeySpan
from tasks.common.harmony.naming import in_key, named_chord


def a_key(tonic: str, mode: str = "major") -> KeySpan:
    return KeySpan(start=0.0, end=9.0, tonic=tonic, mode=mode, confidence=0.9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "key", "spelled"),
    [
        ("A#:maj", a_key("F"), "Bb:maj"),
        ("Bb:maj", a_key("B"), "A#:maj"),
        ("C#:maj7", a_key("Ab"), "Db:maj7"),
        ("A#:maj", None, "Bb:maj"),
        ("N", a_key("F"), "N"),
        ("Am7", a_key("F"), "Am7"),
    ],
)
def test_a_root_is_named_as_the_key_names_it(label: str, key: KeySpan | None, spelled: str) -> None:
    assert in_key(label, key) == spelled


def test_a_chord_has_its_names_and_its_alternatives_the_same_spelling() -> None:
    chord = named_chord(1.0, 2.0, "C:maj/3", {"A#:maj": 0.2, "C:maj/3": 0.6, "N": 0.05, "A:min": 0.1, "F:maj": 0.04}, a_key("F"), 2, 4)
    assert (chord.label, chord.display, chord.root, chord.quality, chord.bass) == ("C:maj/3", "C/E", "C", "maj", "E")
    assert (chord.confidence, chord.start_beat, chord.end_beat) == (0.6, 2, 4)
    assert [(other.label, other.display) for other in chord.alternatives] == [("Bb:maj", "Bb"), ("A:min", "Am"), ("N", "N.C.")]


def test_what_is_hardly_believed_is_no_alternative_and_what_is_no_label_is_left_to_be_refused() -> None:
    chord = named_chord(0.0, 1.0, "Am7", {"Am7": 0.9, "C:maj": 0.009})
    assert (chord.label, chord.display, chord.root, chord.quality, chord.alternatives) == ("Am7", "Am7", None, None, ())
