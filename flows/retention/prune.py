"""Retention: which files nobody has used for some time, and deleting them.

What goes: records of the step cache; decoded songs and stems that no record names any more; compressed forms of them; local copies of
remote ones; temporary folders and half files of processes that died; locks without a record; logs. What stays, however old: what was used
since the oldest current run began, what a record that stays names, and audio of which a kept Song Map has no copy of its own.

A file's age is the time since its last use: a record that answers a step counts as used, and holds the audio it names. Records go before
the audio they name, and each file alone and at once, so two prunes may run at the same time, beside any number of analyses, and either may
be killed.
"""

from __future__ import annotations

import datetime
import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from flows.retention.kept_maps import KeptMaps
from flows.retention.places import Folder, LockFolder, Place, RecordFolder, RemoteFolder, StoredFile, place_at
from schemas.results import Frozen
from tasks.common.locks import is_held
from tasks.common.progress import Progress, part_of, silent
from tasks.common.settings import Settings, is_remote
from tasks.common.storage.artifacts import audio_refs
from tasks.common.storage.atomic import is_alive

Kind = Literal["run", "record", "audio", "copy", "scratch", "lock", "log"]
#: In the order they go, with what they are called.
KINDS: Final[dict[Kind, str]] = {
    "record": "cached results",
    "audio": "decoded songs and stems",
    "copy": "local copies of remote audio",
    "scratch": "leftovers of killed processes",
    "lock": "unused locks",
    "log": "logs",
    "run": "run records",
}

DAY_SEC: Final = 24 * 3600.0
#: The folder of a dead process is left alone for so long: on a shared disk, the process may live on another machine.
_QUIET_SEC: Final = 3600.0
_AUDIO: Final = re.compile(r"^audio/[0-9a-f]{2}/([0-9a-f]{64})\.wav$")
#: What the HTTP API made of audio, and makes again.
_DERIVED: Final = re.compile(r"^derived/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9.-]+$")
_HALF_FILE: Final = re.compile(r"^\..+\.tmp$")
_LOCK: Final = re.compile(r"^([a-z_]+-v[0-9]+-[0-9a-f]{40})\.lock$")


class Pruned(Frozen):
    """Something that went, or would go."""

    kind: Kind
    name: str
    bytes: int = 0
    used: str | None = None


class PruneReport(Frozen):
    """What a prune deleted, or with `dry_run` would delete."""

    dry_run: bool
    older_than_days: float
    used_before: str
    pruned: tuple[Pruned, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.pruned)

    def totals(self) -> dict[Kind, tuple[int, int]]:
        """How many and how many bytes, by kind; kinds of which there are none are left out."""
        found = {kind: [item.bytes for item in self.pruned if item.kind == kind] for kind in KINDS}
        return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items() if sizes}


