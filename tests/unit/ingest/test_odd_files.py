"""Good files that look odd: the decoder is believed, times stay those of the file, and what was met is told."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.stream import Disposition

from schemas.options import Reading
from tasks.common.audio import read_stereo
from tasks.common.errors import AudioTrackMissing, AudioTruncated
from tasks.common.settings import get_settings
from tasks.common.step import StepContext
from tasks.ingest.checks import refuse_early
from tasks.ingest.ingest import ingest_song
from tasks.ingest.tracks import choose_track

Encode = Callable[..., Path]
DAMAGED_TOO = Reading(accept_damaged=True)


def tone(hertz: float, seconds: float = 3.0, rate: int = 48000) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return np.stack([wave, wave]).astype(np.float32)


def remuxed(
    sources: Sequence[Path],
    target: Path,
    format: str,
    offset_sec: float = 0.0,
    keep: Callable[[float], bool] = lambda _: True,
    picture: bool = False,
) -> Path:
    """The sounds of files in one, without a change of the packets. offset_sec: of the first. keep: by a packet's time (s)."""
    containers = [av.open(str(source)) for source in sources]
    with av.open(str(target), "w", format=format) as out:
        video = None
        if picture:
            video = out.add_stream("mpeg4", rate=Fraction(5))
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        streams = [out.add_stream_from_template(container.streams.audio[0]) for container in containers]
        if video is not None:
            for index in range(20):
                image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index, np.uint8), format="rgb24")
                out.mux(video.encode(image))
            out.mux(video.encode(None))
        for place, (container, stream) in enumerate(zip(containers, streams, strict=True)):
            for packet in container.demux(container.streams.audio[0]):
                if packet.dts is None or not keep(float(packet.pts * packet.time_base)):
                    continue
                shift = round((offset_sec if place == 0 else 0.0) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                out.mux(packet)
    for container in containers:
        container.close()
    return target


def pitch(samples: np.ndarray, start_sec: float) -> int:
    """The loudest frequency (Hz) in the half second from there on."""
    start = int(start_sec * 44100)
    return int(np.abs(np.fft.rfft(samples[0, start : start + 22050])).argmax()) * 2


# --- a start offset ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format", "ending", "source"), [("matroska", "mkv", "m4a"), ("webm", "webm", "opus"), ("mp4", "mp4", "m4a")])
@pytest.mark.parametrize("offset", [0.4, 1.5, 90.0])
def test_a_sound_that_starts_after_the_picture_is_whole(
    encode: Encode, tmp_path: Path, ctx: StepContext, format: str, ending: str, source: str, offset: float
) -> None:
    # No encoder here writes a picture that webm takes.
    path = remuxed([encode(source)], tmp_path / f"late.{ending}", format, offset, picture=format != "webm")
    refuse_early(path, get_settings())
    song = ingest_song(path, ctx)
    assert song.duration_sec == pytest.approx(3.0, abs=0.06)
    assert song.start_sec == pytest.approx(offset, abs=0.03)
    assert len(ctx.warnings) == 1
    assert f"begins at {song.start_sec:.3f} s" in ctx.warnings[0]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_video_whose_sound_begins_with_it_has_no_offset(encode: Encode, ctx: StepContext, ending: str) -> None:
    song = ingest_song(encode(ending, picture=True), ctx)
    assert song.start_sec == pytest.approx(0.0, abs=0.03)
    assert ctx.warnings == []


def with_edits(path: Path, edits: Sequence[tuple[int, int]]) -> Path:
    """The file with another edit list: (length in the movie's time, place in the media's or -1 for nothing). Its index must come last."""
    data = path.read_bytes()
    at = data.index(b"elst") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    table = b"".join(struct.pack(">iihh", length, place, 1, 0) for length, place in edits)
    box = b"elst" + bytes(4) + len(edits).to_bytes(4, "big") + table
    grown = 4 + len(box) - size
    data = data[:at] + (4 + len(box)).to_bytes(4, "big") + box + data[at + size :]
    for name in (b"edts", b"trak", b"moov"):
        where = data.rindex(name, 0, at) - 4
        data = data[:where] + (int.from_bytes(data[where : where + 4], "big") + grown).to_bytes(4, "big") + data[where + 4 :]
    path.write_bytes(data)
    return path


def test_edit_lists_are_followed_and_told(encode: Encode, ctx: StepContext) -> None:
    whole = encode("m4a", seconds=4.0)
    time = read_stereo(ctx.store.path(ingest_song(whole, ctx).audio))
    late = ingest_song(with_edits(encode("m4a", seconds=4.0, name="late.m4a"), [(1500, -1), (4000, 1024)]), ctx)
    assert late.start_sec == pytest.approx(1.5, abs=0.03)
    assert late.duration_sec == pytest.approx(4.0, abs=0.06)
    ctx.warnings.clear()
    cut = ingest_song(with_edits(encode("m4a", seconds=4.0, name="cut.m4a"), [(2000, 1024 + 48000)]), ctx)
    assert ctx.warnings == []
    assert cut.duration_sec == pytest.approx(2.0, abs=0.06)
    assert cut.start_sec == pytest.approx(0.0, abs=0.03)
    heard = read_stereo(ctx.store.path(cut.audio))
    second = slice(44100, 2 * 44100 - 4410)
    np.testing.assert_allclose(heard[:, 4410 : 44100 - 8820], time[:, second][:, 4410 : 44100 - 8820], atol=0.05)


# --- headers that are wrong, or do not know ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF, 0xFFFFFFD8])
def test_a_wav_from_a_pipe_is_read_to_its_end(encode: Encode, ctx: StepContext, size: int) -> None:
    path = encode("wav")
    data = bytearray(path.read_bytes())
    at = data.find(b"data")
    data[at + 4 : at + 8] = size.to_bytes(4, "little")
    data[4:8] = min(size + 36, 0xFFFFFFFF).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(3.0, abs=0.001)
    assert ctx.warnings == []


@pytest.mark.parametrize("rate", [1, 96000, 400000, 0xFFFFFFFF])
def test_a_wrong_byte_rate_is_noted_and_the_sound_is_whole(encode: Encode, ctx: StepContext, rate: int) -> None:
    path = encode("wav")
    data = bytearray(path.read_bytes())
    data[28:32] = rate.to_bytes(4, "little")
    path.write_bytes(bytes(data))
    refuse_early(path, get_settings())
    assert ingest_song(path, ctx).duration_sec == pytest.approx(3.0, abs=0.001)
    assert ctx.warnings == [f"The file says that a second of it has {rate} bytes; it has 192000, by its sample rate"]


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "ALAW", "ULAW", "GSM610"])
def test_compressed_wav_is_whole(tmp_path: Path, ctx: StepContext, subtype: str) -> None:
    channels = 1 if subtype == "GSM610" else 2
    soundfile.write(tmp_path / "song.wav", tone(330, rate=22050)[:channels].T, 22050, subtype=subtype)
    refuse_early(tmp_path / "song.wav", get_settings())
    assert ingest_song(tmp_path / "song.wav", ctx).duration_sec == pytest.approx(3.0, abs=0.1)  # the last block is full
    assert ctx.warnings == []


