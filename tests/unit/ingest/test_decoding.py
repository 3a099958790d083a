"""Good files of every kind become the same 44.1 kHz stereo."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyloudnorm
import pytest

from tasks.common.audio import read_stereo
from tasks.common.step import StepContext
from tasks.ingest.ingest import ingest_song
from tasks.ingest.loudness import LoudnessMeter

FORMATS = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "aiff", "mp4", "webm", "mkv")
Encode = Callable[..., Path]


def expected(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * 44100)) / 44100
    level = 0.3 + 0.2 * np.sin(2 * np.pi * 1.7 * time)
    return np.stack([level * np.sin(2 * np.pi * 330 * time), level * np.sin(2 * np.pi * 440 * time)])


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_is_decoded_in_place_and_in_full(encode: Encode, ctx: StepContext, ending: str) -> None:
    song = ingest_song(encode(ending), ctx)
    assert song.duration_sec == pytest.approx(3.0, abs=0.06)
    decoded = read_stereo(ctx.store.path(song.audio))
    wanted = expected(3.0)
    middle = slice(44100, 88200)
    shifts = range(-60, 61)
    errors = [np.abs(decoded[:, 44100 + s : 88200 + s] - wanted[:, middle]).mean() for s in shifts]
    assert min(errors) < 0.02  # lossy codecs change the wave a little
    assert abs(shifts[int(np.argmin(errors))]) <= 44  # within a millisecond of where it was


def test_mono_is_doubled_at_its_own_level(encode: Encode, ctx: StepContext) -> None:
    song = ingest_song(encode("wav", channels=1), ctx)
    decoded = read_stereo(ctx.store.path(song.audio))
    np.testing.assert_array_equal(decoded[0], decoded[1])
    assert np.abs(decoded).max() == pytest.approx(0.5, abs=0.01)
    assert (song.original_channels, song.original_sample_rate) == (1, 48000)


def test_surround_is_mixed_down(encode: Encode, ctx: StepContext) -> None:
    song = ingest_song(encode("flac", channels=6), ctx)
    assert song.original_channels == 6
    assert song.audio.channels == 2
    assert song.loudness.peak_dbfs > -20


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
def test_any_sample_rate_is_converted(encode: Encode, ctx: StepContext, rate: int) -> None:
    song = ingest_song(encode("wav", rate=rate), ctx)
    assert song.audio.sample_rate == 44100
    assert song.audio.frames == pytest.approx(3 * 44100, abs=50)


def test_a_retagged_and_renamed_copy_is_the_same_song(encode: Encode, ctx: StepContext) -> None:
    one = ingest_song(encode("flac", tags={"title": "One"}), ctx)
    two = ingest_song(encode("flac", tags={"title": "Two", "artist": "Somebody"}, name="other name.flac"), ctx)
    assert one.file_sha256 != two.file_sha256
    assert (one.tags.title, two.tags.title) == ("One", "Two")
    assert one.song_id == two.song_id == one.audio.sha256[:16]
    assert one.content_hash() == two.content_hash()


def test_another_sound_is_another_song(encode: Encode, ctx: StepContext) -> None:
    assert ingest_song(encode("flac"), ctx).song_id != ingest_song(encode("flac", seconds=3.1, name="b.flac"), ctx).song_id


@pytest.mark.parametrize("ending", ["flac", "mp3", "ogg", "m4a", "opus"])
def test_tags_are_read_from_every_container(encode: Encode, ctx: StepContext, ending: str) -> None:
    tags = {"title": "Träume\nund mehr", "artist": "A & B", "album": "Live", "genre": "Pop", "date": "2024", "comment": "x" * 5000}
    found = ingest_song(encode(ending, tags=tags), ctx).tags
    assert found.title == "Träume und mehr"
    assert (found.artist, found.album, found.genre) == ("A & B", "Live", "Pop")
    assert found.date is not None
    assert found.date.startswith("2024")
    assert found.comment is None or len(found.comment) == 1000


def test_a_file_without_tags_has_none(encode: Encode, ctx: StepContext) -> None:
    assert ingest_song(encode("wav"), ctx).tags.title is None


def test_the_sound_of_a_video_is_taken(encode: Encode, ctx: StepContext) -> None:
    assert ingest_song(encode("mp4", picture=True), ctx).duration_sec == pytest.approx(3.0, abs=0.1)


def test_progress_reaches_the_end(encode: Encode, ctx: StepContext) -> None:
    seen: list[float] = []
    ctx.progress = lambda fraction, message="": seen.append(fraction)
    ingest_song(encode("wav", seconds=20.0), ctx)
    assert seen == sorted(seen)
    assert len(seen) >= 3


def test_memory_does_not_grow_with_the_song(encode: Encode, ctx: StepContext) -> None:
    short, long = encode("flac", seconds=20.0, name="s.flac"), encode("flac", seconds=120.0, name="l.flac")
    ingest_song(short, ctx)

    def peak(path: Path) -> int:
        tracemalloc.start()
        ingest_song(path, ctx)
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    assert peak(long) < 2 * peak(short)


def test_loudness_agrees_with_pyloudnorm() -> None:
    rng = np.random.default_rng(0)
    samples = (rng.normal(size=(2, 44100 * 12)) * 0.1).astype(np.float32)
    samples[:, 44100 * 4 : 44100 * 7] *= 0.001  # quiet enough for the gates
    meter = LoudnessMeter()
    for start in range(0, samples.shape[1], 30011):
        meter.add(samples[:, start : start + 30011])
    wanted = pyloudnorm.Meter(44100).integrated_loudness(samples.T.astype(np.float64))
    assert meter.result().integrated_lufs == pytest.approx(wanted, abs=0.05)


def test_what_is_below_every_gate_has_no_loudness() -> None:
    meter = LoudnessMeter()
    meter.add(np.full((2, 44100), 1e-5, np.float32))
    assert meter.result().integrated_lufs is None
    empty = LoudnessMeter().result()
    assert empty.integrated_lufs is None
    assert empty.peak_dbfs == -200.0


def test_a_cover_picture_is_no_video(tmp_path: Path, encode: Encode, ctx: StepContext) -> None:
    plain = encode("flac", name="plain.flac")
    with_cover = tmp_path / "cover.flac"
    with av.open(str(plain)) as source, av.open(str(with_cover), "w", format="flac") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert ingest_song(with_cover, ctx).song_id == ingest_song(plain, ctx).song_id
