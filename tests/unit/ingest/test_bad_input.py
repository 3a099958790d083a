"""Whatever cannot be analysed is refused with its own code, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

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


def noise_named_wav(tmp_path: Path, encode: Encode) -> Path:
    (tmp_path / "song.wav").write_bytes(np.random.default_rng(0).bytes(100_000))
    return tmp_path / "song.wav"


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


def playlist(tmp_path: Path, encode: Encode) -> Path:
    good = encode("wav", name="good.wav")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{good}\n#EXT-X-ENDLIST\n")
    return tmp_path / "list.m3u8"


BAD = {
    "missing": (lambda tmp, encode: tmp / "none.mp3", errors.AudioNotFound),
    "folder": (lambda tmp, encode: tmp, errors.AudioIsDirectory),
    "below a file": (lambda tmp, encode: encode("wav") / "x.wav", errors.AudioNotFound),
    "empty": (empty, errors.AudioEmpty),
    "text": (text_named_mp3, errors.AudioNotAudio),
    "noise": (noise_named_wav, errors.AudioNotAudio),
    "picture": (picture, errors.AudioNotAudio),
    "play list": (playlist, errors.AudioNotAudio),
    "video without sound": (lambda tmp, encode: encode("mp4", picture=True, sound=False), errors.AudioNoTrack),
    "wav cut off": (lambda tmp, encode: cut(encode("wav"), 0.5), errors.AudioTruncated),
    "aiff cut off": (lambda tmp, encode: cut(encode("aiff"), 0.5), errors.AudioTruncated),
    "webm cut off": (lambda tmp, encode: cut(encode("webm"), 0.5), errors.AudioTruncated),
    "flac cut off": (lambda tmp, encode: cut(encode("flac"), 0.5), errors.AudioTruncated),
    "mp3 cut off": (lambda tmp, encode: cut(encode("mp3"), 0.5), errors.AudioTruncated),
    "ogg cut off": (lambda tmp, encode: cut(encode("ogg", seconds=20.0), 0.53), errors.AudioTruncated),
    "m4a without index": (lambda tmp, encode: cut(encode("m4a"), 0.5), errors.AudioTruncated),
    "too short": (lambda tmp, encode: encode("wav", seconds=0.4), errors.AudioTooShort),
    "silent": (lambda tmp, encode: encode("wav", samples=np.zeros((2, 96000), np.float32)), errors.AudioSilent),
    "NaN": (with_nan, errors.AudioInvalidSamples),
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
    for outside in (song, allowed / ".." / song.name, allowed / "link.wav"):
        with pytest.raises(errors.AudioPathRefused, match="outside the allowed folders"):
            refuse_early(outside, get_settings())


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


def test_a_little_damage_is_played_over_and_said(encode: Encode, ctx: StepContext) -> None:
    path = encode("mp3", seconds=10.0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 30] = b"\xff" * 30
    path.write_bytes(bytes(data))
    song = ingest_song(path, ctx)
    assert song.duration_sec == pytest.approx(10.0, abs=0.3)