@pytest.mark.parametrize("ending", ["flac", "mp3", "aiff", "mkv"])
@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_a_wrong_length_in_a_header_is_noted_and_the_sound_is_whole(encode: Encode, ctx: StepContext, ending: str, factor: float) -> None:
    path = encode(ending, seconds=4.0, rate=44100)
    data = bytearray(path.read_bytes())
    if ending == "flac":
        data[22:26] = int(4 * 44100 * factor).to_bytes(4, "big")
    elif ending == "mp3":
        at = data.find(b"Xing") if b"Xing" in data else data.find(b"Info")
        data[at + 8 : at + 12] = int(int.from_bytes(data[at + 8 : at + 12], "big") * factor).to_bytes(4, "big")
    elif ending == "aiff":
        at = data.find(b"COMM")
        data[at + 10 : at + 14] = int(4 * 44100 * factor).to_bytes(4, "big")
    else:
        at = data.find(b"00:00:04.0")
        data[at : at + 10] = f"00:00:0{int(4 * factor)}.0".encode()
    path.write_bytes(bytes(data))
    refuse_early(path, get_settings())
    song = ingest_song(path, ctx)
    assert song.duration_sec == pytest.approx(4.0, abs=0.06)
    assert len(ctx.warnings) == 1
    assert f"says that it lasts {4 * factor:.1f}" in ctx.warnings[0]


def ogg(path: Path, hertz: float, rate: int = 44100, channels: int = 2, subtype: str = "VORBIS") -> bytes:
    soundfile.write(path, tone(hertz, rate=rate)[:channels].T, rate, format="OGG", subtype=subtype)
    return path.read_bytes()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_chained_ogg_is_one_song(tmp_path: Path, ctx: StepContext, subtype: str) -> None:
    rate = 48000 if subtype == "OPUS" else 44100
    parts = [ogg(tmp_path / "part.ogg", hertz, rate, subtype=subtype) for hertz in (330, 440, 550)]
    (tmp_path / "chain.ogg").write_bytes(b"".join(parts))
    refuse_early(tmp_path / "chain.ogg", get_settings())
    song = ingest_song(tmp_path / "chain.ogg", ctx)
    assert song.duration_sec == pytest.approx(9.0, abs=0.05)
    heard = read_stereo(ctx.store.path(song.audio))
    assert [pitch(heard, at) for at in (1.0, 4.0, 7.0)] == [330, 440, 550]
    assert ctx.warnings == []


