from __future__ import annotations

import pytest

from tasks.evaluation.datasets.made.styles import STYLES
from tasks.evaluation.split import split_of


def test_a_group_never_changes_sides() -> None:
    """Whoever changes these moves songs that constants were chosen on into the songs they are checked on."""
    assert [split_of("made", style) for style in ("rock_straight", "swing_walking_drums", "five_four_rock", "bossa")] == [
        "choose",
        "check",
        "choose",
        "check",
    ]
    assert [split_of("pop909", number) for number in ("001", "004", "009")] == ["check", "check", "check"]


@pytest.mark.parametrize(
    "family",
    [
        ("swing_walking_drums", "swing_walking_trio", "swing_charleston"),
        ("five_four_swing", "five_four_rock"),
        ("seven_eight", "seven_four"),
        ("jazz_waltz", "country_waltz", "waltz_viennese", "minuet", "waltz_rock"),
        ("gospel_12_8", "shuffle_12_8", "slow_blues", "doo_wop"),
        ("four_chord_loop", "four_chord_minor"),
        ("metal_gallop", "metal_blast", "metal_half_feel", "thrash"),
        ("odd_bars_rock", "odd_bars_folk"),
    ],
)
def test_both_halves_have_every_family_of_styles(family: tuple[str, ...]) -> None:
    assert set(family) <= set(STYLES)
    assert {split_of("made", style) for style in family} == {"choose", "check"}
