"""The files of a song: where each lies, and making those that are made when somebody asks.

A stem lies in the song's folder, in the format that was chosen, and as floats in the artifact store. The source is the file that was sent,
where it is kept; else the decode in the artifact store; else the sum of the stems, which is the song again. Other forms, peaks and that sum
are made once, by one process at a time, and kept in the artifact store until nobody has asked for them for as long as retention says.
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
#: What an ending asks for, where the song's own files have another.
FORM_OF: Final = {"wav": SoundFormat.wav_float, "flac": SoundFormat.flac24, "mp3": SoundFormat.mp3, "opus": SoundFormat.opus}
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
    """form: of the file at `path`, or that it would have there."""

    path: str | None
    ref: AudioRef
    form: SoundFormat


@dataclass(frozen=True, slots=True)
class SongFacts:
    """What the files of a song need of its map. name: `Artist - Title`. gain_db: of the stems' files."""

    name: str
    file_sha256: str
    audio: AudioRef
    stems: dict[str, _Stem] = field(default_factory=dict)
    gain_db: float = 0.0


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

    def stem(self, name: str, ending: str | None = None) -> ServedFile:
        """A stem. ending: the form it is wanted in; None for the one that it has in the song's folder."""
        facts = self._facts()
        stem = self._stem(facts, name)
        form = stem.form if ending in (None, stem.form.ending) else FORM_OF[ending or ""]
        called = f"{facts.name} ({name}).{form.ending}"
        if form is stem.form and stem.path is not None and (path := self._inside(stem.path)) is not None:
            return ServedFile(path, form.media_type, called, dated=True)
        source, has = self._sound(facts, name)
        if form is has:
            return ServedFile(source, form.media_type, called, dated=False)
        # The gain is that of the song's files; where these are floats, which need none, that with which none is cut off.
        gain_db = facts.gain_db if stem.form is not SoundFormat.wav_float else self._gain_for(facts)
        louder = f"{gain_db:.2f}db" if gain_db else ""
        made = self._made(
            stem.ref.sha256,
            f"{form}{louder}.{form.ending}",
            lambda target: audio_forms.encode(source, target, form, gain_db if has is SoundFormat.wav_float else 0.0),
        )
        return ServedFile(made, form.media_type, called, dated=False)

    def peaks(self, name: str, resolution: int) -> ServedFile:
        """The peaks of a stem, or of the whole song: JSON."""
        facts = self._facts()
        path = self._whole(facts) if name == MIX else self._sound(facts, name)[0]
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

    def _stem(self, facts: SongFacts, name: str) -> _Stem:
        if name not in facts.stems:
            raise ProblemError(SongFileMissing(f"The song has no stem {name!r}"))
        return facts.stems[name]

    def _sound(self, facts: SongFacts, name: str) -> tuple[Path, SoundFormat]:
        """A stem's best file: that of the song's folder where it is of floats, else the artifact, else that of the folder."""
        stem = self._stem(facts, name)
        path = self._inside(stem.path) if stem.path is not None else None
        if path is not None and stem.form is SoundFormat.wav_float:
            return path, stem.form
        try:
            return self._store.path(stem.ref), SoundFormat.wav_float
        except ArtifactMissing as error:
            if path is not None:
                return path, stem.form
            raise ProblemError(SongFileMissing(f"The stem {name!r} is not there any more")) from error

    def _gain_for(self, facts: SongFacts) -> float:
        """The gain of stems of which only the floats are there."""
        found = []
        for name in facts.stems:
            with contextlib.suppress(ProblemError):
                found.append(self._sound(facts, name)[0])
        import soundfile

        try:
            return _gain_of(tuple(found), tuple(stem.ref.sha256 for stem in facts.stems.values()))
        except soundfile.SoundFileError as error:
            raise ProblemError(SongFileMissing("The file is damaged")) from error

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
            parts = [self._sound(facts, name) for name in ("vocals", "instrumental")]
        except ProblemError as error:
            raise ProblemError(SongFileMissing("The song's sound is not there any more")) from error
        gain_db = 0.0 if parts[0][1] is SoundFormat.wav_float else -facts.gain_db
        return self._made(facts.audio.sha256, "mix.wav", lambda target: audio_forms.mix([path for path, _ in parts], target, gain_db))

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
            SoundFormat(stem.get("format", SoundFormat.wav_float)),
        )
        for stem in document["stems"]
    }
    return SongFacts(
        name=_name(document),
        file_sha256=str(source["file_sha256"]),
        audio=audio,
        stems=stems,
        gain_db=float(document.get("stems_gain_db", 0.0)),
    )


@functools.lru_cache(maxsize=64)
def _gain_of(paths: tuple[Path, ...], hashes: tuple[str, ...]) -> float:  # noqa: ARG001 (they tell one state of the files from another)
    return audio_forms.common_gain_db(paths)


def _name(document: Any) -> str:
    artist, title = document["source"]["tags"].get("artist"), document["title"]
    return f"{artist} - {title}" if artist else str(title)


def _write(target: Path, content: bytes) -> None:
    target.write_bytes(content)
