"""Level, a silent channel, inverted phase and offset: what is read is put right, the map is told, and a good file stays as it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.results import SongSource
from tasks.common.audio import read_stereo
from tasks.common.errors import AudioSilent
from tasks.common.step import StepContext
from tasks.ingest.ingest import ingest_song
from tasks.ingest.levels import LevelMeter, Repair

RATE = 44100
SECONDS = 3


def mix(width: float = 0.3) -> np.ndarray:
    """(2, frames): a bass and a tune in the middle, and something at the sides; its peak is 0.5."""
    time = np.arange(SECONDS * RATE) / RATE
    middle = np.sin(2 * np.pi * 80 * time) + np.sin(2 * np.pi * 330 * time) * (1 + np.sin(2 * np.pi * 1.7 * time))
    sides = width * np.sin(2 * np.pi * 1234 * time)
    song = np.stack([middle + sides, middle - sides])
    return (0.5 * song / np.abs(song).max()).astype(np.float32)


def ingested(samples: np.ndarray, tmp_path: Path, ctx: StepContext, subtype: str = "FLOAT") -> tuple[SongSource, np.ndarray]:
    soundfile.write(tmp_path / "song.wav", samples.T, RATE, subtype=subtype)
    source = ingest_song(tmp_path / "song.wav", ctx)
    return source, read_stereo(ctx.store.path(source.audio))


def hash_of(samples: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(samples.T, dtype="<f4").tobytes()).hexdigest()


@pytest.mark.parametrize("width", [0.0, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("peak", [0.11, 0.5, 1.0, 2.0])
def test_a_recording_without_a_fault_stays_as_it_is(tmp_path: Path, ctx: StepContext, width: float, peak: float) -> None:
    song = (mix(width) * np.float32(2 * peak)).astype(np.float32)
    source, heard = ingested(song, tmp_path, ctx)
    np.testing.assert_array_equal(heard, song)
    assert source.audio.sha256 == source.decoded_sha256 == hash_of(song)
    assert (source.gain_db, source.offset, source.channels, source.decode_sha256) == (0.0, (0.0, 0.0), "both", None)
    assert ctx.warnings == []


def test_what_was_put_right_enters_later_steps_keys_by_the_sound_alone() -> None:
    added = {"decode_sha256", "gain_db", "offset", "channels", "track", "tracks", "start_sec"}
    assert added <= SongSource.not_content
    assert set(SongSource.model_fields) - SongSource.not_content == {"song_id", "audio", "duration_sec", "loudness"}


@pytest.mark.parametrize("level_db", [-25, -40, -50, -60])
def test_a_quiet_recording_is_raised_and_the_map_told(tmp_path: Path, ctx: StepContext, level_db: int) -> None:
    quiet = (mix() * np.float32(2 * 10 ** (level_db / 20))).astype(np.float32)
    source, heard = ingested(quiet, tmp_path, ctx)
    assert 0.5 < np.abs(heard).max() <= 1.0
    np.testing.assert_array_equal(heard, np.ldexp(quiet, round(source.gain_db / 6.0206)))  # exact: it can be taken back
    assert source.song_id == hash_of(quiet)[:16] == source.decoded_sha256[:16]
    assert source.audio.sha256 == hash_of(heard) != source.decoded_sha256
    assert source.loudness.peak_dbfs == pytest.approx(level_db, abs=0.01)  # of the file
    assert ctx.warnings == [
        f"The recording is quiet (peak {level_db:.1f} dBFS): it was raised by {source.gain_db:.2f} dB, as are the stems"
    ]


def test_levels_apart_by_powers_of_two_are_heard_alike(tmp_path: Path, ctx: StepContext) -> None:
    heard = [ingested(mix() * np.float32(2.0**exponent), tmp_path, ctx)[1] for exponent in (-4, -7, -10)]
    assert hash_of(heard[0]) == hash_of(heard[1]) == hash_of(heard[2])


@pytest.mark.parametrize("sounding", ["left", "right"])
@pytest.mark.parametrize("hiss", [0.0, 1e-4])
def test_a_silent_channel_is_replaced_by_the_other(tmp_path: Path, ctx: StepContext, sounding: str, hiss: float) -> None:
    song = mix()
    silent = 1 if sounding == "left" else 0
    song[silent] = np.random.default_rng(0).normal(size=song.shape[1]) * hiss
    source, heard = ingested(song, tmp_path, ctx)
    np.testing.assert_array_equal(heard, np.stack([song[1 - silent]] * 2))
    assert source.channels == sounding
    assert "channel is silent" in ctx.warnings[0]


@pytest.mark.parametrize("width", [0.0, 0.3, 1.2])
def test_channels_that_cancel_are_turned_over(tmp_path: Path, ctx: StepContext, width: float) -> None:
    song = mix(width)
    source, heard = ingested(np.stack([song[0], -song[1]]), tmp_path, ctx)
    np.testing.assert_array_equal(heard, song)
    assert source.channels == "inverted"
    assert "cancel each other" in ctx.warnings[0]


def test_wide_rooms_are_no_inverted_phase(tmp_path: Path, ctx: StepContext) -> None:
    song = mix(0.2)
    song += np.random.default_rng(3).normal(size=(1, song.shape[1])) * np.array([[0.25], [-0.25]])  # more at the sides than in the middle
    source, heard = ingested(song.astype(np.float32), tmp_path, ctx)
    assert 2 * (heard[0] * heard[1]).sum() / np.square(heard).sum() < 0
    assert source.channels == "both"


def test_an_offset_is_taken_out(tmp_path: Path, ctx: StepContext) -> None:
    song = mix()
    source, heard = ingested(song + np.array([[0.2], [-0.05]], np.float32), tmp_path, ctx)
    np.testing.assert_allclose(heard, song - song.mean(axis=1, keepdims=True), atol=1e-5)
    assert source.offset == pytest.approx((0.2, -0.05), abs=1e-3)
    assert "offset of +0.2" in ctx.warnings[0]


def test_faults_come_together(tmp_path: Path, ctx: StepContext) -> None:
    song = mix() * np.float32(0.01)
    source, heard = ingested(np.stack([song[0], -song[1]]) + np.float32(0.05), tmp_path, ctx)
    assert (source.channels, len(ctx.warnings)) == ("inverted", 3)
    assert 0.5 < np.abs(heard).max() <= 1.0
    assert np.corrcoef(heard[0], song[0])[0, 1] > 0.999
    assert np.corrcoef(heard[1], song[1])[0, 1] > 0.999


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_nothing_but_an_offset_is_silent(tmp_path: Path, ctx: StepContext, offset: float) -> None:
    with pytest.raises(AudioSilent):
        ingested(np.full((2, SECONDS * RATE), offset, np.float32), tmp_path, ctx)


def test_a_recording_of_16_bits_at_minus_60_dbfs_is_heard(tmp_path: Path, ctx: StepContext) -> None:
    source, heard = ingested(mix() * np.float32(0.002), tmp_path, ctx, subtype="PCM_16")
    assert source.gain_db > 50
    assert np.corrcoef(heard[0], mix()[0])[0, 1] > 0.99


@pytest.mark.parametrize("channel", [2, 4])
def test_a_song_in_one_channel_of_5_1_is_heard_on_both_sides(tmp_path: Path, ctx: StepContext, channel: int) -> None:
    voice = mix()[0]
    samples = np.zeros((6, voice.size), np.float32)
    samples[channel] = voice
    if channel == 4:
        samples[5] = voice
    source, heard = ingested(samples, tmp_path, ctx)
    assert source.channels == "both"
    np.testing.assert_array_equal(heard[0], heard[1])
    assert np.corrcoef(heard[0], voice)[0, 1] > 0.9999


def test_sides_of_very_unequal_level_are_no_fault(tmp_path: Path, ctx: StepContext) -> None:
    samples = mix() * np.array([[1.0], [0.1]], np.float32)
    source, heard = ingested(samples, tmp_path, ctx)
    assert (source.channels, source.gain_db) == ("both", 0.0)
    np.testing.assert_array_equal(heard, samples)


def test_blocks_of_any_length_measure_the_same() -> None:
    song = mix() + np.float32(0.1)
    whole, parts = LevelMeter(), LevelMeter()
    whole.add(song)
    for start in range(0, song.shape[1], 10007):
        parts.add(song[:, start : start + 10007])
    assert parts.repair().offset == pytest.approx(whole.repair().offset)
    assert parts.repair().channels == whole.repair().channels == "both"
    assert LevelMeter().repair() == Repair()
    assert LevelMeter().peak == 0.0
