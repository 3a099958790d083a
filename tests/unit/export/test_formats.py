"""The list of the exports."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from odd_songs import SONGS, song_of

from tasks.common.errors import ExportFormatUnknown, ExportNothingToWrite, OptionInvalid
from tasks.export.formats import FORMATS, Format, format_named, zipped
from tasks.export.options import ExportOptions, export_options
from tasks.export.song import Song


def test_names_and_files_are_apart_and_safe() -> None:
    assert len({entry.suffix.lower() for entry in FORMATS.values()}) == len(FORMATS)
    for name, entry in FORMATS.items():
        assert name == entry.name
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", name)
        assert re.fullmatch(r"(\.[A-Za-z0-9-]+)+", entry.suffix)
        assert re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", entry.media_type)


@pytest.mark.parametrize("name", SONGS)
@pytest.mark.parametrize(
    "entry", [entry for entry in FORMATS.values() if not entry.needs_sound and not entry.sound], ids=lambda entry: entry.name
)
def test_every_format_writes_every_kind_of_song_and_the_same_each_time(entry: Format, name: str) -> None:
    song = Song(song_of(name))
    options = ExportOptions(transpose=2, capo=3)
    if entry.name == "ultrastar" and not song.map.lyrics:
        with pytest.raises(ExportNothingToWrite):
            entry.content(song, options)
        return
    content = entry.content(song, options)
    assert isinstance(content, bytes)
    assert content == entry.content(song, options)


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(ExportFormatUnknown, match=r"'docx'.*lrc, "):
        format_named("docx")


def test_a_zip_is_the_same_for_the_same_files_and_stores_what_is_compressed() -> None:
    files = [("a.txt", b"x" * 1000), ("b.flac", b"y" * 1000)]
    content = zipped(iter(files))
    assert content == zipped(iter(files))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert [(name, archive.read(name)) for name in archive.namelist()] == files
        assert [info.compress_type for info in archive.infolist()] == [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]


@pytest.mark.parametrize("chosen", [{"transpose": 13}, {"capo": -1}, {"capo": 12}, {"lead_sec": float("nan")}, {"lead_sec": -1}])
def test_options_beyond_their_bounds_are_refused(chosen: dict[str, float]) -> None:
    with pytest.raises(OptionInvalid, match=next(iter(chosen))):
        export_options(**chosen)


def test_what_is_left_out_is_the_default() -> None:
    assert export_options(transpose=None, capo=2) == ExportOptions(capo=2)
