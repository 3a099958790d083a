"""The options of a run: the form's bounds, the ranges, and what of them enters keys."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.options import AnalysisOptions, Reading


@pytest.mark.parametrize(
    "outside",
    [
        {"min_bpm": 19},
        {"max_bpm": 401},
        {"min_bpm": float("nan")},
        {"melody_min_midi": 22},
        {"melody_max_midi": 97},
        {"melody_max_midi": 70.5},
        {"bass_min_midi": 22},
        {"bass_max_midi": 85},
    ],
)
def test_what_no_engine_can_do_is_refused(outside: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(outside))):
        AnalysisOptions(**outside)


def test_a_side_that_is_left_out_is_the_usual_one() -> None:
    options = AnalysisOptions(min_bpm=60, melody_max_midi=84, bass_min_midi=28)
    assert (options.tempo_range, options.melody_range, options.bass_range) == ((60, 240), (40, 84), (28, 60))


def test_only_a_range_that_is_not_the_usual_one_counts_as_chosen() -> None:
    assert AnalysisOptions(min_bpm=40, max_bpm=240, melody_min_midi=40, bass_max_midi=60).chosen() == AnalysisOptions().chosen()
    assert AnalysisOptions(melody_min_midi=48).chosen() == AnalysisOptions().chosen() | {"melody_range": (48, 88)}
    assert AnalysisOptions(max_bpm=120).chosen() == AnalysisOptions(min_bpm=40, max_bpm=120).chosen()


def test_how_a_file_is_read_is_chosen_only_where_it_is_not_as_usual() -> None:
    assert not {"track", "accept_damaged"} & AnalysisOptions().chosen().keys()
    assert AnalysisOptions(track=2, accept_damaged=True).chosen() == AnalysisOptions().chosen() | {"track": 2, "accept_damaged": True}
    assert AnalysisOptions(track=2).reading == Reading(track=2)
    with pytest.raises(ValidationError, match="track"):
        AnalysisOptions(track=0)


def test_the_form_tells_the_bounds() -> None:
    fields = AnalysisOptions.model_json_schema()["properties"]
    ranges = {name: field["anyOf"][0] for name, field in fields.items() if name.endswith(("_bpm", "_midi"))}
    bounds = {name: (number["minimum"], number["maximum"]) for name, number in ranges.items()}
    assert bounds == {
        "min_bpm": (20, 400),
        "max_bpm": (20, 400),
        "melody_min_midi": (23, 96),
        "melody_max_midi": (23, 96),
        "bass_min_midi": (23, 84),
        "bass_max_midi": (23, 84),
    }
    for name, (low, high) in bounds.items():
        assert f"({low:g} to {high:g}" in fields[name]["description"], name
    assert [field["position"] for field in fields.values()] == list(range(1, len(fields) + 1))