@pytest.mark.parametrize(("first", "second"), [((44100, 2), (48000, 2)), ((44100, 2), (44100, 1)), ((22050, 1), (44100, 2))])
def test_the_links_of_a_chain_may_differ(tmp_path: Path, ctx: StepContext, first: tuple[int, int], second: tuple[int, int]) -> None:
    parts = [ogg(tmp_path / "part.ogg", hertz, *kind) for hertz, kind in ((330, first), (440, second))]
    (tmp_path / "chain.ogg").write_bytes(b"".join(parts))
    song = ingest_song(tmp_path / "chain.ogg", ctx)
    assert song.duration_sec == pytest.approx(6.0, abs=0.05)
    heard = read_stereo(ctx.store.path(song.audio))
    assert [pitch(heard, at) for at in (1.0, 4.0)] == [330, 440]
    assert ctx.warnings == []


# --- gaps and damage ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format", "ending", "source"), [("matroska", "mkv", "m4a"), ("webm", "webm", "opus"), ("mp4", "mp4", "m4a")])
def test_missing_packets_are_silence_and_later_times_true(
    encode: Encode, tmp_path: Path, ctx: StepContext, format: str, ending: str, source: str
) -> None:
    path = encode(source, samples=np.concatenate([tone(330, 6.0), tone(440, 6.0)], axis=1))
    gap = remuxed([path], tmp_path / f"gap.{ending}", format, keep=lambda time: not 3.0 <= time < 5.0)
    refuse_early(gap, get_settings())
    song = ingest_song(gap, ctx)
    assert song.duration_sec == pytest.approx(12.0, abs=0.06)
    heard = read_stereo(ctx.store.path(song.audio))
    assert np.abs(heard[:, int(3.2 * 44100) : int(4.8 * 44100)]).max() == 0
    assert (pitch(heard, 5.3), pitch(heard, 6.2)) == (330, 440)
    assert any(warning.startswith(("2.0", "1.9")) and "missing in the file at 3.0" in warning for warning in ctx.warnings)


@pytest.mark.parametrize("ending", ["mp3", "m4a", "flac", "opus", "mkv"])
def test_times_after_damage_are_true(encode: Encode, ctx: StepContext, ending: str) -> None:
    path = encode(ending, seconds=20.0, samples=np.concatenate([tone(330, 15.0), tone(440, 5.0)], axis=1))
    data = bytearray(path.read_bytes())
    at, size = len(data) * 3 // 10, len(data) // 150
    data[at : at + size] = np.random.default_rng(1).bytes(size)
    path.write_bytes(bytes(data))
    song = ingest_song(path, ctx)
    heard = read_stereo(ctx.store.path(song.audio))
    strongest = [np.abs(np.fft.rfft(heard[0, s : s + 2205], 44100))[[330, 440]].argmax() for s in range(14 * 44100, 16 * 44100, 441)]
    change = 14 + strongest.index(1) * 0.01 + 0.025
    assert change == pytest.approx(15.0, abs=0.06)
    assert ctx.warnings


@pytest.mark.parametrize("tags", ["none", "id3", "id3 and more"])
def test_the_tags_of_joined_recordings_are_no_missing_sound(encode: Encode, ctx: StepContext, tags: str) -> None:
    cover = np.random.default_rng(5).bytes(60_000)  # with false beginnings of frames in it
    id3 = b"ID3\x03\0\0" + bytes(len(cover) >> shift & 0x7F for shift in (21, 14, 7, 0)) + cover
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 532, 1, 0xA0000000) + bytes(8) + b"x" * 500 + b"APETAGEX" + bytes(24)
    first, second = (encode("mp3", samples=tone(hertz), name=f"{hertz}.mp3").read_bytes() for hertz in (330, 440))
    between = {"none": b"", "id3": id3, "id3 and more": ape + b"TAG" + bytes(125) + id3}[tags]
    path = encode("mp3", name="joined.mp3")
    path.write_bytes(first + between + second)
    song = ingest_song(path, ctx)
    assert song.duration_sec == pytest.approx(6.1, abs=0.1)
    assert not any("missing in the file" in warning for warning in ctx.warnings)