@dataclass
class Retention:
    """One prune of the files.

    cutoff: what was used since (seconds since the epoch) stays. dry_run: delete nothing. outputs: folders with Song Maps to keep, beside
    the settings' own. all_audio_of_maps: keep in the store all audio that a kept map names.
    """

    settings: Settings
    cutoff: float
    dry_run: bool = False
    outputs: Iterable[Path] = ()
    all_audio_of_maps: bool = False
    notes: list[str] = field(default_factory=list)
    _named: set[str] = field(default_factory=set)

    def prune(self, progress: Progress = silent) -> list[Pruned]:
        """Delete what is old; return what went. Raises StorageError, OSError."""
        gone: list[Pruned] = []
        for start, end, kind, found in (
            (0.0, 0.3, "record", self._records),
            (0.3, 0.9, "audio", self._audio),
            (0.9, 0.94, "copy", self._copies),
            (0.94, 0.96, "scratch", self._scratch),
            (0.96, 0.98, "lock", self._locks),
            (0.98, 1.0, "log", self._logs),
        ):
            stage = part_of(progress, start, end)
            stage(0.0, KINDS[kind])  # type: ignore[index]
            gone.extend(found(stage))
        progress(1.0, "done")
        return gone

    def _records(self, progress: Progress) -> Iterator[Pruned]:
        for place in record_places(self.settings):
            for file in _told(place.files(), progress):
                if file.older_than(self.cutoff) and self._remove(place, file):
                    yield _item("record", file)
                else:
                    self._named |= _names(place, file.name)

    def _audio(self, progress: Progress) -> Iterator[Pruned]:
        place = place_at(self.settings.artifacts_url)
        maps: KeptMaps | None = None
        held = 0
        for file in _told(place.files(), progress):
            audio = _AUDIO.match(file.name)
            if not file.older_than(self.cutoff) or not (audio or _DERIVED.match(file.name) or _HALF_FILE.match(Path(file.name).name)):
                continue
            if audio:
                if audio[1] in self._named:
                    continue
                maps = maps or self._kept_maps()
                if maps.unreadable or maps.need(audio[1]):
                    held += 1
                    continue
            if self._remove(place, file):
                yield _item("audio", file)
        if maps is not None and maps.unreadable:
            self.notes.append(f"No audio was deleted: {maps.unreadable[0]} cannot be read, and may refer to it")
        elif held:
            self.notes.append(f"{held} audio files stay: kept Song Maps refer to them")

    def _kept_maps(self) -> KeptMaps:
        return KeptMaps((self.settings.songs_dir, *self.outputs), self.all_audio_of_maps)

    def _copies(self, _: Progress) -> Iterator[Pruned]:
        return self._old_files("copy", Folder(self.settings.scratch_dir / "copies"), self.cutoff)

    def _logs(self, _: Progress) -> Iterator[Pruned]:
        if is_held(self.settings.data_dir / "serve.lock"):
            return iter(())  # `performia serve` writes to its log, though maybe not for days
        # The log of this very command is young.
        return self._old_files("log", Folder(self.settings.data_dir / "logs"), min(self.cutoff, time.time() - _QUIET_SEC))

    def _locks(self, _: Progress) -> Iterator[Pruned]:
        place = LockFolder(self.settings.locks_dir)
        for file in place.files():
            lock = _LOCK.match(file.name)
            if lock and file.older_than(self.cutoff) and not (self.settings.results_dir / lock[1]).exists() and self._remove(place, file):
                yield _item("lock", file)

    def _old_files(self, kind: Kind, place: Place, cutoff: float) -> Iterator[Pruned]:
        for file in place.files():
            if file.older_than(cutoff) and self._remove(place, file):
                yield _item(kind, file)

    def _scratch(self, _: Progress) -> Iterator[Pruned]:
        now = time.time()
        for path in sorted(self.settings.scratch_dir.glob("*-*")):
            owner = path.name.split("-")[0]
            if not owner.isdigit() or not path.is_dir():
                continue
            files = list(Folder(path).files())
            used = max([path.stat().st_mtime, *(file.used or 0.0 for file in files)])
            if used < (min(self.cutoff, now - DAY_SEC) if is_alive(int(owner)) else now - _QUIET_SEC):
                if not self.dry_run:
                    shutil.rmtree(path, ignore_errors=True)
                yield _item("scratch", StoredFile(path.name, sum(file.size for file in files), used))

    def _remove(self, place: Place, file: StoredFile) -> bool:
        return self.dry_run or place.remove(file.name, self.cutoff)


def record_places(settings: Settings) -> tuple[Place, ...]:
    """Where the records of the step cache are: on this machine, and in the results store where one is set."""
    here = RecordFolder(settings.results_dir, settings.locks_dir)
    return (here, RemoteFolder(settings.results_url)) if is_remote(settings.results_url) else (here,)


def time_text(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _names(place: Place, name: str) -> set[str]:
    """The audio that a record names, by hash."""
    try:
        content = place.read(name)
        if b"sha256" not in content:
            return set()
        result: Any = json.loads(json.loads(content)["result"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # such a record answers no step
    return {ref.sha256 for ref in audio_refs(result)}


def _item(kind: Kind, file: StoredFile) -> Pruned:
    return Pruned(kind=kind, name=file.name, bytes=file.size, used=None if file.used is None else time_text(file.used))


def _told(files: Iterator[StoredFile], progress: Progress) -> Iterator[StoredFile]:
    """The files, telling how far it is."""
    found = list(files)
    for place, file in enumerate(found):
        if place % 100 == 0:
            progress(place / len(found), f"{place} of {len(found)} files")
        yield file


__all__ = ["DAY_SEC", "KINDS", "Kind", "PruneReport", "Pruned", "Retention", "record_places", "time_text"]
