"""Whatever cannot be analysed is refused with its own code, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.common import errors
from tasks.common.settings import get_settings, reset_settings
from tasks.common.step import StepContext, local_context
from tasks.ingest.checks import file_identity, refuse_early
from tasks.ingest.ingest import ingest_song

Encode = Callable[..., Path]


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def text_named_mp3(tmp_path: Path, encode: Encode) -> Path:
    (tmp_path / "song.mp3").write_text("This is not music.\n" * 100)
    return tmp_path / "song.mp3"


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def noise(path: Path) -> Path:
    return written(path, np.random.default_rng(0).bytes(200_000))


def picture(tmp_path: Path, encode: Encode) -> Path:
    # The smallest PNG: one grey pixel.
    data = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
        "3a7e9b550000000a49444154789c63680000008200817743b6740000000049454e44ae426082"
    )
    (tmp_path / "cover.png").write_bytes(data)
    return tmp_path / "cover.png"


def empty(tmp_path: Path, encode: Encode) -> Path:
    (tmp_path / "song.mp3").touch()
    return tmp_path / "song.mp3"


def loop(tmp_path: Path, encode: Encode) -> Path:
    (tmp_path / "a.mp3").symlink_to(tmp_path / "b.mp3")
    (tmp_path / "b.mp3").symlink_to(tmp_path / "a.mp3")
    return tmp_path / "a.mp3"


def pipe(tmp_path: Path, encode: Encode) -> Path:
    os.mkfifo(tmp_path / "song.mp3")
    return tmp_path / "song.mp3"


def listening_socket(tmp_path: Path, encode: Encode) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.wav"))
    return tmp_path / "s.wav"


def with_nan(tmp_path: Path, encode: Encode) -> Path:
    samples = np.zeros((2, 48000 * 2), np.float32)
    samples[:, ::7] = 0.3
    samples[0, 50_000] = np.nan
    return encode("wav", samples=samples, encoder="pcm_f32le")


def infinite(tmp_path: Path, encode: Encode) -> Path:
    samples = np.full((2, 48000 * 2), 0.3, np.float32)
    samples[1, 70_000] = np.inf
    return encode("wav", samples=samples, encoder="pcm_f32le")


def vorbis_headers(tmp_path: Path, encode: Encode) -> Path:
    path = tmp_path / "song.ogg"
    soundfile.write(path, np.random.default_rng(0).normal(size=(44100 * 2, 2)) * 0.1, 44100)
    return cut(path, 0.1)


def playlist(tmp_path: Path, encode: Encode) -> Path:
    good = encode("wav", name="good.wav")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{good}\n#EXT-X-ENDLIST\n")
    return tmp_path / "list.m3u8"


def list_of_files(tmp_path: Path, encode: Encode) -> Path:
    return written(tmp_path / "list.wav", f"ffconcat version 1.0\nfile {encode('wav', name='good.wav')}\n".encode())


BAD = {
    "missing": (lambda tmp, encode: tmp / "none.mp3", errors.AudioNotFound),
    "folder": (lambda tmp, encode: tmp, errors.AudioIsDirectory),
    "below a file": (lambda tmp, encode: encode("wav") / "x.wav", errors.AudioNotFound),
    "empty": (empty, errors.AudioEmpty),
    "text": (text_named_mp3, errors.AudioNotAudio),
    "noise": (lambda tmp, encode: noise(tmp / "song.wav"), errors.AudioNotAudio),
    "noise without an ending": (lambda tmp, encode: noise(tmp / "song"), errors.AudioNotAudio),
    "web page": (lambda tmp, encode: written(tmp / "song.mp3", b"<!DOCTYPE html><html><body>404</body></html>" * 50), errors.AudioNotAudio),
    "zeros": (lambda tmp, encode: written(tmp / "song.mp3", bytes(200_000)), errors.AudioNotAudio),
    "only a header": (lambda tmp, encode: written(tmp / "song.wav", encode("wav").read_bytes()[:44]), errors.AudioNotAudio),
    "picture": (picture, errors.AudioNotAudio),
    "play list": (playlist, errors.AudioNotAudio),
    "list of files": (list_of_files, errors.AudioNotAudio),
    "video without sound": (lambda tmp, encode: encode("mp4", picture=True, sound=False), errors.AudioNoTrack),
    "wav cut off": (lambda tmp, encode: cut(encode("wav"), 0.5), errors.AudioTruncated),
    "aiff cut off": (lambda tmp, encode: cut(encode("aiff"), 0.5), errors.AudioTruncated),
    "webm cut off": (lambda tmp, encode: cut(encode("webm"), 0.5), errors.AudioTruncated),
    "flac cut off": (lambda tmp, encode: cut(encode("flac"), 0.5), errors.AudioTruncated),
    "mp3 cut off": (lambda tmp, encode: cut(encode("mp3"), 0.5), errors.AudioTruncated),
    "ogg cut off": (lambda tmp, encode: cut(encode("ogg", seconds=20.0), 0.53), errors.AudioTruncated),
    "vorbis cut in its headers": (vorbis_headers, errors.AudioTruncated),
    "opus cut off": (lambda tmp, encode: cut(encode("opus", seconds=5.0), 0.7), errors.AudioTruncated),
    "mkv cut off": (lambda tmp, encode: cut(encode("mkv"), 0.5), errors.AudioTruncated),
    "m4a without index": (lambda tmp, encode: cut(encode("m4a"), 0.5), errors.AudioTruncated),
    "too short": (lambda tmp, encode: encode("wav", seconds=0.4), errors.AudioTooShort),
    "silent": (lambda tmp, encode: encode("wav", samples=np.zeros((2, 96000), np.float32)), errors.AudioSilent),
    "NaN": (with_nan, errors.AudioInvalidSamples),
    "infinite": (infinite, errors.AudioInvalidSamples),
    "device": (lambda tmp, encode: Path("/dev/zero"), errors.AudioPathRefused),
    "symlink loop": (loop, errors.AudioPathRefused),
    "pipe": (pipe, errors.AudioPathRefused),
    "socket": (listening_socket, errors.AudioPathRefused),
    "NUL in the name": (lambda tmp, encode: tmp / "a\0b.wav", errors.AudioPathRefused),
    "name too long": (lambda tmp, encode: tmp / ("x" * 300 + ".wav"), errors.AudioPathRefused),
    "no name": (lambda tmp, encode: Path("/"), errors.AudioPathRefused),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused_with_its_own_code_and_leaves_nothing(
    kind: str, tmp_path: Path, encode: Encode, ctx: StepContext, data_dir: Path
) -> None:
    make, error = BAD[kind]
    path = make(tmp_path, encode)
    with pytest.raises(error) as caught:
        ingest_song(path, ctx)
    assert caught.value.code == error.code
    assert not caught.value.transient
    assert [file for file in data_dir.rglob("*") if file.is_file()] == []
    assert list((data_dir / "scratch").glob("*")) == []


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "device", "symlink loop", "NUL in the name"])
def test_what_is_no_file_has_no_identity_and_is_not_waited_for(kind: str, tmp_path: Path, encode: Encode) -> None:
    make, error = BAD[kind]
    path = make(tmp_path, encode)
    with pytest.raises(error):
        file_identity(path)


def test_what_shows_without_decoding_is_refused_early(tmp_path: Path, encode: Encode) -> None:
    refuse_early(encode("wav"), get_settings())
    for kind in ("missing", "folder", "empty", "text", "picture", "video without sound", "symlink loop"):
        make, error = BAD[kind]
        folder = tmp_path / kind.replace(" ", "-")
        folder.mkdir()
        with pytest.raises(error):
            refuse_early(make(folder, encode), get_settings())


def test_a_song_over_the_limit_is_refused_before_it_is_decoded(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode("wav", seconds=5.0)
    monkeypatch.setenv("PERFORMIA_MAX_DURATION_SEC", "4")
    reset_settings()
    with pytest.raises(errors.AudioTooLong):
        refuse_early(path, get_settings())
    with local_context() as ctx, pytest.raises(errors.AudioTooLong):
        ingest_song(path, ctx)


def test_only_the_allowed_folders_are_read(tmp_path: Path, encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    song = encode("wav")
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "inside.wav").write_bytes(song.read_bytes())
    (allowed / "link.wav").symlink_to(song)
    monkeypatch.setenv("PERFORMIA_INPUT_ROOTS", f'["{allowed}"]')
    reset_settings()
    refuse_early(allowed / "inside.wav", get_settings())
    (allowed / "loop.wav").symlink_to(allowed / "loop.wav")
    for outside in (
        song,
        allowed / ".." / song.name,
        allowed / "link.wav",
        tmp_path / "none.wav",
        Path("/etc/passwd"),
    ):
        with pytest.raises(errors.AudioPathRefused, match="outside the allowed folders"):
            refuse_early(outside, get_settings())
        with pytest.raises(errors.AudioPathRefused, match="outside the allowed folders"):
            file_identity(outside)
    # Up to Python 3.12, a loop of links is nowhere; later, it is where it begins.
    with pytest.raises(errors.AudioPathRefused, match=r"outside the allowed folders|cannot be followed"):
        refuse_early(allowed / "loop.wav", get_settings())
    with pytest.raises(errors.AudioNotFound):
        refuse_early(allowed / "none.wav", get_settings())


def test_a_file_that_may_not_be_read_is_refused(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode("wav")
    monkeypatch.setattr(os, "access", lambda *args: False)  # the tests may run as root, who may read everything
    with pytest.raises(errors.AudioUnreadable):
        refuse_early(path, get_settings())


def test_a_failing_disk_is_named(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode("wav")
    monkeypatch.setattr("tasks.ingest.checks.sha256_file", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(errors.AudioUnreadable, match="Input/output error"):
        file_identity(path)


def test_a_song_that_turns_out_to_be_over_the_limit_is_refused(encode: Encode, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    path = encode("mp3", seconds=20.0)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"Xing", b"____").replace(b"Info", b"____"))  # nothing says how long it is
    monkeypatch.setenv("PERFORMIA_MAX_DURATION_SEC", "4")
    reset_settings()
    refuse_early(path, get_settings())
    with local_context() as ctx, pytest.raises(errors.AudioTooLong):
        ingest_song(path, ctx)
    assert [file for file in data_dir.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize("ending", ["m4a", "mp3", "flac"])
def test_a_little_damage_is_played_over_and_said(encode: Encode, ctx: StepContext, ending: str) -> None:
    path = encode(ending, seconds=20.0)
    data = bytearray(path.read_bytes())
    at, size = len(data) * 4 // 10, len(data) // 200
    data[at : at + size] = np.random.default_rng(1).bytes(size)
    path.write_bytes(bytes(data))
    song = ingest_song(path, ctx)
    assert song.duration_sec == pytest.approx(20.0, abs=0.3)
    assert any("damaged" in warning or "missing" in warning for warning in song.report.warnings)


@pytest.mark.parametrize("ending", ["m4a", "mp3", "flac", "opus"])
def test_much_damage_is_refused(encode: Encode, ctx: StepContext, ending: str) -> None:
    path = encode(ending, seconds=20.0)
    data = bytearray(path.read_bytes())
    at, size = len(data) * 4 // 10, len(data) // 5
    data[at : at + size] = np.random.default_rng(1).bytes(size)
    path.write_bytes(bytes(data))
    with pytest.raises(errors.AudioTruncated):
        ingest_song(path, ctx)


def test_ffmpeg_says_nothing_on_the_screen(encode: Encode, ctx: StepContext, capfd: pytest.CaptureFixture[str]) -> None:
    path = encode("mp3", seconds=20.0)
    data = bytearray(path.read_bytes())
    data[60_000:62_000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(bytes(data))
    capfd.readouterr()  # what the encoder said when the file was made
    ingest_song(path, ctx)
    with pytest.raises(errors.AudioNotAudio):
        ingest_song(noise(path), ctx)
    assert capfd.readouterr() == ("", "")


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ending=st.sampled_from(["wav", "flac", "mp3", "opus", "m4a", "aiff", "webm", "mkv"]),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.booleans()), min_size=1, max_size=20),
)
def test_whatever_is_wrong_with_a_file_the_error_has_a_name(
    encode: Encode, ctx: StepContext, ending: str, flips: list[tuple[float, int, bool]]
) -> None:
    path = encode(ending, seconds=1.2, name=f"flipped.{ending}")
    data = bytearray(path.read_bytes())
    for place, value, in_header in flips:
        data[int(place * (min(400, len(data)) if in_header else len(data)))] = value
    path.write_bytes(bytes(data))
    with contextlib.suppress(errors.AudioError):
        ingest_song(path, ctx)
