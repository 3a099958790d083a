"""Files that were cut or damaged: what shows it in each format, what is silence in place of what is lost, and what is no damage at all."""

from __future__ import annotations

import io
import struct
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tasks.common.audio import read_stereo
from tasks.common.errors import AudioTruncated
from tasks.common.settings import get_settings
from tasks.common.step import StepContext
from tasks.ingest.checks import refuse_early
from tasks.ingest.ingest import ingest_song

RATE = 48000
#: How a format is written. None: what nobody counted.
WRITERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "mp3": ("mp3", "libmp3lame", {}),
    "mp3 without a count": ("mp3", "libmp3lame", {"write_xing": "0"}),
    "adts": ("adts", "aac", {}),
    "flac": ("flac", "flac", {}),
    "ogg": ("ogg", "flac", {}),
    "wma": ("asf", "wmav2", {}),
}


def sound(seconds: float) -> np.ndarray:
    """(2, frames) at 48 kHz: bursts at irregular times, so that a shift in time shows anywhere."""
    rng = np.random.default_rng(3)
    out = np.zeros(int(seconds * RATE), np.float32)
    at = 0.0
    while at < seconds - 0.1:
        time = np.arange(int(0.08 * RATE)) / RATE
        burst = 0.4 * np.exp(-30 * time) * np.sin(2 * np.pi * rng.uniform(300, 3000) * time)
        start = int(at * RATE)
        out[start : start + len(burst)] += burst.astype(np.float32)[: len(out) - start]
        at += rng.uniform(0.05, 0.15)
    return np.stack([out, out])


def written(path: Path, kind: str, seconds: float = 20.0) -> Path:
    """A file of `sound`."""
    path.write_bytes(encoded(kind, seconds))
    return path


@cache
def encoded(kind: str, seconds: float) -> bytes:
    container, codec, options = WRITERS[kind]
    samples = sound(seconds)
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as out:
        stream = out.add_stream(codec, rate=RATE, layout="stereo")
        stream.bit_rate = 128_000
        resampler = av.AudioResampler(format=stream.codec_context.format or "fltp", layout="stereo", rate=RATE)
        for start in range(0, samples.shape[1], 4800):
            packed = np.ascontiguousarray(samples[:, start : start + 4800].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="stereo")
            frame.sample_rate, frame.pts = RATE, start
            for ready in resampler.resample(frame):
                out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    return file.getvalue()


def heard(ctx: StepContext, path: Path) -> np.ndarray:
    """(frames,) of the left channel of a file's decode."""
    left: np.ndarray = read_stereo(ctx.store.path(ingest_song(path, ctx).audio))[0]
    return left


def shift(one: np.ndarray, other: np.ndarray, at_sec: float = 14.0) -> float:
    """By how much (s) the second from there on is later in one decode than in another."""
    part = other[int(at_sec * 44100) : int((at_sec + 1) * 44100)]
    begins = int((at_sec - 0.5) * 44100)
    around = one[begins : begins + 2 * 44100]
    size = 1 << 18
    likeness = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(part, size)))
    return float(likeness[: len(around) - len(part)].argmax() / 44100 - 0.5)


# --- cut ---------------------------------------------------------------------------------------------------------------------------------


def sparse_wav(path: Path, data_bytes: int, share: float, magic: bytes = b"RIFF") -> Path:
    """A WAV file of silence that takes no room on the disk. share: how much of its data is there."""
    frame = 8 * 4
    long = magic != b"RIFF"
    sizes = b"ds64" + struct.pack("<IQQQI", 28, data_bytes + 80, data_bytes, data_bytes // frame, 0) if long else b""
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 8, 192000, 192000 * frame, frame, 32)
    size = 0xFFFFFFFF if long else data_bytes
    head = magic + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + b"WAVE" + sizes + fmt + b"data" + struct.pack("<I", size)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + int(data_bytes * share))
    return path


