"""In which key a stretch of music is."""

from __future__ import annotations

import numpy as np
import pytest
from songs_of_beats import chord_a_bar, song

from tasks.beats_key.key import KeyPosteriors, find_keys, key_name
from tasks.beats_key.tonality import Tonality

NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
#: (semitones above C, kind): four-chord loops, and a minor song with its dominant.
IN_C = ((0, "maj"), (7, "maj"), (9, "min"), (5, "maj"))
IN_A_MINOR = ((9, "min"), (2, "min"), (4, "7"), (9, "min"))


def tonality(chords: tuple[tuple[int, str], ...], moved: int = 0, bars: int = 24) -> Tonality:
    labels = [f"{NAMES[(degree + moved) % 12]}:{kind}" for degree, kind in chords]
    lines = 2.0 * np.arange(bars)
    evidence = song(lines, lines, 2.0 * bars, chord_a_bar(lines, labels, 2.0 * bars))
    return Tonality(evidence.chords, evidence.harmony)


UNSURE = np.full(24, 1 / 24)


@pytest.mark.parametrize("moved", range(12))
def test_the_key_is_the_one_that_explains_the_chords_in_any_transposition(moved: int) -> None:
    assert tonality(IN_C, moved).probabilities(UNSURE, 0.0, 48.0).argmax() == moved
    assert tonality(IN_A_MINOR, moved).probabilities(UNSURE, 0.0, 48.0).argmax() == 12 + (9 + moved) % 12


def test_a_network_that_is_a_fifth_off_is_outvoted_by_the_chords() -> None:
    hears_g = np.full(24, 0.01)
    hears_g[7], hears_g[0] = 0.6, 0.2
    found = tonality(IN_C).probabilities(hears_g / hears_g.sum(), 0.0, 48.0)
    assert found.argmax() == 0
    assert found.sum() == pytest.approx(1.0)


def test_without_chords_and_harmony_the_network_is_all_there_is() -> None:
    silent = song(np.array([1.0]), np.array([1.0]), 30.0)
    hears_g = np.full(24, 0.01)
    hears_g[7] = 0.77
    nothing = Tonality(silent.chords, silent.harmony)
    assert nothing.probabilities(hears_g, 0.0, 30.0).argmax() == 7
    assert nothing.chord_share(30.0) is None


def test_a_song_changes_its_key_where_its_chords_do() -> None:
    first = chord_a_bar(2.0 * np.arange(20), ["C:maj", "F:maj", "G:7", "C:maj"], 40.0)
    second = [
        (start + 40, end + 40, label)
        for start, end, label in chord_a_bar(2.0 * np.arange(20), ["Eb:maj", "Ab:maj", "Bb:7", "Eb:maj"], 40.0)
    ]
    evidence = song(np.arange(1.0, 79.0), np.arange(1.0, 79.0, 4.0), 80.0, [*first, *second])
    starts = 5.0 * np.arange(13)
    posteriors = KeyPosteriors(starts, 20.0, np.full((13, 24), 1 / 24), Tonality(evidence.chords, evidence.harmony))
    spans, longest = find_keys(posteriors, [], 80.0)
    assert [(span.tonic, span.mode) for span in spans] == [("C", "major"), ("Eb", "major")]
    assert abs(spans[1].start - 40.0) < 6.0
    assert longest is not None
    assert 0.0 < longest.confidence <= 1.0


def test_drums_and_noise_in_which_no_chord_was_heard_have_no_key() -> None:
    evidence = song(np.arange(1.0, 29.0), np.arange(1.0, 29.0, 4.0), 30.0, [(0.0, 30.0, "N")])
    sure_of_it = np.full((3, 24), 0.01)
    sure_of_it[:, 5] = 0.77
    given = KeyPosteriors(np.array([0.0, 5.0, 10.0]), 20.0, sure_of_it, Tonality(evidence.chords, evidence.harmony))
    assert find_keys(given, [], 30.0) == ((), None)
    assert key_name(5) == ("F", "major")
