"""An audio file, opened: its container, its audio stream, its tags, and how long it says it is. PyAV carries FFmpeg's libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.results import Tags
from tasks.common.errors import AudioError, AudioNotAudio, AudioNoTrack, AudioTruncated, AudioUnreadable
from tasks.ingest.lengths import declared_sec

#: Containers that may carry sound beside a picture. In any other format, FFmpeg takes text, pictures and noise for a video.
_VIDEO_CONTAINERS = frozenset({"3gp", "asf", "avi", "flv", "matroska", "mov", "mp4", "mpeg", "mpegts", "mxf", "ogg", "webm"})
#: Formats that lead elsewhere: play lists.
_NOT_AUDIO_FORMATS = frozenset({"concat", "dash", "hls"})
#: How whole files of the common containers begin.
_MAGIC = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"\x1aE\xdf\xa3")
#: Most text a tag may have; some files carry whole books.
_LONGEST_TAG = 1000

_TAG_NAMES = {
    "title": ("title",),
    "artist": ("artist", "performer", "album_artist", "author"),
    "album": ("album",),
    "date": ("date", "year", "originaldate", "tyer"),
    "genre": ("genre",),
    "track": ("track", "tracknumber"),
    "comment": ("comment", "description"),
    "licence": ("license", "licence", "copyright"),
}


@dataclass(frozen=True)
class OpenSong:
    """declared_sec: what the container says of the audio's length, None where it does not say or only guesses."""

    container: Any
    stream: Any
    declared_sec: float | None
    tags: Tags


def declared_length(path: Path) -> float | None:
    """How long a file says it is (s), without decoding it. None where it does not say, or is no song."""
    try:
        with opened(path) as song:
            return song.declared_sec
    except AudioError:
        return None


@contextmanager
def opened(path: Path) -> Iterator[OpenSong]:
    """Open the audio of a file. Raises AudioNotAudio, AudioNoTrack, AudioTruncated, AudioUnreadable."""
    import av

    try:
        # A file and nothing else: FFmpeg would also follow play lists and open network addresses. Not a metadata byte that is no UTF-8 may
        # fail.
        container = av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except av.error.InvalidDataError as error:
        if _beginning(path)[4:8] == b"ftyp":
            raise AudioTruncated(f"{path} is cut off: its index is missing") from error
        raise AudioNotAudio(f"{path} is not an audio file") from error
    except av.error.EOFError as error:
        if _beginning(path).startswith(_MAGIC):
            raise AudioTruncated(f"{path} is cut off: it ends before the sound begins") from error
        raise AudioNotAudio(f"{path} is not an audio file") from error
    except OSError as error:
        raise AudioUnreadable(f"{path} cannot be read: {error.strerror or error}") from error
    except av.error.FFmpegError as error:
        raise AudioNotAudio(f"{path} is not an audio file: {error}") from error
    with container:
        names = set(container.format.name.split(","))
        if names & _NOT_AUDIO_FORMATS:
            raise AudioNotAudio(f"{path} is not an audio file")
        stream = next((s for s in container.streams.audio if s.codec_context is not None), None)
        if stream is None:
            if container.streams.video and names & _VIDEO_CONTAINERS:
                raise AudioNoTrack(f"{path} has a picture but no sound")
            raise AudioNotAudio(f"{path} is not an audio file")
        # Ogg has its tags on the stream; elsewhere a stream's title is that of the track ("Stereo"), not of the song.
        tags = read_tags({**stream.metadata, **container.metadata})
        yield OpenSong(container, stream, declared_sec(path, container, stream), tags)


def read_tags(metadata: dict[str, str]) -> Tags:
    """The tags Performia keeps, from whatever a container calls them."""
    given = {name.lower(): " ".join(text.replace("\0", " ").split())[:_LONGEST_TAG] for name, text in metadata.items()}
    found = {tag: next((given[name] for name in names if given.get(name)), None) for tag, names in _TAG_NAMES.items()}
    return Tags(**found)


def _beginning(path: Path) -> bytes:
    """The first bytes of a file that FFmpeg could not open."""
    try:
        with path.open("rb") as file:
            return file.read(12)
    except OSError:
        return b""
