"""Putting something right in a song's folder, at once: no step runs. What must run again does so when the song is analysed next.

correct_song(settings, folder, lambda song: with_changes(song.log, song.map, [(change, None)], "Ann"))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from schemas.corrections import MOST_OPERATIONS, Corrections
from schemas.results import Chords
from schemas.song_folder import HEARD_CHORDS_NAME, MACHINE_MAP_NAME, MAP_NAME
from schemas.song_map import CorrectionOutcome, SongMap
from tasks.common.errors import CorrectionsInvalid, SongMapInvalid, SongMapNotFound, StorageError
from tasks.common.settings import Settings
from tasks.corrections.kept import alone_with, read_log, write_log
from tasks.packager.corrected import corrected
from tasks.packager.write import Beside, write_map


@dataclass(frozen=True)
class CorrectedSong:
    """A song as persons have it.

    map: what its folder holds. machine: the analysis's own. log: what persons put right. heard: the chords before they were set on beats,
    where they are kept.
    """

    map: SongMap
    machine: SongMap
    log: Corrections
    heard: Chords | None = None

    @property
    def outcomes(self) -> tuple[CorrectionOutcome, ...]:
        """What became of each operation that counts."""
        return self.map.corrections.outcomes if self.map.corrections is not None else ()


def folder_at(path: Path) -> Path:
    """The folder of a song, of itself or of the Song Map in it. Raises SongMapNotFound."""
    folder = path if path.is_dir() else path.parent
    if not (folder / MAP_NAME).is_file() or (folder != path and path.name != MAP_NAME):
        raise SongMapNotFound(f"{path} holds no {MAP_NAME}" if path.is_dir() else f"{path} is no {MAP_NAME}")
    return folder


def read_corrected(settings: Settings, folder: Path) -> CorrectedSong:
    """A song as its folder has it. Raises SongMapNotFound, SongMapInvalid, CorrectionsInvalid, StorageError."""
    song_map = read_map(folder / MAP_NAME)
    return CorrectedSong(song_map, _machine(folder, song_map), read_log(settings, song_map.id, folder), _heard(folder))


def correct_song(settings: Settings, folder: Path, change: Callable[[CorrectedSong], Corrections]) -> CorrectedSong:
    """Change what persons put right in a song, and write its map anew.

    change: gets the song and returns the whole log as it is to be; nobody else changes it meanwhile. What it raises leaves all as it was.

    Raises SongMapNotFound, SongMapInvalid, CorrectionsInvalid, StorageError.
    """
    song_id = read_map(folder / MAP_NAME).id
    with alone_with(settings, song_id):
        song = read_corrected(settings, folder)
        log = change(song)
        if len(log.operations) > MOST_OPERATIONS:
            raise CorrectionsInvalid(
                f"More than {MOST_OPERATIONS} things would be put right", "Import one file instead of many small changes"
            )
        made = corrected(song.machine, log, song.heard).song_map
        song_map = SongMap.model_validate_json(made.to_json())
        try:
            write_map(folder, song_map, Beside(song.machine, log, song.heard))
        except OSError as error:
            raise StorageError(f"Could not write {folder.name}: {error.strerror or error}", "Check the disk and its permissions") from error
        write_log(settings, log)
    return CorrectedSong(song_map, song.machine, log, song.heard)


def read_map(file: Path) -> SongMap:
    """A Song Map of a file. Raises SongMapNotFound, SongMapInvalid."""
    try:
        return SongMap.from_json(file.read_bytes())
    except FileNotFoundError:
        raise SongMapNotFound(f"There is no {file}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise SongMapInvalid(f"{file} is no Song Map of this version", todo="`performia validate` lists what is wrong") from error
        raise SongMapNotFound(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _machine(folder: Path, song_map: SongMap) -> SongMap:
    """The analysis's own map: it lies beside one that somebody corrected, and is of the same run."""
    if (folder / MACHINE_MAP_NAME).is_file():
        machine = read_map(folder / MACHINE_MAP_NAME)
        if machine.id == song_map.id and machine.provenance == song_map.provenance:
            return machine
    if song_map.corrections is not None:
        raise CorrectionsInvalid(
            f"{folder.name} holds no {MACHINE_MAP_NAME} of this Song Map", "Analyse the song again: what was put right is kept"
        )
    return song_map


def _heard(folder: Path) -> Chords | None:
    try:
        return Chords.model_validate_json((folder / HEARD_CHORDS_NAME).read_bytes())
    except (OSError, ValueError):  # without them, the chords of the map are carried along
        return None