@pytest.mark.parametrize(
    ("data_bytes", "magic"),
    [
        (0x7FFF0000, b"RIFF"),
        (0x7FFFE000, b"RIFF"),
        (0x80001000, b"RIFF"),
        (0xFFFF0000, b"RIFF"),
        (0xFFFFFF00, b"RIFF"),
        (5 << 30, b"RF64"),
        (5 << 30, b"BW64"),
    ],
)
def test_a_large_wav_that_was_cut_is_told_from_one_of_unknown_length(tmp_path: Path, data_bytes: int, magic: bytes) -> None:
    refuse_early(sparse_wav(tmp_path / "whole.wav", data_bytes, 1.0, magic), get_settings())
    with pytest.raises(AudioTruncated, match="10% of it are missing"):
        refuse_early(sparse_wav(tmp_path / "cut.wav", data_bytes, 0.9, magic), get_settings())


@pytest.mark.parametrize("container", ["AU", "CAF", "W64"])
def test_a_cut_shows_in_rarer_containers_of_plain_samples(tmp_path: Path, ctx: StepContext, container: str) -> None:
    path = tmp_path / "song"
    soundfile.write(path, sound(5.0).T, RATE, format=container, subtype="PCM_16")
    refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(5.0, abs=0.001)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioTruncated, match="50% of it are missing"):
        refuse_early(path, get_settings())


@pytest.mark.parametrize("kind", ["mp3 without a count", "adts"])
def test_a_file_that_does_not_say_how_long_it_is_must_not_end_inside_a_frame(tmp_path: Path, ctx: StepContext, kind: str) -> None:
    path = written(tmp_path / "song", kind)
    whole = path.read_bytes()
    for rest in (b"", b"TAG" + bytes(125), b"<html>404</html>" * 20, b"\xff"):
        path.write_bytes(whole + rest)
        refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(20.0, abs=0.1)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioTruncated, match="in the middle of a frame"):
        refuse_early(path, get_settings())


