"""The grid has a place for every moment, and its bars are those of the song."""

from __future__ import annotations

import pytest
from odd_songs import SONGS, Maker, song_of

from tasks.export.grid import QUARTER, Grid, cells, grid_of


def meters(grid: Grid) -> list[str]:
    return [f"{bar.numerator}/{bar.denominator}" for bar in grid.bars]


@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize("name", SONGS)
def test_bars_follow_each_other_over_the_whole_song(name: str, from_zero: bool) -> None:
    song_map = song_of(name)
    grid = grid_of(song_map, from_zero)
    assert grid.bars[0].tick == 0
    assert grid.bars[0].start == 0 if from_zero else grid.bars[0].start <= 0
    assert grid.bars[-1].end >= song_map.duration_sec
    for bar, following in zip(grid.bars, grid.bars[1:], strict=False):
        assert bar.until == following.tick
        assert bar.end == pytest.approx(following.start, abs=1e-9)
    assert list(grid.ticks) == sorted(set(grid.ticks))
    assert list(grid.times) == sorted(set(grid.times))


@pytest.mark.parametrize("name", [name for name in SONGS if song_of(name).beats])
def test_every_beat_that_was_heard_is_a_beat_of_the_grid(name: str) -> None:
    song_map = song_of(name)
    for grid in (grid_of(song_map), grid_of(song_map, from_zero=False)):
        assert set(song_map.beats) <= set(grid.times)
        assert set(song_map.downbeats) <= {bar.start for bar in grid.bars}
        assert {grid.tick(bar.start) for bar in song_map.bars} <= {bar.tick for bar in grid.bars}


@pytest.mark.parametrize("name", SONGS)
def test_time_and_place_are_each_others_inverse(name: str) -> None:
    grid = grid_of(song_of(name))
    for time in (0.0, 0.3, 1.234, 7.7, song_of(name).duration_sec):
        assert grid.time(grid.tick(time)) == pytest.approx(time, abs=1e-9)


def test_a_pickup_is_a_bar_of_its_own_meter() -> None:
    # half a second and two beats of 2/3 s: one beat is counted back, and with the pickup's two it makes three
    assert meters(grid_of(song_of("pickup")))[:3] == ["3/4", "4/4", "4/4"]


def test_changes_of_meter_are_those_of_the_song() -> None:
    assert meters(grid_of(song_of("changing"))) == ["1/4", *["4/4"] * 3, *["3/4"] * 2, *["4/4"] * 2, "7/8", *["4/4"] * 3]


def test_a_long_way_to_the_first_beat_is_counted_in_whole_bars() -> None:
    grid = grid_of(Maker(first_sec=10.0, bpm=120.0).make())
    assert meters(grid)[:6] == ["4/4"] * 6
    assert grid.bars[5].start == 10.0


@pytest.mark.parametrize(("first_sec", "denominator"), [(0.25, 8), (0.15, 16), (0.03, 64), (0.01, 64)])
def test_less_than_half_a_beat_before_the_first_one_is_a_short_bar(first_sec: float, denominator: int) -> None:
    grid = grid_of(Maker(first_sec=first_sec, bpm=100.0).make())
    assert meters(grid)[:2] == [f"1/{denominator}", "4/4"]
    assert grid.bars[1].start == first_sec


def test_a_first_beat_at_the_very_beginning_has_nothing_before_it() -> None:
    assert meters(grid_of(Maker(first_sec=0.0).make()))[0] == "4/4"


def test_a_pickup_longer_than_a_bar_fills_bars() -> None:
    grid = grid_of(Maker(pickup=6, first_sec=0.0).make())
    assert meters(grid)[:3] == ["2/4", "4/4", "4/4"]


def test_bars_whose_downbeats_are_not_known_have_their_meters_length() -> None:
    def one_downbeat(document: dict) -> None:  # type: ignore[type-arg]
        document["downbeats"] = document["downbeats"][:1]
        document["bars"] = [document["bars"][0] | {"beats": len(document["beats"]), "end": document["bars"][-1]["end"]}]

    grid = grid_of(Maker(first_sec=0.0, changes=one_downbeat).make())
    assert meters(grid) == ["4/4"] * 9


def test_a_last_bar_that_breaks_off_is_completed() -> None:
    def broken_off(document: dict) -> None:  # type: ignore[type-arg]
        document["beats"] = document["beats"][:-2]
        document["beat_conf"] = document["beat_conf"][:-2]
        document["bars"][-1] |= {"beats": 2, "end": document["beats"][-1] + 0.6}

    grid = grid_of(Maker(first_sec=0.0, changes=broken_off).make())
    assert set(meters(grid)) == {"4/4"}


def test_without_a_pulse_the_beats_are_half_seconds() -> None:
    grid = grid_of(song_of("no_pulse"))
    assert not grid.has_pulse
    assert grid.tick(1.0) == 2 * QUARTER


def test_the_nearest_place_is_counted_from_the_bars_beginning() -> None:
    grid = grid_of(song_of("six_eight"))
    bar = grid.bars[2]
    assert grid.nearest(bar.start + 0.01, QUARTER) == bar.tick
    assert grid.bar_line(bar.start + 0.4 * (bar.end - bar.start)) == bar.tick
    assert grid.bar_line(bar.start + 0.6 * (bar.end - bar.start)) == bar.until


def test_cells_are_beats_of_a_quarter_note_at_most() -> None:
    assert {length for _, length in cells(grid_of(song_of("changing")))} == {QUARTER, QUARTER // 2}
    halves = grid_of(Maker(meters=((2, 2, 4),)).make())
    assert {length for _, length in cells(halves)} == {QUARTER}
