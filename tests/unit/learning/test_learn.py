"""Learning the weights of beats, bars and keys, on songs of our making."""

from __future__ import annotations

import numpy as np
import pytest
from songs_of_beats import chord_a_bar, song

from tasks.beats_key import bars, pulse
from tasks.beats_key.key import KeyPosteriors
from tasks.beats_key.tonality import Tonality
from tasks.evaluation.annotations import AnnotatedSong, Annotations, Span
from tests.performance.learning import learn
from tests.performance.learning.listen import Heard

LOOP = ("C:maj", "A:min", "F:maj", "G:maj")


def lesson(number: int, tracked_every: int) -> learn.Lesson:
    """A song of 100 bpm or so, of which the tracker found the beats (2) or their eighths (1)."""
    eighths = 0.4 + (0.28 + 0.01 * number) * np.arange(128)
    beats = eighths[::2]
    end = float(eighths[-1]) + 1.0
    evidence = song(beats, beats[::4], end, chord_a_bar(beats[::4], LOOP, end), kick=beats[::2], snare=beats[1::2])
    return learn.Lesson(f"song {number}", 1.0, eighths[::tracked_every], evidence, beats, beats[::4])


def test_what_is_learnt_tells_the_eighths_of_other_songs_from_their_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = [lesson(number, 1 + number % 2) for number in range(10)]
    examples, scores = learn.pulse_examples(lessons, 40, 240)
    assert {round(float(max(score)), 2) for score in scores} == {1.0}
    assert examples.wanted.sum() == pytest.approx(len(lessons))
    network = learn.learn_pulse(examples, hidden=4, steps=120)
    monkeypatch.setattr(pulse, "networks", lambda: {"pulse": network})
    for number, kind in ((11, "found"), (12, "half")):
        other = lesson(number, 2 if kind == "found" else 1)
        assert pulse.weigh(other.times, other.evidence, 40, 240)[0].kind == kind


def test_what_is_learnt_places_the_bars_of_other_songs(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = learn.bar_examples([lesson(number, 2) for number in range(8)])
    assert examples.wanted.mean() == pytest.approx(0.25)
    assert examples.weights is not None
    assert examples.weights.sum() == pytest.approx(8.0)
    network = learn.learn_bars(examples, hidden=4, steps=120)
    monkeypatch.setattr(bars, "networks", lambda: {"bars": network})
    other = lesson(12, 2)
    course = bars.best_course(bars.downbeat_log_odds(other.times, other.evidence), other.times)
    np.testing.assert_allclose(other.times[course.positions == 0], other.downbeats)


def test_songs_whose_beats_were_missed_teach_nothing_about_bars() -> None:
    missed = lesson(3, 1)
    examples = learn.bar_examples([missed, lesson(4, 2)])
    assert set(examples.songs) == {1}


def heard(tonic: str, moved: int) -> Heard:
    lines = 2.0 * np.arange(20)
    names = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    labels = [f"{names[(degree + moved) % 12]}:{kind}" for degree, kind in ((0, "maj"), (7, "maj"), (9, "min"), (5, "maj"))]
    chords = chord_a_bar(lines, labels, 40.0)
    evidence = song(lines, lines, 40.0, chords)
    truth = Annotations(keys=(Span(0.0, 40.0, f"{tonic} major"),), chords=tuple(Span(*chord) for chord in chords))
    keys = KeyPosteriors(5.0 * np.arange(5), 20.0, np.full((5, 24), 1 / 24), Tonality(evidence.chords, evidence.harmony))
    return Heard(AnnotatedSong("made", tonic, lambda: None, truth), 40.0, lines, lines, evidence, keys)  # type: ignore[arg-type, return-value]


def test_chords_are_counted_by_their_degree_and_kind() -> None:
    shares = learn.chords_in_key([heard("C", 0), heard("Eb", 3)])
    assert shares.sum(axis=(1, 2)) == pytest.approx([1.0, 1.0])
    major = shares[0]
    assert {tuple(map(int, place)) for place in np.argwhere(major > 0.2)} == {(0, 0), (7, 0), (9, 2), (5, 0)}


def test_a_key_has_a_row_a_stretch_and_its_windows() -> None:
    song_in_d = heard("D", 2)
    examples = learn.key_examples([song_in_d])
    assert examples.features.shape == (24 * 3, 9)  # the whole, and two windows of 20 s
    rows = examples.wanted.reshape(-1, 24)
    assert rows.argmax(axis=1).tolist() == [2, 2, 2]
    assert rows.max(axis=1).tolist() == [1.0, 0.4, 0.4]
    assert learn.key_label(2) == "D major"
    assert learn.key_number("Bb minor") == 22
