"""The library finds every kept Song Map, keeps up with the folder, and comes back when its index is lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.api.library import library as library_module
from deployments.api.library.library import Library
from deployments.api.library.query import song_query
from schemas.song_folder import MAP_NAME
from tasks.common.locks import hold

Write = Callable[..., str]


def titles(library: Library, text: str = "", **asked: object) -> list[str]:
    library.refresh()
    return [song.title for song in library.search(song_query(text, **asked)).songs]  # type: ignore[arg-type]


@pytest.fixture
def songs(write: Write) -> None:
    write("a", "Ünsere Straße", artist="The Band", lyrics="Hello, world again", key=("A", "minor"), bpm=120, created="2025-01-01T00:00:00Z")
    write("b/c", "東京の夜", artist="宇多田ヒカル", lyrics="夜の街を歩く", key=("Db", "major"), bpm=90.5, created="2025-01-02T00:00:00Z")
    write("d", "Don't Stop", artist="Beyoncé", lyrics="we love somebody", key=("C", "major"), bpm=None, created="2025-01-03T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("unsere", ["Ünsere Straße"]),
        ("ÜNSERE strasse", ["Ünsere Straße"]),
        ("beyonce", ["Don't Stop"]),
        ("hel wor", ["Ünsere Straße"]),  # beginnings of words
        ("orld", []),
        ("lov som", ["Don't Stop"]),
        ("love band", []),  # all of the words
        ("dont", ["Don't Stop"]),
        ("東京", ["東京の夜"]),
        ("京の", ["東京の夜"]),
        ("京東", []),
        ("街", ["東京の夜"]),
        ("ヒカル 夜", ["東京の夜"]),
    ],
)
@pytest.mark.usefixtures("songs")
def test_words_find_a_song(library: Library, text: str, found: list[str]) -> None:
    assert titles(library, text) == found


@pytest.mark.usefixtures("songs")
def test_what_means_something_to_the_index_is_text(library: Library, write: Write) -> None:
    write("e", 'AND OR NOT NEAR "quoted" * title:x')
    assert titles(library, "NOT") == ['AND OR NOT NEAR "quoted" * title:x']
    assert titles(library, 'title:x AND "quoted') == ['AND OR NOT NEAR "quoted" * title:x']
    for hostile in ('"', "*", "^love", "love NEAR(stop)", "{title}: love", "lyrics:", "a OR b)", "';--", "\x00", "- love", "+", "(" * 99):
        titles(library, hostile)
    assert titles(library, "(love") == titles(library, "-love") == titles(library, '"love*') == ["Don't Stop"]


@pytest.mark.usefixtures("songs")
def test_key_and_tempo_narrow_the_search(library: Library) -> None:
    assert titles(library, key="Am") == ["Ünsere Straße"]
    assert titles(library, key="C# major") == ["東京の夜"]
    assert titles(library, bpm_min=100) == ["Ünsere Straße"]
    assert titles(library, bpm_max=100) == ["東京の夜"]
    assert titles(library, "world", bpm_max=100) == []


@pytest.mark.usefixtures("songs")
@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (None, "d b a"),
        ("created", "a b d"),
        ("title", "d a b"),
        ("-title", "b a d"),
        ("artist", "d a b"),
        ("bpm", "d b a"),
        ("-bpm", "a b d"),
    ],
)
def test_songs_come_in_the_order_that_was_asked_for(library: Library, sort: str | None, order: str) -> None:
    names = {"a": "Ünsere Straße", "b": "東京の夜", "d": "Don't Stop"}
    assert titles(library, sort=sort) == [names[name] for name in order.split()]


def test_what_is_in_the_title_comes_before_what_is_sung(library: Library, write: Write) -> None:
    write("a", "Other", lyrics="moon " * 3 + "and much more is sung in this song")
    write("b", "Moon")
    assert titles(library, "moon") == ["Moon", "Other"]


@pytest.mark.parametrize("sort", ["title", "-title", "created", "bpm", "-duration", "relevance"])
def test_pages_give_every_song_once(library: Library, write: Write, sort: str) -> None:
    for number in range(7):
        write(f"song {number}", f"Moon {number // 2}", bpm=[None, 90, 120][number % 3], lyrics="la " * number)
    library.refresh()
    found: list[str] = []
    cursor = None
    for _ in range(4):
        query = song_query("moon", sort=sort, limit=2, cursor=cursor)
        page = library.search(query)
        found += [song.id for song in page.songs]
        cursor = query.cursor(page.last) if page.last else None
    assert cursor is None
    assert len(found) == len(set(found)) == 7


def test_the_library_keeps_up_with_what_is_written_changed_and_deleted(library: Library, write: Write) -> None:
    assert titles(library) == []
    first = write("a", "One")
    assert titles(library) == ["One"]
    write("a", "One more", song=first)
    write("below/b", "Two", created="2025-02-01T00:00:00Z")
    assert titles(library) == ["Two", "One more"]
    shutil.rmtree(library.root / "below" / "b")
    assert titles(library) == ["One more"]
    os.rename(library.root / "a", library.root / "moved")
    assert titles(library) == ["One more"]
    assert library.folder_of(first) == library.root / "moved"


def test_a_song_is_found_by_its_id_as_soon_as_it_is_written(library: Library, write: Write) -> None:
    library.refresh()
    song = write("a", "One")
    assert library.folder_of(song) == library.root / "a"
    write("a", "Another song", song="f" * 16)
    assert library.folder_of(song) is None
    assert library.folder_of("f" * 16) == library.root / "a"


def test_of_two_folders_with_a_song_the_newer_is_shown(library: Library, write: Write) -> None:
    song = write("old", "Old", song="a" * 16)
    os.utime(library.root / "old" / MAP_NAME, (1, 1))
    write("new", "New", song=song)
    assert titles(library) == ["New"]
    assert library.folders_of(song) == [library.root / "new", library.root / "old"]
    shutil.rmtree(library.root / "new")
    assert titles(library) == ["Old"]


def test_what_is_no_map_is_left_out_and_read_once(library: Library, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("good", "Good")
    for number, content in enumerate(["", "{", "[]", '{"id": "../../x"}', "null", "\ufeff{}"]):
        (library.root / f"bad {number}").mkdir()
        (library.root / f"bad {number}" / MAP_NAME).write_text(content, encoding="utf-8")
    document = json.loads((library.root / "good" / MAP_NAME).read_text(encoding="utf-8"))
    for number, wrong in enumerate([{"id": "0" * 15}, {"duration_sec": float("nan")}, {"lyrics": 1}, {"id": ["a"]}]):
        (library.root / f"wrong {number}").mkdir()
        (library.root / f"wrong {number}" / MAP_NAME).write_text(json.dumps({**document, **wrong}), encoding="utf-8")
    assert titles(library) == ["Good"]
    monkeypatch.setattr(library_module, "indexed_song", lambda _: pytest.fail("a map was read again"))
    library._settled = None
    library.refresh()


def test_stems_and_reports_hidden_folders_and_circles_are_no_songs(library: Library, write: Write) -> None:
    write("a", "One")
    for folder in ("a/stems", "a/invalid", ".trash/b"):
        write(folder, "No song")
    (library.root / "a" / "up").symlink_to(library.root)
    assert titles(library) == ["One"]


def test_a_name_that_is_no_text_is_a_folder_like_any_other(library: Library, write: Write) -> None:
    song = write(os.fsdecode(b"caf\xe9"), "Half \ud800 a character".encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    assert len(titles(library)) == 1
    assert library.folder_of(song) == library.root / os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("damage", ["lost", "no database", "cut", "scrambled", "emptied", "other version"])
@pytest.mark.usefixtures("songs")
def test_a_lost_or_damaged_index_is_made_anew(library: Library, damage: str) -> None:
    assert len(titles(library)) == 3
    file = library.index.file
    content = file.read_bytes()
    if damage == "lost":
        file.unlink()
    elif damage == "no database":
        file.write_bytes(b"no database at all" * 100)
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "scrambled":
        file.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    elif damage == "emptied":
        file.write_bytes(b"")
    else:
        with sqlite3.connect(file) as database:
            database.execute("PRAGMA user_version = 77")
        database.close()
    assert len(titles(library)) == 3
    assert titles(library, "dont") == ["Don't Stop"]


@pytest.mark.usefixtures("songs")
def test_two_processes_share_an_index(library: Library, write: Write) -> None:
    other = Library(library.root, library.index.file)
    assert titles(library) == titles(other)
    write("x", "New", created="2026-01-01T00:00:00Z")
    assert titles(other)[0] == titles(library)[0] == "New"
    library.index.file.unlink()
    assert len(titles(other)) == len(titles(library)) == 4


@pytest.mark.usefixtures("songs")
def test_a_search_does_not_wait_for_whoever_fills_the_index(library: Library, write: Write) -> None:
    library.refresh()
    write("x", "New")
    library._ended = 0.0
    with hold(library.index.file.with_suffix(".filling.lock")):
        started = time.monotonic()
        assert len(library.search(song_query()).songs) == 3
        assert time.monotonic() - started < 1.0
        thread = library._thread
    assert thread is not None
    thread.join(10)
    assert len(library.search(song_query()).songs) == 4


@pytest.mark.usefixtures("songs")
def test_many_threads_ask_at_once(library: Library) -> None:
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(5):
                assert len(library.search(song_query("夜")).songs) <= 1
                library.folder_of("0" * 16)
        except BaseException as error:  # noqa: BLE001 (shown below)
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert titles(library, "夜") == ["東京の夜"]


def test_a_folder_that_is_not_there_holds_no_songs(tmp_path: Path) -> None:
    library = Library(tmp_path / "nowhere", tmp_path / "index.sqlite")
    assert titles(library) == []
    assert library.folder_of("0" * 16) is None
