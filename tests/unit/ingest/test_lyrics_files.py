"""Lyrics in files, in whatever encoding, and beside songs."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.options import AnalysisOptions
from tasks.common.errors import LyricsUnreadable
from tasks.ingest.lyrics_files import read_lyrics, with_lyrics_beside

TEXT = "Où est la fête ?\nÇa va déjà mieux\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_lyrics_are_read_in_their_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(TEXT.encode(encoding))
    assert read_lyrics(file) == TEXT


@pytest.mark.parametrize("content", [b"", b" \n", b"a" * 500_000])
def test_what_is_no_lyrics_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(content)
    with pytest.raises(LyricsUnreadable):
        read_lyrics(file)
    with pytest.raises(LyricsUnreadable):
        read_lyrics(tmp_path / "missing.txt")


def test_lyrics_beside_a_song_are_taken_unless_some_were_given(tmp_path: Path) -> None:
    song = tmp_path / "Song.mp3"
    assert with_lyrics_beside(song, AnalysisOptions()).lyrics is None
    song.with_suffix(".txt").write_text("plain", encoding="utf-8")
    assert with_lyrics_beside(song, AnalysisOptions()).lyrics == "plain"
    song.with_suffix(".lrc").write_text("[00:01.00]timed", encoding="utf-8")
    assert with_lyrics_beside(song, AnalysisOptions()).lyrics == "[00:01.00]timed"
    assert with_lyrics_beside(song, AnalysisOptions(lyrics="own")).lyrics == "own"
