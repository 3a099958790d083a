"""Ranges and file names, as the standards have them."""

from __future__ import annotations

import pytest

from deployments.api.file_answers import content_disposition, spans_of


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        (None, None),
        ("bytes=0-9", [(0, 10)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=90-1000", [(90, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("Bytes = 0-0 , 50-51", [(0, 1), (50, 52)]),
        ("bytes=50-51,0-0", [(50, 52), (0, 1)]),  # in the order that was asked for
        ("bytes=0-9,5-19,19-30", [(0, 31)]),  # no byte twice
        ("bytes=0-9,,", [(0, 10)]),
        ("bytes=0-9,100-", [(0, 10)]),  # one of them can be satisfied
        ("bytes=100-", []),
        ("bytes=100-200,-0", []),
        ("bytes=-0", []),
        # What is not understood is as if it were not there.
        ("lines=0-9", None),
        ("bytes", None),
        ("bytes=", None),
        ("bytes=,", None),
        ("bytes=a-b", None),
        ("bytes=-", None),
        ("bytes=9-0", None),
        ("bytes=--5", None),
        ("bytes=0-1-2", None),
        ("bytes=+0-9", None),
        ("bytes=٠-٩", None),
        ("bytes=0-9,x", None),
        (f"bytes=0-{'9' * 40}", None),
        ("bytes=" + ",".join(f"{place}-{place}" for place in range(0, 90, 2)), None),
    ],
)
def test_what_a_range_asks_for(header: str | None, spans: list[tuple[int, int]] | None) -> None:
    assert spans_of(header, 100) == spans


def test_of_an_empty_file_there_is_no_part() -> None:
    assert spans_of("bytes=0-", 0) == spans_of("bytes=-5", 0) == []


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("The Band - Song.mp3", 'inline; filename="The Band - Song.mp3"'),
        ("Größe.wav", "inline; filename=\"Groe.wav\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.wav"),
        ("夜.wav", "inline; filename=\"song.wav\"; filename*=UTF-8''%E5%A4%9C.wav"),
        ('a"; filename="b.exe', "inline; filename=\"a _ filename_ b.exe\"; filename*=UTF-8''a%20%3B%20filename%3D%20b.exe"),
        (
            "a\r\nSet-Cookie: x=1\r\n\r\n<script>.wav",
            "inline; filename=\"a Set-Cookie x_1 script.wav\"; filename*=UTF-8''a%20Set-Cookie%20x%3D1%20script.wav",
        ),
        ("../../etc/passwd", 'inline; filename="etc passwd"'),
        ("CON.wav", 'inline; filename="CON_.wav"'),
        ("a\x00b\u202egnp.wav", 'inline; filename="a b gnp.wav"'),
        ("", 'inline; filename="song"'),
    ],
)
def test_a_name_cannot_break_out_of_its_header(name: str, header: str) -> None:
    made = content_disposition(name)
    assert made == header
    assert made.isascii()
    assert made.isprintable()
