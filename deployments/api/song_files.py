"""The files of a song: where each lies, and making those that are made when somebody asks.

A stem lies in the song's folder, else in the artifact store. The source is the file that was sent, where it is kept; else the decode in the
artifact store; else the sum of the stems, which is the song again. Compressed forms, peaks and that sum are made once, by one process at a
time, and kept in the artifact store until nobody has asked for them for as long as retention says.
"""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from deployments.api.file_answers import ServedFile
from deployments.api.problems import ProblemError
from schemas.first_view import first_view
from schemas.results import AudioRef, digest_of
from schemas.song_folder import MAP_NAME, TIMELINE_NAME
from schemas.song_map import SongMap
from schemas.sound_format import SoundFormat
from tasks.common import audio_forms
from tasks.common.errors import ArtifactMissing, SongFileMissing, SongMapInvalid
from tasks.common.locks import hold
from tasks.common.settings import Settings
from tasks.common.storage.artifacts import ArtifactStore
from tasks.export.formats import Format
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.packager.timeline import timeline_svg

#: What the name of a whole song is where stems have theirs.
MIX: Final = "mix"
WAV: Final = "audio/wav"
#: What an ending asks for, beside WAV as it is.
FORM_OF: Final = {"flac": SoundFormat.flac24, "mp3": SoundFormat.mp3, "opus": SoundFormat.opus}
#: What is sent may be called anything; a browser is told of nothing but sound and pictures that move.
_MEDIA_TYPES: Final = {
    ".wav": WAV,
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
}
_OTHER: Final = "application/octet-stream"
#: Encoders that work at once in this process: each takes a core.
_AT_ONCE: Final = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class _Stem:
    path: str | None
    ref: AudioRef


@dataclass(frozen=True, slots=True)
class SongFacts:
    """What the files of a song need of its map. name: `Artist - Title`."""

    name: str
    file_sha256: str
    audio: AudioRef
    stems: dict[str, _Stem] = field(default_factory=dict)