@pytest.mark.parametrize("ending", ["wav", "aiff", "flac", "mp3", "opus", "webm", "mkv"])
def test_a_file_that_is_cut_off_is_analysed_where_that_is_accepted(encode: Encode, ctx: StepContext, ending: str) -> None:
    path = encode(ending, seconds=20.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(AudioTruncated, match="--accept-damaged"):
        ingest_song(path, ctx)
    song = ingest_song(path, ctx, reading=DAMAGED_TOO)
    assert song.duration_sec == pytest.approx(12.0, abs=1.5)
    assert any("what there is of it was analysed" in warning for warning in ctx.warnings)


def test_a_damaged_file_is_analysed_where_that_is_accepted(encode: Encode, ctx: StepContext) -> None:
    path = encode("mp3", seconds=20.0)
    data = bytearray(path.read_bytes())
    data[len(data) * 4 // 10 : len(data) * 6 // 10] = np.random.default_rng(1).bytes(len(data) // 5)
    path.write_bytes(bytes(data))
    song = ingest_song(path, ctx, reading=DAMAGED_TOO)
    assert song.duration_sec == pytest.approx(20.0, abs=0.2)
    assert any("is damaged" in warning and "was analysed" in warning for warning in ctx.warnings)


def test_a_good_file_is_the_same_song_where_damage_is_accepted(encode: Encode, ctx: StepContext) -> None:
    path = encode("m4a")
    assert ingest_song(path, ctx, reading=DAMAGED_TOO).song_id == ingest_song(path, ctx).song_id
    assert ctx.warnings == []


# --- several tracks ----------------------------------------------------------------------------------------------------------------------


def tracks_of(path: Path, kinds: Sequence[dict[str, object]]) -> Path:
    """A Matroska file of tones: each track's frequency, `marks` and `title`."""
    with av.open(str(path), "w", format="matroska") as out:
        streams = []
        for kind in kinds:
            stream = out.add_stream("pcm_s16le", rate=48000, layout="stereo")
            stream.disposition = kind.get("marks", Disposition(0))
            if "title" in kind:
                stream.metadata["title"] = str(kind["title"])
            streams.append(stream)
        for stream, kind in zip(streams, kinds, strict=True):
            samples = (tone(float(str(kind["hertz"])), 2.0) * 32767).astype(np.int16)
            for start in range(0, samples.shape[1], 4800):
                packed = np.ascontiguousarray(samples[:, start : start + 4800].T).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
                frame.sample_rate, frame.pts = 48000, start
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


NO, DEFAULT, COMMENT = Disposition(0), Disposition.default, Disposition.comment
RULES = {
    "the default one": ([{"hertz": 220}, {"hertz": 330, "marks": DEFAULT}], 2, "the default one"),
    "the default one, whatever it is called": (
        [{"hertz": 220}, {"hertz": 330, "marks": DEFAULT, "title": "Commentary"}],
        2,
        "the default one",
    ),
    "none is the default": ([{"hertz": 220}, {"hertz": 330}], 1, "the first with music"),
    "a commentary by its mark": ([{"hertz": 220, "marks": COMMENT}, {"hertz": 330}], 2, "the first with music"),
    "a commentary by its name": ([{"hertz": 220, "title": "Director's Commentary"}, {"hertz": 330}], 2, "the first with music"),
    "all are the default": (
        [{"hertz": 220, "marks": DEFAULT, "title": "Kommentar"}, {"hertz": 330, "marks": DEFAULT}],
        2,
        "the first with music",
    ),
    "a silent one": ([{"hertz": 0}, {"hertz": 330}], 2, "the first with music"),
    "nothing but commentaries": ([{"hertz": 220, "marks": COMMENT}, {"hertz": 330, "marks": COMMENT}], 1, "the first"),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_track_is_chosen_by_the_rule(tmp_path: Path, ctx: StepContext, rule: str) -> None:
    kinds, number, why = RULES[rule]
    song = ingest_song(tracks_of(tmp_path / "many.mkv", kinds), ctx)
    assert (song.track, song.tracks) == (number, len(kinds))
    assert pitch(read_stereo(ctx.store.path(song.audio)), 0.5) == kinds[number - 1]["hertz"]
    assert ctx.warnings == [f"Audio track {number} of {len(kinds)} was analysed ({why}); --track takes another"]


def test_a_track_can_be_asked_for(tmp_path: Path, ctx: StepContext) -> None:
    path = tracks_of(tmp_path / "many.mkv", [{"hertz": 220}, {"hertz": 330}, {"hertz": 440, "marks": COMMENT}])
    for number, hertz in ((1, 220), (2, 330), (3, 440)):
        refuse_early(path, get_settings(), Reading(track=number))
        song = ingest_song(path, ctx, reading=Reading(track=number))
        assert (song.track, song.tracks) == (number, 3)
        assert pitch(read_stereo(ctx.store.path(song.audio)), 0.5) == hertz
    with pytest.raises(AudioTrackMissing, match="it has 3 audio tracks"):
        refuse_early(path, get_settings(), Reading(track=4))


def test_one_track_needs_no_word(encode: Encode, ctx: StepContext) -> None:
    song = ingest_song(encode("mp4", picture=True), ctx, reading=Reading(track=1))
    assert (song.track, song.tracks) == (1, 1)
    assert ctx.warnings == []


def test_no_track_that_can_be_decoded_is_none() -> None:
    class Unknown:
        codec_context = None

    assert choose_track([Unknown(), Unknown()], None, lambda _: False, "song") is None
