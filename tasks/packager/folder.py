"""The folder of a song: its name, and whose it is.

Several processes may write into one output folder at once, and songs may have the same name. A folder is claimed in one step, by renaming a
prepared one into place, and what lies in it says whose it is: the map; else a claim, while the map is being written; else the report of a
map that was invalid.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Final

from schemas.song_folder import INVALID_FOLDER, MAP_NAME, REPORT_NAME
from tasks.common.errors import StorageError
from tasks.common.storage.atomic import put_folder, remove_abandoned, unfinished_name

_CLAIM: Final = ".writing-"
#: File systems allow 255 bytes, encrypted ones 143; an id of 17 bytes may follow.
_MAX_NAME_BYTES: Final = 120
_RESERVED: Final = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³")}
#: Invisible, but parts of words and emoji: the joiners.
_KEPT_FORMATS: Final = "\u200c\u200d"


def claim_folder(out_dir: Path, file_name: str, song_id: str) -> Path:
    """The folder of a song, made if need be, and the song's own: no other run writes another song there.

    It is named after the song's file; where another song or anything else is there already, with the beginning of the song's id after it.
    Raises StorageError where there is no such folder, OSError where it cannot be made.
    """
    name = safe_name(Path(file_name).stem)
    for folder in (out_dir / name, out_dir / f"{name}-{song_id[:8]}", out_dir / f"{name}-{song_id}"):
        if _owner(folder) == song_id or (_is_free(folder) and _claim(folder, song_id)) or _owner(folder) == song_id:
            for place, pattern in ((out_dir, ".*.tmp"), (folder, ".*.tmp"), (folder, "*/.*.tmp")):
                remove_abandoned(place, pattern)
            return folder
    raise StorageError(
        f"Every folder for the song in {out_dir} is taken, the last being {folder}", "Move it, or give another output folder"
    )


def folder_of(out_dir: Path, file_name: str, song_id: str) -> Path | None:
    """The folder that a song has already; None where it has none. Nothing is made."""
    name = safe_name(Path(file_name).stem)
    folders = (out_dir / name, out_dir / f"{name}-{song_id[:8]}", out_dir / f"{name}-{song_id}")
    return next((folder for folder in folders if _owner(folder) == song_id), None)


def release_claim(folder: Path, song_id: str) -> None:
    """Take the claim away, once the map or the report says whose the folder is."""
    (folder / f"{_CLAIM}{song_id}").unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """A name for a folder that every file system takes: no separators, control or reserved characters, not too long, not hidden."""
    name = unicodedata.normalize("NFC", name)
    name = "".join(" " if _is_unsafe(character) else character for character in name)
    name = re.sub(r"\s+", " ", name).strip(" .").lstrip("-")
    name = name.encode("utf-8")[:_MAX_NAME_BYTES].decode("utf-8", "ignore").strip(" .")
    if not name:
        return "song"
    return f"{name}_" if name.lower().split(".")[0].strip() in _RESERVED else name


def _is_unsafe(character: str) -> bool:
    # Category C: control characters, invisible formats that turn text around, halves of characters, unassigned code points.
    return character in '<>:"/\\|?*' or (unicodedata.category(character)[0] == "C" and character not in _KEPT_FORMATS)


def _is_free(folder: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    if not os.path.lexists(folder):
        return True
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _owner(folder: Path) -> str | None:
    """Id of the song a folder belongs to; None where it belongs to none."""
    claims = (claim.name.removeprefix(_CLAIM) for claim in sorted(folder.glob(f"{_CLAIM}*")))
    return _id_in(folder / MAP_NAME) or next(claims, None) or _id_in(folder / INVALID_FOLDER / REPORT_NAME)


def _id_in(file: Path) -> str | None:
    try:
        song_id = json.loads(file.read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return song_id if isinstance(song_id, str) else None


def _claim(folder: Path, song_id: str) -> bool:
    """Put a folder with a claim in place, unless somebody else was faster."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    prepared = unfinished_name(folder)
    prepared.mkdir()
    try:
        (prepared / f"{_CLAIM}{song_id}").touch()
        return put_folder(prepared, folder)
    finally:
        shutil.rmtree(prepared, ignore_errors=True)