class SongFiles:
    """The files of one song. Raises ProblemError of SongFileMissing where there is none, StorageError where the disk fails."""

    def __init__(self, folder: Path, settings: Settings):
        self.folder = folder
        self._settings = settings
        self._store = ArtifactStore(settings.artifacts_url, settings.scratch_dir)

    def source(self) -> ServedFile:
        """The song itself, as it was sent where that is kept."""
        facts = self._facts()
        sent = self._sent(facts.file_sha256)
        if sent is not None:
            return ServedFile(sent, media_type_of(sent), f"{facts.name}{sent.suffix}")
        return ServedFile(self._whole(facts), WAV, f"{facts.name}.wav", dated=False)

    def stem(self, name: str, ending: str = "wav") -> ServedFile:
        """A stem, as it is or compressed."""
        facts = self._facts()
        path, in_folder = self._wav(facts, name)
        called = f"{facts.name} ({name}).{ending}"
        if ending == "wav":
            return ServedFile(path, WAV, called, dated=in_folder)
        form = FORM_OF[ending]
        made = self._made(facts.stems[name].ref.sha256, ending, lambda target: audio_forms.encode(path, target, form))
        return ServedFile(made, form.media_type, called, dated=False)

    def peaks(self, name: str, resolution: int) -> ServedFile:
        """The peaks of a stem, or of the whole song: JSON."""
        facts = self._facts()
        path = self._whole(facts) if name == MIX else self._wav(facts, name)[0]
        sha256 = facts.audio.sha256 if name == MIX else facts.stems[name].ref.sha256
        made = self._made(sha256, f"peaks-{resolution}.json", lambda target: _write(target, audio_forms.peaks(path, resolution)))
        return ServedFile(made, "application/json", f"{facts.name} ({name}).json", dated=False)

    def export(self, entry: Format, options: ExportOptions) -> ServedFile | bytes:
        """An export. Sound is a file that is made once; anything else is made anew. Raises SongMapInvalid, ExportNeedsSound."""
        song = Song(read_map(self.folder), self.folder)
        if not (entry.sound or entry.needs_sound):
            return entry.content(song, options)
        made_of = digest_of([song.map.model_dump(mode="json"), entry.name, options.model_dump(mode="json")])
        ending = entry.suffix_for(options).rpartition(".")[2]
        path = self._made(made_of, f"export.{ending}", lambda target: _write(target, entry.content(song, options)))
        return ServedFile(path, entry.media_type_for(options), self.export_name(entry, options), dated=False)

    def export_name(self, entry: Format, options: ExportOptions) -> str:
        """What a browser calls an export."""
        return f"{self._facts().name}{entry.suffix_for(options)}"

    def timeline(self) -> ServedFile | bytes:
        """The picture of the song: the file, or its content where the folder lacks it."""
        path = self.folder / TIMELINE_NAME
        if path.is_file():
            return ServedFile(path, "image/svg+xml", f"{self._facts().name}.svg")
        return timeline_svg(read_map(self.folder)).encode("utf-8")

    def _facts(self) -> SongFacts:
        path = self.folder / MAP_NAME
        try:
            status = path.stat()
            return _facts_of(path, status.st_mtime_ns, status.st_ino)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ProblemError(SongFileMissing("The song's map is not there any more")) from error

    def _sent(self, sha256: str) -> Path | None:
        """The file that was sent to the HTTP API."""
        folder = self._settings.uploads / sha256[:2] / sha256
        with contextlib.suppress(OSError):
            return next((path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")), None)
        return None

    def _wav(self, facts: SongFacts, name: str) -> tuple[Path, bool]:
        """A stem's file, and whether it is that of the song's folder."""
        stem = facts.stems.get(name)
        if stem is None:
            raise ProblemError(SongFileMissing(f"The song has no stem {name!r}"))
        if stem.path is not None and (path := self._inside(stem.path)) is not None:
            return path, True
        try:
            return self._store.path(stem.ref), False
        except ArtifactMissing as error:
            raise ProblemError(SongFileMissing(f"The stem {name!r} is not there any more")) from error

    def _inside(self, relative: str) -> Path | None:
        """A file of the folder, by its path in the map; whatever leads out of the folder is none."""
        if PurePath(relative).is_absolute() or ".." in PurePath(relative).parts:
            return None
        with contextlib.suppress(OSError, ValueError):
            path = (self.folder / relative).resolve(strict=True)
            if path.is_relative_to(self.folder.resolve()) and path.is_file():
                return path
        return None

    def _whole(self, facts: SongFacts) -> Path:
        """The song as WAV."""
        try:
            return self._store.path(facts.audio)
        except ArtifactMissing:
            pass
        try:
            parts = [self._wav(facts, name)[0] for name in ("vocals", "instrumental")]
        except ProblemError as error:
            raise ProblemError(SongFileMissing("The song's sound is not there any more")) from error
        return self._made(facts.audio.sha256, "mix.wav", lambda target: audio_forms.mix(parts, target))

    def _made(self, sha256: str, kind: str, make: Callable[[Path], None]) -> Path:
        """A file that is made of audio when it is first asked for."""
        import soundfile

        name = f"{sha256}.{kind}"
        if (path := self._store.derived(name)) is not None:
            return path
        lock = hold(self._settings.locks_dir / f"derived-{name}.lock")
        try:
            if (path := self._store.derived(name)) is not None:
                return path
            with _AT_ONCE, self._store.temporary_dir() as folder:
                make(folder / name)
                return self._store.add_derived(folder / name, name)
        except soundfile.SoundFileError as error:
            raise ProblemError(SongFileMissing("The file is damaged")) from error
        finally:
            lock.path.unlink(missing_ok=True)  # who waits for it makes a new one
            lock.release()


def media_type_of(path: Path) -> str:
    """What a browser is told that a sent file is, by its ending."""
    return _MEDIA_TYPES.get(path.suffix.lower(), _OTHER)


def read_map(folder: Path) -> SongMap:
    """The map of a folder. Raises SongMapInvalid where this version of Performia does not understand it, SongFileMissing."""
    try:
        content = (folder / MAP_NAME).read_bytes()
    except OSError as error:
        raise ProblemError(SongFileMissing("The song's map is not there any more")) from error
    try:
        return SongMap.from_json(content)
    except ValueError as error:
        raise SongMapInvalid("The song's map is of another version", todo="Analyse the song again") from error


def first_view_of(folder: Path) -> bytes:
    """The view for the first front end, as JSON."""
    return json.dumps(first_view(read_map(folder)), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


@functools.lru_cache(maxsize=256)
def _facts_of(path: Path, mtime_ns: int, inode: int) -> SongFacts:  # noqa: ARG001 (they tell one state of the map from another)
    document: Any = json.loads(path.read_bytes())
    source = document["source"]
    frames = round(float(document["duration_sec"]) * 44100)
    audio = AudioRef(sha256=source.get("analysed_sha256") or source["audio_sha256"], sample_rate=44100, channels=2, frames=frames)
    stems = {
        str(stem["name"]): _Stem(
            stem["path"] if isinstance(stem["path"], str) else None,
            AudioRef(sha256=stem["sha256"], sample_rate=stem["sample_rate"], channels=stem["channels"], frames=frames),
        )
        for stem in document["stems"]
    }
    return SongFacts(name=_name(document), file_sha256=str(source["file_sha256"]), audio=audio, stems=stems)


def _name(document: Any) -> str:
    artist, title = document["source"]["tags"].get("artist"), document["title"]
    return f"{artist} - {title}" if artist else str(title)


def _write(target: Path, content: bytes) -> None:
    target.write_bytes(content)
