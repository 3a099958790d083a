"""Where the parts of a map contradict each other."""

from __future__ import annotations

import itertools

import pytest

from schemas.results import Beat, Chord, KeySpan
from tasks.packager.agreement import contradictions

BEATS = tuple(Beat(time=0.5 * i, position=i % 4 + 1, confidence=0.9) for i in range(64))


def chords(first_beat: int, roots: str = "CAFG", every: int = 4) -> list[Chord]:
    edges = [0, *range(first_beat or every, 64, every), 64]
    return [
        Chord(
            start=0.5 * start,
            end=0.5 * end,
            label=f"{roots[i % len(roots)]}:maj",
            display=roots[i % len(roots)],
            root=roots[i % len(roots)],
            quality="maj",
            bass=None,
            confidence=0.8,
            start_beat=start,
            end_beat=end,
        )
        for i, (start, end) in enumerate(itertools.pairwise(edges))
    ]


def key(tonic: str, mode: str = "major") -> KeySpan:
    return KeySpan(start=0.0, end=32.0, tonic=tonic, mode=mode, confidence=0.9)


def test_chords_that_change_on_the_first_beat_in_a_key_that_has_them_agree() -> None:
    assert contradictions(BEATS, chords(0), [key("C")]) == ()
    assert contradictions(BEATS, chords(0), []) == ()
    assert contradictions((), [], [key("C")]) == ()


@pytest.mark.parametrize("beat", [2, 3])
def test_chords_that_change_a_beat_away_from_every_bar_line_contradict_the_bars(beat: int) -> None:
    (warning,) = contradictions(BEATS, chords(beat - 1), [key("C")])
    assert f"lie on beat {beat} of a bar" in warning


def test_chords_on_every_beat_say_nothing_of_the_bars() -> None:
    assert contradictions(BEATS, chords(0, every=1), [key("C")]) == ()


def test_a_key_that_cannot_explain_the_chords_is_told() -> None:
    (warning,) = contradictions(BEATS, chords(0), [key("F#")])
    assert "F# major" in warning
    assert contradictions(BEATS, chords(0), [key("A", "minor")]) == ()


def test_a_few_chords_are_not_enough_to_say() -> None:
    assert contradictions(BEATS[:12], chords(2)[:3], [key("F#").model_copy(update={"end": 6.0})]) == ()
