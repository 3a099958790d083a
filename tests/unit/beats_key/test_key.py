"""Keys from key probabilities."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from tasks.beats_key.key import KeyPosteriors, change_costs, confusable, find_keys, key_name, window_starts

C_MAJOR, G_MAJOR, A_MINOR, DB_MAJOR = 0, 7, 21, 1


def posteriors(keys: list[int], certainty: float = 0.8) -> KeyPosteriors:
    rows = np.full((len(keys), 24), (1 - certainty) / 23)
    rows[np.arange(len(keys)), keys] = certainty
    return KeyPosteriors(5.0 * np.arange(len(keys)), 20.0, rows)


def test_a_song_in_one_key_has_one_span():
    spans, song = find_keys(posteriors([G_MAJOR] * 20), [], 115.0)
    assert [(span.start, span.end, span.tonic, span.mode) for span in spans] == [(0.0, 115.0, "G", "major")]
    assert song is not None
    assert song.tonic == "G"
    assert song.confidence == pytest.approx(0.8)


@pytest.mark.parametrize("other", [G_MAJOR, A_MINOR, DB_MAJOR])
def test_a_passing_doubt_is_no_key_change(other):
    spans, _ = find_keys(posteriors([C_MAJOR] * 10 + [other] * 2 + [C_MAJOR] * 10), [], 125.0)
    assert len(spans) == 1


def test_a_lasting_change_is_one_and_lies_on_a_downbeat():
    downbeats = list(np.arange(0.7, 200, 2.0))
    spans, song = find_keys(posteriors([C_MAJOR] * 14 + [DB_MAJOR] * 20), downbeats, 185.0)
    assert [(span.tonic, span.mode) for span in spans] == [("C", "major"), ("Db", "major")]
    assert spans[0].end == spans[1].start
    assert spans[0].end in downbeats
    assert abs(spans[0].end - 77.5) <= 1.0
    assert (spans[0].start, spans[-1].end) == (0.0, 185.0)
    assert song is not None
    assert (song.tonic, song.start, song.end) == ("Db", 0.0, 185.0)


def test_changes_without_a_downbeat_near_stay_where_they_are():
    spans, _ = find_keys(posteriors([C_MAJOR] * 14 + [DB_MAJOR] * 20), [1.0, 150.0], 185.0)
    assert spans[1].start == pytest.approx(77.5)


def test_nothing_pitched_has_no_key():
    assert find_keys(posteriors([C_MAJOR] * 10, certainty=0.2), [], 65.0) == ((), None)
    assert find_keys(KeyPosteriors(np.zeros(0), 0.0, np.zeros((0, 24))), [], 10.0) == ((), None)


def test_changing_to_a_key_that_is_easily_confused_costs_more():
    costs = change_costs()
    assert costs[C_MAJOR, G_MAJOR] > costs[C_MAJOR, DB_MAJOR] > costs[C_MAJOR, C_MAJOR] == 0
    np.testing.assert_array_equal(costs, costs.T)
    assert set(confusable(C_MAJOR)) == {7, 5, 21, 12}


def test_tonics_are_spelled_as_the_schema_wants():
    names = [key_name(key) for key in range(24)]
    assert all(re.fullmatch(r"[A-G][b#]?", tonic) for tonic, _ in names)
    assert names[3] == ("Eb", "major")
    assert names[13] == ("C#", "minor")


@pytest.mark.parametrize("duration", [0.5, 20.0, 20.1, 61.0, 180.0])
def test_windows_cover_the_song(duration):
    starts, length = window_starts(duration)
    assert starts[0] == 0
    assert starts[-1] + length == pytest.approx(duration)
    assert all(0 < later - earlier <= 5.0 for earlier, later in itertools.pairwise(starts))


def test_agrees_with_the_golden_keys(golden):
    for case in golden("key"):
        rows = np.full((len(case["windows"]), 24), 0.0)
        for row, weights in zip(rows, case["windows"], strict=True):
            row[[int(key) for key in weights]] = list(weights.values())
            row += (1 - row.sum()) / 24
        given = KeyPosteriors(5.0 * np.arange(len(rows)), 20.0, rows)
        spans, song = find_keys(given, case["downbeats"], case["duration"])
        assert [span.model_dump() for span in spans] == case["expected"]["keys"], case["name"]
        assert song is not None
        assert song.model_dump() == case["expected"]["global_key"], case["name"]
