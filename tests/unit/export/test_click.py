"""Click tracks: the clicks are found in the file, at the very samples of the map's beats."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from odd_songs import SONGS, Maker, song_of
from sounding import RATE, sounding

from schemas.sound_format import SoundFormat
from tasks.common.errors import ExportNeedsSound, ExportNothingToWrite
from tasks.export.click import click_track, write, write_with_mix
from tasks.export.options import ExportOptions
from tasks.export.song import Song

WITH_BEATS = [name for name in SONGS if len(song_of(name).beats) > 1 and name != "long"]
LOUD, SOFT = 0.9, 0.5


def heard(content: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    assert rate == RATE
    return samples


def clicks_in(samples: np.ndarray) -> list[tuple[int, bool]]:
    """(sample, accented) of each click: where the level jumps from next to nothing to a click's first and loudest sample."""
    found = []
    for place in np.flatnonzero(samples > 0.45):
        before = np.abs(samples[max(0, place - 60) : place]).max(initial=0.0)
        if before < 0.02:
            found.append((int(place), samples[place] > (LOUD + SOFT) / 2))
    return found


@pytest.mark.parametrize("form", [SoundFormat.flac16, SoundFormat.wav16, SoundFormat.wav24])
@pytest.mark.parametrize("name", WITH_BEATS)
def test_a_click_is_at_the_sample_of_every_beat(name: str, form: SoundFormat) -> None:
    song_map = song_of(name)
    samples = heard(write(Song(song_map), ExportOptions(sound_format=form, count_in_bars=0)))
    assert samples.shape == (round(song_map.duration_sec * RATE), 1)
    assert clicks_in(samples[:, 0]) == [(round(beat * RATE), beat in song_map.downbeats) for beat in song_map.beats]


@pytest.mark.parametrize("bars", [1, 2])
@pytest.mark.parametrize("name", WITH_BEATS)
def test_a_count_in_leads_to_the_first_beat_in_the_tempo_of_the_first_bar(name: str, bars: int) -> None:
    song_map = song_of(name)
    first = song_map.bars[0]
    beat = (first.end - first.start) / first.beats
    song_start = click_track(song_map, bars).song_start
    found = clicks_in(heard(write(Song(song_map), ExportOptions(count_in_bars=bars)))[:, 0])
    assert found[-len(song_map.beats) :] == [(song_start + round(time * RATE), time in song_map.downbeats) for time in song_map.beats]
    count_in = found[: -len(song_map.beats)]
    missing = -first.first_beat % first.beats
    assert len(count_in) == bars * first.beats + missing
    assert [accented for _, accented in count_in] == [nth % first.beats == 0 for nth in range(len(count_in))]
    assert count_in[0][0] == 0  # the song has less time before its first beat than the count-in takes
    steps = np.diff([*(place for place, _ in count_in), song_start + round(song_map.beats[0] * RATE)])
    assert np.abs(steps - beat * RATE).max() <= 1.5  # both ends are rounded


def test_a_pickup_is_completed_to_a_bar() -> None:
    """Two beats of pickup in 4/4: 1 2 3 4 1 2, and the song's first beats are the 3 and the 4."""
    found = clicks_in(heard(write(Song(song_of("pickup")), ExportOptions()))[:, 0])
    assert [accented for _, accented in found[:9]] == [True, False, False, False, True, False, False, False, True]


def test_a_song_with_time_before_its_first_beat_has_the_count_in_there() -> None:
    song_map = Maker(first_sec=12.0).make()
    track = click_track(song_map, 1)
    assert track.song_start == 0
    first = song_map.bars[0]
    beat = (first.end - first.start) / 4
    assert [click.sample for click in track.clicks[:5]] == [round((song_map.beats[0] - (4 - nth) * beat) * RATE) for nth in range(5)]


def test_the_song_is_on_the_right_where_the_clicks_say_it_is(tmp_path: Path) -> None:
    song, mix = sounding("pickup", tmp_path)
    track = click_track(song.map, 1)
    samples = heard(write_with_mix(song, ExportOptions(sound_format=SoundFormat.wav24)))
    assert len(samples) == track.song_start + len(mix)
    assert clicks_in(samples[:, 0]) == [(click.sample, click.accented) for click in track.clicks]
    assert not samples[: track.song_start, 1].any()
    assert np.abs(samples[track.song_start :, 1] - mix.mean(axis=1)).max() < 2**-22