def test_a_flac_of_unknown_length_must_not_end_inside_a_frame(tmp_path: Path, ctx: StepContext) -> None:
    path = written(tmp_path / "song.flac", "flac")
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    for rest in (b"", b"TAG" + bytes(125)):
        path.write_bytes(bytes(data) + rest)
        refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(20.0, abs=0.01)
    path.write_bytes(bytes(data[: len(data) // 2]))
    with pytest.raises(AudioTruncated, match="in the middle of a frame"):
        refuse_early(path, get_settings())


# --- ASF ---------------------------------------------------------------------------------------------------------------------------------

PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
ASF_DATA = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")


def test_an_asf_file_is_whole_by_its_own_index(tmp_path: Path, ctx: StepContext) -> None:
    path = written(tmp_path / "song.wma", "wma")
    whole = path.read_bytes()
    for rest in (b"", np.random.default_rng(1).bytes(100_000)):
        path.write_bytes(whole + rest)
        refuse_early(path, get_settings())
        assert ingest_song(path, ctx).duration_sec == pytest.approx(20.0, abs=0.1)
    assert ctx.warnings == []
    for share in (0.1, 0.5, 0.95):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(AudioTruncated, match="are missing"):
            refuse_early(path, get_settings())


def test_an_asf_file_from_a_pipe_is_read_to_its_end(tmp_path: Path, ctx: StepContext) -> None:
    data = bytearray(written(tmp_path / "song.wma", "wma").read_bytes())
    at = data.index(PROPERTIES)
    data[at + 88 : at + 92] = (int.from_bytes(data[at + 88 : at + 92], "little") | 1).to_bytes(4, "little")
    at = data.index(ASF_DATA)
    data[at + 16 : at + 24] = (50).to_bytes(8, "little")
    path = tmp_path / "live.wma"
    path.write_bytes(bytes(data))
    refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(20.0, abs=0.1)
    assert ctx.warnings == []


# --- damaged -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mp3", "mp3 without a count", "adts", "flac", "wma"])
def test_times_after_noise_are_true_and_the_map_says_so(tmp_path: Path, ctx: StepContext, kind: str) -> None:
    path = written(tmp_path / "song", kind)
    whole, data = heard(ctx, path), bytearray(path.read_bytes())
    for seconds in (0.02, 0.3):
        at, size = len(data) * 53 // 100, int(len(data) * seconds / 20)
        data[at : at + size] = np.random.default_rng(3).bytes(size)
        path.write_bytes(bytes(data))
        ctx.warnings.clear()
        assert shift(heard(ctx, path), whole) == pytest.approx(0.0, abs=0.03)
    assert any("missing" in warning for warning in ctx.warnings)


@pytest.mark.parametrize("kind", ["mp3 without a count", "adts", "flac"])
def test_a_second_of_noise_is_refused(tmp_path: Path, ctx: StepContext, kind: str) -> None:
    path = written(tmp_path / "damaged", kind)
    data = bytearray(path.read_bytes())
    at, size = len(data) * 53 // 100, len(data) // 20
    data[at : at + size] = np.random.default_rng(3).bytes(size)
    path.write_bytes(bytes(data))
    with pytest.raises(AudioTruncated, match="is damaged"):
        ingest_song(path, ctx)


def pages_of(data: bytes) -> list[int]:
    """Where the pages of an Ogg file begin."""
    found = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    return [*found, len(data)]


def test_an_ogg_goes_on_after_a_hole(tmp_path: Path, ctx: StepContext) -> None:
    path = written(tmp_path / "song.ogg", "ogg")
    whole, data = heard(ctx, path), path.read_bytes()
    pages = pages_of(data)
    middle = len(pages) // 2
    hole = next((page for page in range(middle, len(pages) - 2) if data[pages[page] + 5] & 1), middle)  # a packet goes on in it
    path.write_bytes(data[: pages[hole]] + data[pages[hole + 1] :])
    assert shift(heard(ctx, path), whole) == pytest.approx(0.0, abs=0.005)
    assert any("missing in the file" in warning for warning in ctx.warnings)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_pages_of_an_ogg_whose_checksum_fails_are_damage(tmp_path: Path, ctx: StepContext, subtype: str) -> None:
    path = tmp_path / "song.ogg"
    soundfile.write(path, sound(20.0).T, RATE, format="OGG", subtype=subtype)
    whole, data = heard(ctx, path), bytearray(path.read_bytes())
    pages = pages_of(bytes(data))
    middle = (pages[len(pages) // 2] + pages[len(pages) // 2 + 1]) // 2
    data[middle] ^= 0xFF
    path.write_bytes(bytes(data))
    assert shift(heard(ctx, path), whole) == pytest.approx(0.0, abs=0.005)
    assert any("missing in the file" in warning for warning in ctx.warnings)
    for begins, ends in pairwise(pages[3:]):
        data[(begins + ends) // 2] ^= 0x55
    path.write_bytes(bytes(data))
    with pytest.raises(AudioTruncated, match="is damaged"):
        ingest_song(path, ctx)


# --- what is no damage -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "wma"])
@pytest.mark.parametrize("rest", ["random", "a page of the web"])
def test_what_follows_a_song_is_none_of_it(tmp_path: Path, ctx: StepContext, kind: str, rest: str) -> None:
    path = written(tmp_path / "song", kind)
    more = np.random.default_rng(1).bytes(100_000) if rest == "random" else b"<html><body>404</body></html>" * 99
    path.write_bytes(path.read_bytes() + more)
    refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(20.0, abs=0.06)
    assert ctx.warnings == []


@pytest.mark.parametrize("kind", ["mp3 without a count", "adts"])
def test_what_comes_before_a_song_is_none_of_it(tmp_path: Path, ctx: StepContext, kind: str) -> None:
    path = written(tmp_path / "song", kind)
    path.write_bytes(b"<html><body>404</body></html>" * 99 + path.read_bytes())
    refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(20.0, abs=0.1)


def test_the_counting_frame_of_a_joined_mp3_is_no_missing_sound(tmp_path: Path, ctx: StepContext) -> None:
    path = written(tmp_path / "song.mp3", "mp3", seconds=5.0)
    song = path.read_bytes()
    assert song.startswith(b"ID3")
    path.write_bytes(song + song)
    assert ingest_song(path, ctx).duration_sec == pytest.approx(10.0, abs=0.1)
    assert not any("missing" in warning or "damaged" in warning for warning in ctx.warnings)


@pytest.mark.parametrize("count", [0xFFFFFFFF, 10_000_000])
def test_a_count_that_the_file_could_not_hold_is_not_believed(tmp_path: Path, ctx: StepContext, count: int) -> None:
    path = written(tmp_path / "song.mp3", "mp3")
    data = bytearray(path.read_bytes())
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at + 8 : at + 12] = count.to_bytes(4, "big")
    path.write_bytes(bytes(data))
    refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(20.0, abs=0.06)
