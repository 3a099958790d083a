"""Tags are read as a person would read them, in whatever encoding they were written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.results import Tags
from tasks.common.step import StepContext
from tasks.ingest.ingest import ingest_song
from tasks.ingest.tags import decoded, encoding_of, read_tags

Encode = Callable[..., Path]

TEXTS = {
    "cp1251": ["Кино", "Группа крови", "Звезда по имени Солнце", "Ария", "ДДТ", "КИНО", "Земфира", "Мумий Тролль", "Я и ты"],
    "gbk": ["周杰伦", "月亮代表我的心", "邓丽君", "青花瓷", "千里之外", "爱", "王菲", "红豆"],
    "cp932": ["さくら", "上を向いて歩こう", "宇多田ヒカル", "坂本龍一", "君が代", "ｻｸﾗ", "アニメ", "椎名林檎 - 丸の内サディスティック"],
    "cp1252": [
        *("Café del Mar", "Sigur Rós", "Motörhead", "Ágætis byrjun", "Für Elise", "Beyoncé", "Été", "São Paulo", "¡Olé!"),
        *("È già", "naïve – “x”", "Björk", "Ænima", "Où es-tu?", "Å", "Ö", "20° in July", "100 £"),
    ],
    "euc_jp": ["上を向いて歩こう", "さくら"],
    "big5": ["周杰倫", "鄧麗君"],
    "euc_kr": ["소녀시대", "다시 만난 세계"],
}
CASES = [(text, encoding) for encoding, texts in TEXTS.items() for text in texts]


@pytest.mark.parametrize(("text", "encoding"), [case for case in CASES if case[1] != "euc_kr"])
def test_a_name_alone_is_read_right(text: str, encoding: str) -> None:
    assert text.encode(encoding).decode(encoding_of(text.encode(encoding))) == text


def test_the_tags_of_a_file_are_evidence_for_each_other() -> None:
    raw = {name: text.encode("euc_kr").decode("utf-8", "surrogateescape") for name, text in zip("ab", TEXTS["euc_kr"], strict=True)}
    assert list(decoded(raw, eight_bit=False).values()) == TEXTS["euc_kr"]


def id3v2(frames: dict[str, bytes]) -> bytes:
    """An ID3v2.3 tag whose texts are said to be Latin-1."""
    body = b"".join(name.encode() + (len(text) + 1).to_bytes(4, "big") + b"\0\0\0" + text for name, text in frames.items())
    return b"ID3\x03\0\0" + bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0)) + body


def without_id3(data: bytes) -> bytes:
    return data[10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]) :] if data[:3] == b"ID3" else data


@pytest.mark.parametrize(
    ("title", "artist", "encoding"),
    [
        ("Группа крови", "Кино", "cp1251"),
        ("月亮代表我的心", "邓丽君", "gbk"),
        ("上を向いて歩こう", "坂本九", "cp932"),
        ("Für Elise", "Café del Mar", "latin-1"),
    ],
)
@pytest.mark.parametrize("kind", ["id3v2", "id3v1", "riff"])
def test_tags_in_old_encodings_are_read_right(encode: Encode, ctx: StepContext, title: str, artist: str, encoding: str, kind: str) -> None:
    name, who = title.encode(encoding), artist.encode(encoding)
    path = encode("wav" if kind == "riff" else "mp3")
    if kind == "id3v2":
        path.write_bytes(id3v2({"TIT2": name, "TPE1": who}) + without_id3(path.read_bytes()))
    elif kind == "id3v1":
        path.write_bytes(without_id3(path.read_bytes()) + b"TAG" + name[:30].ljust(30, b"\0") + who[:30].ljust(30, b"\0") + bytes(65))
    else:
        items = b"".join(
            mark + len(text).to_bytes(4, "little") + text + bytes(len(text) % 2) for mark, text in ((b"INAM", name), (b"IART", who))
        )
        data = path.read_bytes()
        data += b"LIST" + (4 + len(items)).to_bytes(4, "little") + b"INFO" + items
        path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    tags = ingest_song(path, ctx).tags
    assert (tags.title, tags.artist) == (title, artist)
    assert ctx.warnings == []


@pytest.mark.parametrize("ending", ["mp3", "flac", "m4a", "opus", "mkv"])
@pytest.mark.parametrize("title", ["Группа крови", "月亮代表我的心", "さくら", "Café", "Åäö", "소녀시대"])
def test_unicode_stays_unicode(encode: Encode, ctx: StepContext, ending: str, title: str) -> None:
    assert ingest_song(encode(ending, tags={"title": title}), ctx).tags.title == title


def test_a_vorbis_comment_that_breaks_its_rule_is_read_too(encode: Encode, ctx: StepContext) -> None:
    path = encode("flac", tags={"title": "T" * 12})
    path.write_bytes(path.read_bytes().replace(b"T" * 12, "Группа крови".encode("cp1251")))
    assert ingest_song(path, ctx).tags.title == "Группа крови"


def test_utf_8_that_is_said_to_be_latin_1_is_read_right(encode: Encode, ctx: StepContext) -> None:
    path = encode("mp3")
    path.write_bytes(id3v2({"TIT2": "Träume, ночь".encode(), "TPE1": "Кино".encode()}) + without_id3(path.read_bytes()))
    tags = ingest_song(path, ctx).tags
    assert (tags.title, tags.artist) == ("Träume, ночь", "Кино")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("title", ["Träume", "Ночь и день", "夜に駆ける 2"])
def test_utf_16_without_a_byte_order_mark_is_read_right(encode: Encode, ctx: StepContext, encoding: str, title: str) -> None:
    text = title.encode(encoding)
    frame = b"TIT2" + (len(text) + 1).to_bytes(4, "big") + b"\0\0\x01" + text
    path = encode("mp3")
    path.write_bytes(b"ID3\x03\0\0\0\0\0" + bytes([len(frame)]) + frame + without_id3(path.read_bytes()))
    assert ingest_song(path, ctx).tags.title == title


def test_text_that_was_encoded_twice_is_read_right() -> None:
    once = "Träume – “ночь”"
    assert read_tags({"title": once.encode().decode("latin-1")}) == Tags(title=once)
    assert read_tags({"title": "Träume".encode().decode("cp1252")}) == Tags(title="Träume")
    for text in ("Für Elise", "São Paulo", "Åäö", "20° £", "naïve – “x”", "MAÇÃ"):
        assert read_tags({"title": text}) == Tags(title=text)


def test_what_would_steer_a_terminal_is_left_out() -> None:
    title = "a\x1b[31mred\x07\n\x9b2J\x7f\u2028b\u202egpj\u2066\ufeff \ud800"
    tags = read_tags({"title": title, "artist": "\x1b\x07", "album": "x" * 100_000})
    assert tags == Tags(title="a [31mred 2J bgpj", album="x" * 1000)
    assert read_tags({"title": "می\u200cخواهم"}) == Tags(title="می\u200cخواهم")  # a mark that belongs to the word


def test_text_without_a_fault_is_not_touched() -> None:
    assert read_tags({"title": "Plain"}, eight_bit=True) == Tags(title="Plain")
    assert read_tags({"title": "\0 "}, eight_bit=True) == Tags()
    assert read_tags({"title": "Ïåñíÿ"}, eight_bit=False) == Tags(title="Ïåñíÿ")  # said to be UTF-8, and is
    assert read_tags({"title": "Ïåñíÿ"}, eight_bit=True) == Tags(title="Песня")