def test_a_song_that_is_too_loud_is_quieter_and_not_cut_off(tmp_path: Path) -> None:
    song, mix = sounding("waltz", tmp_path)
    loud = 6.0 * mix
    soundfile.write(tmp_path / "mix.wav", loud, RATE, subtype="FLOAT")
    samples = heard(write_with_mix(Song(song.map, tmp_path, tmp_path / "mix.wav"), ExportOptions(count_in_bars=0)))
    expected = loud.mean(axis=1)
    assert np.abs(expected).max() > 1
    gain = np.dot(samples[:, 1], expected) / np.dot(expected, expected)
    assert gain * np.abs(expected).max() == pytest.approx(1.0, abs=0.002)
    assert np.abs(samples[:, 1] - gain * expected).max() < 1e-4
    assert samples[round(song.map.beats[0] * RATE), 0] == pytest.approx(LOUD * gain, abs=1e-3)


def test_the_mix_itself_is_used_where_it_is_at_hand(tmp_path: Path) -> None:
    mix = 0.1 * np.ones((RATE * 3, 1), np.float32)
    soundfile.write(tmp_path / "mix.wav", mix, RATE, subtype="FLOAT")
    song_map = song_of("plain")
    samples = heard(write_with_mix(Song(song_map, mix=tmp_path / "mix.wav"), ExportOptions(count_in_bars=0)))
    assert len(samples) == round(song_map.duration_sec * RATE)  # what is missing of the mix is silence
    assert samples[: 3 * RATE, 1] == pytest.approx(0.1, abs=1e-4)
    assert not samples[3 * RATE :, 1].any()


def test_without_the_song_there_is_the_click_alone() -> None:
    song = Song(song_of("plain"))
    assert write(song, ExportOptions())
    with pytest.raises(ExportNeedsSound):
        write_with_mix(song, ExportOptions())


def test_a_damaged_stem_is_told(tmp_path: Path) -> None:
    song, _ = sounding("plain", tmp_path)
    song.stem("vocals").write_bytes(b"RIFF nothing")
    with pytest.raises(ExportNeedsSound, match="damaged"):
        write_with_mix(song, ExportOptions())


@pytest.mark.parametrize("name", ["no_pulse", "nothing"])
def test_a_song_without_beats_has_no_click(name: str) -> None:
    with pytest.raises(ExportNothingToWrite, match="no beats"):
        write(Song(song_of(name)), ExportOptions())


def test_beats_without_bars_are_counted_in_by_their_own_distance() -> None:
    def no_bars(document: dict) -> None:
        document["bars"], document["downbeats"] = [], []

    song_map = Maker(bpm=120.0, changes=no_bars).make()
    track = click_track(song_map, 1)
    assert len(track.clicks) == 4 + len(song_map.beats)
    assert track.clicks[1].sample == pytest.approx(0.5 * RATE, abs=0.01 * RATE)
    assert [click.accented for click in track.clicks].count(True) == 1


def test_beats_nearer_than_a_click_is_long_each_have_theirs() -> None:
    song_map = song_of("plain")
    close = song_map.model_copy(update={"beats": (1.0, 1.01, 1.02), "downbeats": (1.02,), "bars": ()})
    samples = heard(write(Song(close), ExportOptions(count_in_bars=0, sound_format=SoundFormat.wav16)))[:, 0]
    assert [samples[round(beat * RATE)] for beat in close.beats] == pytest.approx([SOFT, SOFT, LOUD], abs=1e-4)


@pytest.mark.slow
def test_a_hundred_minutes_end_on_the_beat() -> None:
    song_map = song_of("long")
    content = write(Song(song_map), ExportOptions(count_in_bars=0))
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        assert file.frames == round(song_map.duration_sec * RATE)
        last = round(song_map.beats[-1] * RATE)
        file.seek(last - 100)
        samples = file.read(200)
    assert not samples[:100].any()
    assert samples[100] == pytest.approx(SOFT, abs=1e-3)
