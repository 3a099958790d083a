"""Relative keys told apart by the harmony."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.beats_key.key import KeyPosteriors, find_keys, relatives
from tasks.beats_key.tonic import TonicEvidence

FPS = 20.0


def triad(root: int, minor: bool) -> np.ndarray:
    chroma = np.zeros(12)
    chroma[[root % 12, (root + (3 if minor else 4)) % 12, (root + 7) % 12]] = 1.0
    return chroma


def harmony(chords: list[tuple[int, bool]], bars: int) -> TonicEvidence:
    """A chord of two seconds each, again and again, so many in all. (root, is minor)"""
    columns = [triad(*chords[bar % len(chords)]) for bar in range(bars)]
    return TonicEvidence(np.repeat(np.array(columns).T, round(2 * FPS), axis=1), FPS)


#: Of C major and A minor: what a song in each mostly plays.
IN_MAJOR = [(0, False), (7, False), (9, True), (5, False), (0, False), (5, False), (7, False), (0, False)]
IN_MINOR = [(9, True), (5, False), (0, False), (7, False), (9, True), (2, True), (4, False), (9, True)]


@pytest.mark.parametrize("transposed", range(12))
def test_the_harmony_of_a_minor_song_rests_on_the_minor_tonic(transposed: int) -> None:
    for chords, sign in ((IN_MAJOR, -1), (IN_MINOR, 1)):
        moved = [(root + transposed, minor) for root, minor in chords]
        assert sign * harmony(moved, 40).for_minor(transposed, 0.0, 80.0) > 1.0


def test_a_few_seconds_say_less_than_a_song() -> None:
    short, long = harmony(IN_MINOR, 5).for_minor(0, 0.0, 10.0), harmony(IN_MINOR, 40).for_minor(0, 0.0, 80.0)
    assert 0.0 < short < 0.7 * long


def test_silence_says_nothing() -> None:
    assert TonicEvidence(np.zeros((12, 400)), FPS).for_minor(0, 0.0, 20.0) == 0.0
    assert TonicEvidence(np.zeros((12, 0)), FPS).for_minor(0, 0.0, 0.0) == 0.0


def posteriors(key: int, other: int, sure: float, tonics: TonicEvidence) -> KeyPosteriors:
    """A network that hears one key, and a second one, in every window."""
    starts = np.arange(0.0, 65.0, 5.0)
    probabilities = np.full((len(starts), 24), 0.001)
    probabilities[:, key], probabilities[:, other] = sure, 1 - sure
    return KeyPosteriors(starts, 20.0, probabilities, tonics)


def test_a_minor_song_that_the_network_takes_for_major_is_in_minor() -> None:
    spans, main = find_keys(posteriors(0, 21, 0.7, harmony(IN_MINOR, 40)), [], 80.0)
    assert main is not None
    assert [(span.tonic, span.mode) for span in spans] == [("A", "minor")] == [(main.tonic, main.mode)]
    assert 0.5 < main.confidence <= 1.0


def test_a_major_song_stays_in_major() -> None:
    _, main = find_keys(posteriors(0, 21, 0.7, harmony(IN_MAJOR, 40)), [], 80.0)
    assert main is not None
    assert (main.tonic, main.mode) == ("C", "major")


def test_a_network_that_is_certain_outweighs_a_weak_harmony() -> None:
    mixed = harmony([*IN_MINOR[:4], *IN_MAJOR[:4]], 40)
    _, main = find_keys(posteriors(0, 21, 0.995, mixed), [], 80.0)
    assert main is not None
    assert main.mode == "major"


def test_relatives_share_their_signature() -> None:
    assert relatives(0) == relatives(21) == (0, 21)  # C major, A minor
    assert relatives(7) == relatives(16) == (7, 16)  # G major, E minor
