"""Forms are read the same however they are cut into pieces, and nothing of a file stays in memory."""

from __future__ import annotations

import random

import pytest

from deployments.api.multipart import Data, FormInvalid, FormParser, Part, boundary_of

BOUNDARY = b"bound"
FIELDS = [
    ("empty", None, b""),
    ("file", "x y.wav", b"\r\n--bo\r\n--boundx\r\n" + random.Random(1).randbytes(300) + b"\r\n--bounD\r\n-"),
    ("options", None, b'{"quality":"fast"}\r\n'),
    ("last", "", b"\r\n"),
]


def form(fields: list[tuple[str, str | None, bytes]]) -> bytes:
    out = b"a preamble\r\n"
    for name, file, content in fields:
        named = "" if file is None else f'; filename="{file}"'
        out += b"--bound\r\n" + f'Content-Disposition: form-data; name="{name}"{named}\r\n'.encode() + b"X: y\r\n\r\n" + content + b"\r\n"
    return out + b"--bound--\r\nan epilogue"


def read(data: bytes, cuts: list[int]) -> list[tuple[str, str | None, bytes]]:
    parser, found, start = FormParser(BOUNDARY), [], 0
    for end in (*cuts, len(data)):
        for event in parser.feed(data[start:end]):
            if isinstance(event, Part):
                found.append((event.name, event.file, b""))
            else:
                assert isinstance(event, Data)
                found[-1] = (*found[-1][:2], found[-1][2] + event.content)
        start = end
    parser.finish()
    return found


def test_a_form_is_the_same_in_any_pieces() -> None:
    data, chance = form(FIELDS), random.Random(2)
    assert read(data, list(range(1, len(data)))) == FIELDS
    for _ in range(300):
        assert read(data, sorted(chance.randrange(len(data)) for _ in range(chance.randrange(40)))) == FIELDS


def test_a_file_of_any_size_leaves_nothing_in_memory() -> None:
    parser = FormParser(BOUNDARY)
    list(parser.feed(b'--bound\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'))
    given = sum(len(event.content) for _ in range(100) for event in parser.feed(b"\r\n" * 50_000) if isinstance(event, Data))
    assert 10_000_000 - given < 100


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('filename="a \\"b\\".mp3"', 'a "b".mp3'),
        ('filename="a%22b.mp3"', 'a"b.mp3'),
        ("filename=plain.mp3", "plain.mp3"),
        ("filename=\"x\"; filename*=UTF-8''Na%C3%AFve.mp3", "Naïve.mp3"),
        ('filename="夜.mp3"', "夜.mp3"),
        ('filename="..\\..\\x.mp3"', "..\\..\\x.mp3"),
    ],
)
def test_the_name_of_a_file_is_read_as_senders_write_it(header: str, name: str) -> None:
    data = f'--bound\r\nContent-Disposition: form-data; name="file"; {header}\r\n\r\n--bound--'.encode()
    assert next(iter(FormParser(BOUNDARY).feed(data))) == Part("file", name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no form at all",
        form(FIELDS)[:-30],
        b"--bound\r\n\r\nno headers\r\n--bound--",
        b'--bound\r\nContent-Disposition: attachment; name="x"\r\n\r\n\r\n--bound--',
        b"--bound\r\nX: " + b"y" * 10_000,
    ],
)
def test_what_is_no_whole_form_is_refused(data: bytes) -> None:
    with pytest.raises(FormInvalid):
        read(data, [])


def test_the_boundary_is_in_the_content_type() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"
    assert boundary_of("multipart/mixed; boundary=abc") is None
    assert boundary_of("application/json") is None
