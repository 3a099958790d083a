"""Good files of every kind become the same 44.1 kHz stereo."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyloudnorm
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.results import Tags
from tasks.common.audio import read_stereo
from tasks.common.step import StepContext
from tasks.ingest.ingest import ingest_song
from tasks.ingest.loudness import LoudnessMeter
from tasks.ingest.tags import read_tags

FORMATS = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "aiff", "mp4", "webm", "mkv")
Encode = Callable[..., Path]
#: The smallest PNG: one grey pixel.
COVER = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63680000008200817743b6740000000049454e44ae426082"
)


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


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg", "m4a", "opus", "mp4", "webm", "mkv"])
def test_tags_are_read_from_every_container(encode: Encode, ctx: StepContext, ending: str) -> None:
    tags = {"title": "Träume\nund mehr", "artist": "A & B", "album": "Live", "genre": "Pop", "date": "2024", "comment": "x" * 5000}
    found = ingest_song(encode(ending, tags=tags), ctx).tags
    assert found.title == "Träume und mehr"
    assert (found.artist, found.album, found.genre) == ("A & B", "Live", "Pop")
    assert found.date is not None
    assert found.date.startswith("2024")
    assert found.comment is not None
    assert len(found.comment) == 1000


def test_tags_of_an_aiff_are_read_by_its_own_names(encode: Encode, ctx: StepContext) -> None:
    found = ingest_song(encode("aiff", tags={"title": "T", "author": "A", "copyright": "CC-BY", "comment": "C"}), ctx).tags
    assert found == Tags(title="T", artist="A", licence="CC-BY", comment="C")


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


def attached(kind: str, path: Path) -> Path:
    """A copy of a song with a cover, as taggers put it there."""
    if kind == "mp3":
        picture = b"\0image/png\0\x03\0" + COVER
        frame = b"APIC" + len(picture).to_bytes(4, "big") + bytes(2) + picture
        size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
        song = path.read_bytes()
        song = song[10 + (song[6] << 21 | song[7] << 14 | song[8] << 7 | song[9]) :]  # the encoder's own ID3 goes
        content = b"ID3\x03\0\0" + size + frame + song
    else:
        lengths = [3, 9, b"image/png", 0, 1, 1, 8, 0, len(COVER), COVER]
        block = b"".join(part if isinstance(part, bytes) else part.to_bytes(4, "big") for part in lengths)
        song = path.read_bytes()
        info = 4 + 4 + 34  # marker, header and STREAMINFO, which must come first
        content = song[:4] + bytes([song[4] & 0x7F]) + song[5:info] + b"\x06" + len(block).to_bytes(3, "big") + block + song[info:]
    copy = path.with_name(f"cover.{kind}")
    copy.write_bytes(content)
    return copy


@pytest.mark.parametrize("kind", ["mp3", "flac"])
def test_a_cover_picture_is_no_video_and_another_cover_no_other_song(encode: Encode, ctx: StepContext, kind: str) -> None:
    plain = encode(kind)
    with_cover = attached(kind, plain)
    with av.open(str(with_cover)) as container:
        assert len(container.streams.video) == 1
    song = ingest_song(with_cover, ctx)
    assert song.song_id == ingest_song(plain, ctx).song_id
    assert song.duration_sec == pytest.approx(3.0, abs=0.06)
    assert ctx.warnings == []


@pytest.mark.parametrize(("first", "second"), [((44100, 2), (48000, 2)), ((44100, 2), (44100, 1)), ((48000, 1), (44100, 2))])
def test_recordings_joined_end_to_end_are_one_song(
    encode: Encode, ctx: StepContext, first: tuple[int, int], second: tuple[int, int]
) -> None:
    parts = [encode("mp3", rate=rate, channels=channels, name=f"{rate}-{channels}.mp3") for rate, channels in (first, second)]
    joined = parts[0].with_name("joined.mp3")
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    song = ingest_song(joined, ctx)
    assert song.duration_sec == pytest.approx(6.0, abs=0.2)
    decoded = read_stereo(ctx.store.path(song.audio))
    for start in (44100, 44100 * 4):  # neither part is sped up or slowed down
        spectrum = np.abs(np.fft.rfft(decoded[0, start : start + 44100]))
        assert int(spectrum.argmax()) in range(328, 333)


def test_the_same_sound_in_another_lossless_file_is_the_same_song(encode: Encode, ctx: StepContext) -> None:
    assert len({ingest_song(encode(ending, rate=44100), ctx).song_id for ending in ("wav", "flac", "aiff", "ogg")}) == 1


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.integers(44100, 60000), channels=st.sampled_from([1, 2]), seed=st.integers(0, 99))
def test_sound_at_the_target_rate_is_taken_as_it_is(ctx: StepContext, tmp_path: Path, frames: int, channels: int, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-2, 2, (frames, channels)).astype(np.float32)
    soundfile.write(tmp_path / "exact.wav", samples, 44100, subtype="FLOAT")
    song = ingest_song(tmp_path / "exact.wav", ctx)
    np.testing.assert_array_equal(read_stereo(ctx.store.path(song.audio)), np.broadcast_to(samples.T, (2, frames)))


@pytest.mark.parametrize("channels", [3, 4, 7, 8, 16])
def test_channels_without_a_layout_are_mixed_down(tmp_path: Path, ctx: StepContext, channels: int) -> None:
    tone = 0.05 * np.sin(2 * np.pi * 330 * np.arange(44100 * 2) / 44100)
    soundfile.write(tmp_path / "many.wav", np.tile(tone[:, None], (1, channels)), 44100)
    song = ingest_song(tmp_path / "many.wav", ctx)
    decoded = read_stereo(ctx.store.path(song.audio))
    assert decoded.shape == (2, 88200)
    assert int(np.abs(np.fft.rfft(decoded[0, :44100])).argmax()) == 330
    assert song.original_channels == channels


@pytest.mark.parametrize("name", ["a%03d.wav", "a b#?.wav", "-x.wav", "http:x.wav", "[a]*.wav", "é'\".wav", "caf\udce9.wav"])
def test_any_name_a_file_system_allows_is_read_as_it_is(encode: Encode, ctx: StepContext, name: str) -> None:
    path = encode("wav")
    try:
        path = path.rename(path.with_name(name))
    except (OSError, UnicodeEncodeError):
        pytest.skip("not a name on this file system")
    assert ingest_song(path, ctx).duration_sec == pytest.approx(3.0)


def test_the_title_of_a_track_is_not_that_of_the_song() -> None:
    metadata = {"TITLE": "Song", "performer": "Singer", "creation_time": "2024-05-05"}
    assert read_tags(metadata) == Tags(title="Song", artist="Singer")  # when a file was written is not when the song was


def test_a_containers_tags_come_before_its_streams(tmp_path: Path, encode: Encode, ctx: StepContext) -> None:
    path = tmp_path / "named.mkv"
    with av.open(str(encode("mkv"))) as source, av.open(str(path), "w") as out:
        out.metadata["title"] = "Song"
        stream = out.add_stream_from_template(source.streams.audio[0])
        stream.metadata["title"] = "Stereo"
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].metadata.get("title") == "Stereo"
    assert ingest_song(path, ctx).tags.title == "Song"
