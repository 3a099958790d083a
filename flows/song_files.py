"""The songs in a folder: which files are taken for songs, and what is known of them without opening them.

One `stat` a file and no look into it, so that ten thousand files take a fraction of a second. What cannot be looked at is returned with the
reason; nothing is dropped in silence except what is no song by its name.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.song_folder import MAP_NAME, STEMS_FOLDER
from tasks.common.errors import AudioPathRefused, AudioUnreadable, FolderIsFile, FolderNotFound, FolderUnreadable

#: What ingest reads, by the usual endings.
AUDIO_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aiff", ".aif", ".mp4", ".webm", ".mkv")
#: Endings of files that somebody is still writing: browsers, download tools, editors, synchronisers.
PARTIAL_ENDINGS: Final = (".part", ".partial", ".crdownload", ".download", ".filepart", ".opdownload", ".tmp", ".temp", "~")

_WILDCARDS = frozenset("*?[]")


@dataclass(frozen=True, slots=True)
class SongFile:
    """A file that is a song by its name. Links are followed: size, time and inode are those of the file itself."""

    path: Path
    size: int
    mtime_ns: int
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """What could not be looked at, and why. code: of the error that it would be."""

    path: Path
    reason: str
    code: str = AudioUnreadable.code


@dataclass(frozen=True, slots=True)
class SongFolder:
    """What `find_songs` found, each in the order of the paths."""

    songs: tuple[SongFile, ...]
    skipped: tuple[SkippedFile, ...]


def find_songs(root: Path, patterns: Sequence[str] = (), recursive: bool = True, leave_out: Collection[Path] = ()) -> SongFolder:
    """The songs in a folder, in the order of their paths.

    root: the folder; the paths returned begin with it as given.
    patterns: shell patterns of file names (of paths below `root` where they have a slash), such as `*.flac` or `live/*`; case does not
        matter. A pattern that says no ending takes audio files only. Empty: every audio file.
    recursive: also the folders below. Links to folders are followed, each folder is visited once, by its own path if it has one here.
    leave_out: folders that are not entered, such as one for the results.

    Names may be any bytes: what is no UTF-8 in them are surrogates (PEP 383). Hidden files, partial files and the stems beside a Song Map
    are no songs. Raises FolderNotFound, FolderIsFile, FolderUnreadable.
    """
    walk = _Walk(root, _matcher(patterns), recursive, {identity for path in leave_out if (identity := _identity(path))})
    walk.run()
    return SongFolder(
        tuple(sorted(walk.songs, key=lambda song: song.path.parts)), tuple(sorted(walk.skipped, key=lambda skipped: skipped.path.parts))
    )


def is_partial(name: str) -> bool:
    """Whether a file of this name is hidden or still being written."""
    return name.startswith((".", "~$")) or name.lower().endswith(PARTIAL_ENDINGS)


class _Walk:
    def __init__(self, root: Path, is_song: Callable[[str, str], bool], recursive: bool, left_out: set[tuple[int, int]]):
        self.root = root
        self.is_song = is_song
        self.recursive = recursive
        self.visited = set(left_out)
        self.songs: list[SongFile] = []
        self.skipped: list[SkippedFile] = []
        #: Paths below the root, and those reached by a link: these come last, so that a folder is known by its own path.
        self.folders: list[str] = []
        self.linked: list[str] = []

    def run(self) -> None:
        identity = _identity(self.root)
        try:
            with os.scandir(self.root) as entries:
                self._look_at(entries, "")
        except FileNotFoundError:
            raise FolderNotFound(f"{self.root} does not exist") from None
        except NotADirectoryError:
            raise FolderIsFile(f"{self.root} is not a folder") from None
        except (OSError, ValueError) as error:
            raise FolderUnreadable(f"{self.root} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if identity:
            self.visited.add(identity)
        while self.folders or self.linked:
            below = self.folders.pop() if self.folders else self.linked.pop(0)
            self._enter(below)

    def _enter(self, below: str) -> None:
        path = self.root / below
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in self.visited:
                return
            self.visited.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                self._look_at(entries, f"{below}/")
        except OSError as error:
            self._skip(below, error)

    def _look_at(self, entries: os._ScandirIterator[str], before: str) -> None:
        found = sorted(entries, key=lambda entry: entry.name)
        with_map = any(entry.name == MAP_NAME for entry in found)
        for entry in found:
            name = entry.name
            if name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    if self.recursive and not (with_map and name == STEMS_FOLDER):
                        (self.linked if entry.is_symlink() else self.folders).append(before + name)
                elif not is_partial(name) and self.is_song(name, before + name):
                    self._take(entry, before + name)
            except OSError as error:
                self._skip(before + name, error)

    def _take(self, entry: os.DirEntry[str], below: str) -> None:
        status = entry.stat()
        if not stat.S_ISREG(status.st_mode):
            self.skipped.append(SkippedFile(self.root / below, "not a regular file", AudioPathRefused.code))
        else:
            self.songs.append(SongFile(self.root / below, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino))

    def _skip(self, below: str, error: OSError) -> None:
        self.skipped.append(SkippedFile(self.root / below, error.strerror or str(error)))


def _matcher(patterns: Sequence[str]) -> Callable[[str, str], bool]:
    """is_song(name, path below the root)"""
    if not patterns:
        return lambda name, _: name.lower().endswith(AUDIO_SUFFIXES)
    tests = []
    for pattern in patterns:
        ending = os.path.splitext(pattern)[1]
        says_ending = bool(ending) and not _WILDCARDS & set(ending)
        tests.append((re.compile(fnmatch.translate(pattern.lower())).match, "/" in pattern, says_ending))

    def is_song(name: str, below: str) -> bool:
        name, below = name.lower(), below.lower()
        audio = name.endswith(AUDIO_SUFFIXES)
        return any((audio or says_ending) and match(below if whole else name) for match, whole, says_ending in tests)

    return is_song


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
