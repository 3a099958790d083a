"""Files whose names are no UTF-8 are read through a link whose name is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.common.errors import AudioPathRefused
from tasks.common.settings import get_settings
from tasks.ingest.file_names import as_text, is_text, with_text_name

NAMES = {
    "café.wav": "latin-1",
    "Группа крови.mp3": "cp1251",
    "月亮代表我的心.flac": "gbk",
    "上を向いて歩こう.ogg": "cp932",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_an_old_encoding_becomes_the_name_it_was(name: str, tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / os.fsdecode(name.encode(NAMES[name]))
    path.write_bytes(b"music")
    link = with_text_name(path, get_settings())
    assert link.name == name
    assert link.read_bytes() == b"music"
    assert is_text(link)
    assert with_text_name(path, get_settings()) == link  # again, and for good


def test_a_name_that_is_text_stays(tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / "Группа крови.mp3"
    assert with_text_name(path, get_settings()) == path
    assert not (data_dir / "names").exists()


@pytest.mark.parametrize("raw", [b"a\xff\x1b[2J.wav", b"\xff.wav", b"\xe9" * 240 + b".wav", b"x\x80\x81\x8d\n.wav"])
def test_whatever_the_bytes_the_link_can_be_printed_and_is_not_too_long(raw: bytes, tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / os.fsdecode(raw)
    path.write_bytes(b"music")
    link = with_text_name(path, get_settings())
    assert link.name.isprintable()
    assert link.suffix == ".wav"
    assert len(link.name.encode()) <= 255
    assert link.read_bytes() == b"music"


def test_folders_with_such_names_count_too(tmp_path: Path, data_dir: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xe9t\xe9")
    folder.mkdir()
    (folder / "song.wav").write_bytes(b"music")
    assert with_text_name(folder / "song.wav", get_settings()).read_bytes() == b"music"
    assert with_text_name(folder, get_settings()).name == "été"


def test_where_no_link_can_be_made_it_is_refused_by_name(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "symlink_to", full)
    with pytest.raises(AudioPathRefused, match=r"caf\\xe9\.wav: its name is no UTF-8") as caught:
        with_text_name(tmp_path / "caf\udce9.wav", get_settings())
    assert is_text(Path(str(caught.value)))


def test_any_text_can_be_written_down() -> None:
    assert as_text("caf\udce9") == r"caf\xe9"
    assert as_text("half \ud83c") == "half \N{REPLACEMENT CHARACTER}"
    assert as_text(Path("été")) == "été"
