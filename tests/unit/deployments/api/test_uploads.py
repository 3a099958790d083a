"""What is kept of uploads, and under which names."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from deployments.api import uploads
from deployments.api.problems import ProblemError
from deployments.api.uploads import Form, KeyedRequest, arriving, file_name, forget_upload, kept, public_name, sweep
from tasks.common.settings import get_settings


@pytest.mark.parametrize(
    ("sent", "shown", "on_disk"),
    [
        ("Artist - Title.mp3", "Artist - Title.mp3", "Artist - Title.mp3"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini", "boot.ini"),
        ("C:\\music\\song.wav", "song.wav", "song.wav"),
        ("a\x00b\r\nX-Evil: 1.wav", "a b  X-Evil: 1.wav", "a b X-Evil 1.wav"),
        ("con.wav", "con.wav", "con_.wav"),
        (".hidden", ".hidden", "hidden"),
        ("..", "..", "song"),
        ("", "song", "song"),
        ("夜の歌\u202e.flac", "夜の歌 .flac", "夜の歌.flac"),
        ("x" * 400 + ".wav", "x" * 200, "x" * 120),
        ("a.w/av", "av", "av"),
        ("a.<script>", "a.<script>", "a.script"),
    ],
)
def test_a_name_is_shown_on_one_line_and_is_safe_on_every_disk(sent: str, shown: str, on_disk: str) -> None:
    assert public_name(sent) == shown
    assert file_name(public_name(sent)) == on_disk


def test_the_same_bytes_are_kept_once_and_forgotten_with_their_folder(tmp_path: Path) -> None:
    settings = get_settings()

    def arrived(name: str) -> Form:
        path = settings.uploads / "incoming" / f"{name}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
        return Form(path, name, 5, "ab" + "0" * 62)

    first = kept(arrived("one.wav"), settings)
    assert first == settings.uploads / "ab" / ("ab" + "0" * 62) / "one.wav"
    assert kept(arrived("two.wav"), settings) == first
    elsewhere = tmp_path / "a" / "b" / "mine.wav"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.touch()
    forget_upload(elsewhere, settings)
    assert elsewhere.exists()
    forget_upload(first, settings)
    assert not (settings.uploads / "ab").exists()


def test_what_a_dead_process_left_goes_and_a_key_lasts_a_day() -> None:
    settings = get_settings()

    async def ask(fingerprint: str) -> str | None:
        async with KeyedRequest.of(settings, "me", "key") as keyed:
            if (job := keyed.earlier(fingerprint)) is None:
                keyed.remember(fingerprint, "job")
            return job

    assert asyncio.run(ask("a")) is None
    assert asyncio.run(ask("a")) == "job"
    with pytest.raises(ProblemError, match="REUSED"):
        asyncio.run(ask("b"))
    (record,) = (settings.uploads / "keys").glob("*.json")
    os.utime(record, (time.time() - 90_000, time.time() - 90_000))
    sweep(settings)
    assert not record.exists()
    assert asyncio.run(ask("b")) is None


def test_without_a_key_nothing_is_remembered() -> None:
    async def ask() -> str | None:
        async with KeyedRequest.of(get_settings(), "me", None) as keyed:
            keyed.remember("a", "job")
            return keyed.earlier("a")

    assert asyncio.run(ask()) is None


def test_an_upload_that_hardly_moves_or_stops_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_SILENCE_SEC", 0.2)
    settings = get_settings()
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    async def send(pause: float, pieces: int) -> None:
        messages = [{"type": "http.request", "body": body, "more_body": True} for body in [head, *[b"z"] * pieces]]

        async def receive() -> Any:
            await asyncio.sleep(pause)
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b""}, receive)
        async with arriving(request, settings, lambda path: None):
            raise AssertionError("it is not whole")

    for pause, pieces in ((0.05, 100), (1.0, 1), (0.0, 2)):  # a byte now and then; silence; gone
        with pytest.raises(ProblemError, match="UPLOAD_BROKEN_OFF"):
            asyncio.run(send(pause, pieces))
    assert list((settings.uploads / "incoming").iterdir()) == []
