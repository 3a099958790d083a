"""Writing the stems into a song's folder, in the format that was chosen.

As floats they are the artifacts themselves. In every other format all stems of a song are made quieter by one gain where one of them
exceeds full scale, so that none is cut off and they still add up to the mix; the map says the gain, and the hash of each file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import soundfile

from schemas.results import AudioRef
from schemas.song_folder import MAP_NAME, stem_path
from schemas.song_map import SongMap, SongStem
from schemas.sound_format import SoundFormat
from tasks.common import audio_forms
from tasks.common.errors import StorageError
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore, sha256_file
from tasks.common.storage.atomic import copy_atomic, whole


def write_stems(
    song_map: SongMap, files: Mapping[SongStem, AudioRef], sound_format: SoundFormat, folder: Path, ctx: StepContext
) -> SongMap:
    """Write those that are not there yet, two at once; return the map with what it says of the files. Raises StorageError, OSError."""
    before = _map_in(folder)
    there = {name for name, ref in files.items() if _is_there(before, folder, name, ctx.store, ref, sound_format)}
    gain_db = _gain_of(before)
    if sound_format is SoundFormat.wav_float:
        gain_db = 0.0
    elif there != set(files):
        gain_db = audio_forms.common_gain_db(ctx.store.path(ref) for ref in files.values())
        there = there if gain_db == _gain_of(before) else set()

    def write(name: SongStem, ref: AudioRef) -> None:
        target = folder / stem_path(name, sound_format)
        if name in there:
            return
        if sound_format is SoundFormat.wav_float:
            copy_atomic(ctx.store.path(ref), target)
            return
        try:
            with whole(target) as temporary:
                audio_forms.encode(ctx.store.path(ref), temporary, sound_format, gain_db)
        except soundfile.SoundFileError as error:
            raise StorageError(f"Could not write {target.name}: {error}", "Is the disk full?") from error

    with ThreadPoolExecutor(2) as pool:
        for place, _ in enumerate(pool.map(write, files.keys(), files.values())):
            ctx.progress(0.1 + 0.8 * (place + 1) / len(files), f"{place + 1} of {len(files)} stems")
    return _described(song_map, folder, sound_format, gain_db)


def other_forms(song_map: SongMap, folder: Path) -> tuple[Path, ...]:
    """The files that an earlier run wrote for the stems of this map in other formats: those that the map in the folder, which is still
    that run's, vouches for. Any other file of such a name is somebody's own.
    """
    before = _map_in(folder)
    kept = {stem.path for stem in song_map.stems}
    found: list[Path] = []
    for stem in song_map.stems:
        for path in sorted({stem_path(stem.name, other) for other in SoundFormat} - kept) if stem.path else ():
            if _is_as_written(before, folder, path):
                found.append(folder / path)
    return tuple(found)


def remove_files(files: tuple[Path, ...]) -> None:
    """Remove files, as far as they can be removed."""
    for file in files:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _described(song_map: SongMap, folder: Path, sound_format: SoundFormat, gain_db: float) -> SongMap:
    if sound_format is SoundFormat.wav_float:
        return song_map
    stems = tuple(stem.model_copy(update={"file_sha256": sha256_file(folder / str(stem.path))}) for stem in song_map.stems)
    return song_map.model_copy(update={"stems": stems} | ({"stems_gain_db": gain_db} if gain_db else {}))


def _map_in(folder: Path) -> Any:
    """The map that an earlier run wrote, as JSON; None where there is none."""
    try:
        return json.loads((folder / MAP_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _gain_of(document: Any) -> float:
    found = document.get("stems_gain_db", 0.0) if isinstance(document, dict) else 0.0
    return float(found) if isinstance(found, int | float) else 0.0


def _is_there(document: Any, folder: Path, name: str, store: ArtifactStore, ref: AudioRef, sound_format: SoundFormat) -> bool:
    """Whether an earlier map vouches for a stem's file: the same samples in the same format, and the file as it was written."""
    try:
        stem = next(stem for stem in document["stems"] if stem["name"] == name)
        path = folder / stem_path(name, sound_format)
        said = (stem["sha256"], stem.get("format", SoundFormat.wav_float), stem["path"])
        if said != (ref.sha256, sound_format, stem_path(name, sound_format)):
            return False
        if sound_format is not SoundFormat.wav_float:
            return bool(sha256_file(path) == stem["file_sha256"])
        # Not written after the map, and as long as the artifact: then the map's hash is the file's.
        found = path.stat()
        is_older = found.st_mtime_ns <= (folder / MAP_NAME).stat().st_mtime_ns
        return is_older and found.st_size == store.path(ref).stat().st_size
    except (OSError, KeyError, TypeError, AttributeError, StopIteration):
        return False


def _is_as_written(document: Any, folder: Path, path: str) -> bool:
    """Whether an earlier map names a stem's file, and it still is what that map says: of floats the samples, of others the file."""
    try:
        stem = next(stem for stem in document["stems"] if stem.get("path") == path)
        if stem.get("format", SoundFormat.wav_float) == SoundFormat.wav_float:
            return bool(_samples_sha256(folder / path) == stem["sha256"])
        return bool(sha256_file(folder / path) == stem["file_sha256"])
    except (OSError, KeyError, TypeError, AttributeError, StopIteration, soundfile.SoundFileError):
        return False


def _samples_sha256(path: Path) -> str:
    """The hash that a reference to audio has. Raises soundfile.SoundFileError."""
    digest = hashlib.sha256()
    for block in soundfile.blocks(path, blocksize=1 << 16, dtype="float32", always_2d=True):
        digest.update(block.tobytes())
    return digest.hexdigest()
