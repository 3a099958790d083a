"""How long a file says it is: only what is written down counts, and good files are never called cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tasks.common.errors import AudioTruncated
from tasks.common.settings import get_settings
from tasks.common.step import StepContext
from tasks.ingest.checks import refuse_early
from tasks.ingest.container import opened
from tasks.ingest.ingest import ingest_song
from tasks.ingest.lengths import _clock, padding_sec

Encode = Callable[..., Path]
RNG = np.random.default_rng(0)


def declared(path: Path) -> float | None:
    with opened(path) as song:
        return song.declared_sec


def without_xing(path: Path) -> bytes:
    data = path.read_bytes()
    first = data.find(b"\xff\xfb")
    return data[data.find(b"\xff\xfb", first + 10) :]


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg", "opus", "m4a", "aiff", "mp4", "webm", "mkv"])
def test_a_whole_file_is_as_long_as_it_says(encode: Encode, ctx: StepContext, ending: str) -> None:
    path = encode(ending, seconds=5.0)
    assert declared(path) == pytest.approx(5.0, abs=padding_sec(48000))
    refuse_early(path, get_settings())
    ingest_song(path, ctx)
    assert ctx.warnings == []


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_encoder_padding_is_not_missing_sound(encode: Encode, ctx: StepContext, rate: int) -> None:
    ingest_song(encode("mp3", rate=rate), ctx)
    assert ctx.warnings == []


def test_an_mp3_with_a_large_tag_at_its_end_is_whole(encode: Encode, ctx: StepContext) -> None:
    path = encode("mp3", seconds=5.0)
    size = 60_000
    item = size.to_bytes(4, "little") + (0).to_bytes(4, "little") + b"Lyrics\0" + b"x" * size
    # APEv2: 32 bytes of header (flag 1 << 29) and of footer, which counts itself and the items.
    counts = (2000).to_bytes(4, "little") + (len(item) + 32).to_bytes(4, "little") + (1).to_bytes(4, "little")
    header = b"APETAGEX" + counts + (0xA0000000).to_bytes(4, "little") + bytes(8)
    footer = b"APETAGEX" + counts + (0x80000000).to_bytes(4, "little") + bytes(8)
    path.write_bytes(path.read_bytes() + header + item + footer)
    assert declared(path) == pytest.approx(5.0, abs=padding_sec(48000))
    assert ingest_song(path, ctx).duration_sec == pytest.approx(5.0, abs=0.1)
    assert ctx.warnings == []


def test_a_stream_of_aac_whose_length_would_be_guessed_is_whole(tmp_path: Path, ctx: StepContext) -> None:
    samples = np.zeros((2, 44100 * 20), np.float32)
    samples[:, 44100 * 15 :] = RNG.normal(size=(2, 44100 * 5)) * 0.3  # the bit rate at the start says nothing of the rest
    path = tmp_path / "song.aac"
    with av.open(str(path), "w", format="adts") as out:
        stream = out.add_stream("aac", rate=44100, layout="stereo")
        for start in range(0, samples.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, start : start + 1024]), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 44100, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert declared(path) is None
    assert ingest_song(path, ctx).duration_sec == pytest.approx(20.0, abs=0.1)


def test_flac_and_mp3_that_do_not_say_how_long_they_are_are_read_to_their_end(encode: Encode, ctx: StepContext) -> None:
    data = bytearray(encode("flac").read_bytes())
    data[21] &= 0xF0  # the 36 bits of STREAMINFO with the number of samples
    data[22:26] = bytes(4)
    flac, mp3 = encode("flac", name="a.flac"), encode("mp3", name="b.mp3")
    flac.write_bytes(bytes(data))
    mp3.write_bytes(without_xing(mp3))
    assert declared(flac) is None
    assert declared(mp3) is None
    assert ingest_song(flac, ctx).duration_sec == pytest.approx(3.0, abs=0.01)
    assert ingest_song(mp3, ctx).duration_sec == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("options", [{"live": "1"}, {}], ids=["live", "plain"])
def test_a_recording_streamed_by_a_browser_is_whole(tmp_path: Path, encode: Encode, ctx: StepContext, options: dict[str, str]) -> None:
    path = tmp_path / "live.webm"
    with av.open(str(encode("webm"))) as source, av.open(str(path), "w", format="webm", options=options) as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert ingest_song(path, ctx).duration_sec == pytest.approx(3.0, abs=0.05)
    assert ctx.warnings == []


@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov", "frag_keyframe+empty_moov+default_base_moof+delay_moov"])
def test_an_mp4_laid_out_for_streaming_is_whole(tmp_path: Path, encode: Encode, ctx: StepContext, flags: str) -> None:
    path = tmp_path / "laid.m4a"
    with av.open(str(encode("m4a"))) as source, av.open(str(path), "w", format="mp4", options={"movflags": flags}) as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert ingest_song(path, ctx).duration_sec == pytest.approx(3.0, abs=0.1)
    if flags == "faststart":
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        with pytest.raises(AudioTruncated, match=r"it says it lasts 3\.0 s"):
            refuse_early(path, get_settings())


@pytest.mark.parametrize("container", ["RF64", "W64", "CAF"])
def test_variants_of_wav_for_large_files_are_whole(tmp_path: Path, ctx: StepContext, container: str) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, RNG.normal(size=(44100 * 3, 2)) * 0.1, 44100, format=container, subtype="PCM_16")
    assert ingest_song(path, ctx).duration_sec == pytest.approx(3.0, abs=0.001)
    assert ctx.warnings == []


def test_half_of_an_rf64_file_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, RNG.normal(size=(44100 * 3, 2)) * 0.1, 44100, format="RF64", subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioTruncated):
        refuse_early(path, get_settings())


def test_a_wav_written_to_a_pipe_does_not_know_its_length(encode: Encode, ctx: StepContext) -> None:
    path = encode("wav")
    data = bytearray(path.read_bytes())
    at = data.find(b"data")
    data[4:8] = data[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))
    assert declared(path) is None
    assert ingest_song(path, ctx).duration_sec == pytest.approx(3.0, abs=0.001)


@pytest.mark.parametrize("ending", ["flac", "mp3", "m4a", "webm", "aiff", "wav"])
def test_a_cut_shows_without_decoding(encode: Encode, ending: str) -> None:
    path = encode(ending, seconds=10.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])
    with pytest.raises(AudioTruncated):
        refuse_early(path, get_settings())


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:03:05.5", 185.5), ("1:00:00.000000000", 3600.0), ("", None), ("3:05", None), ("01:x:02", None), ("::", None)]
)
def test_a_length_in_a_tag_is_read_if_it_is_one(text: str, seconds: float | None) -> None:
    assert _clock(text) == seconds
