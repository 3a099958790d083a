"""An audio file, opened: its container, its audio stream, its tags, and how long it says it is. PyAV carries FFmpeg's libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.results import Tags
from tasks.common.errors import AudioNotAudio, AudioNoTrack, AudioTruncated, AudioUnreadable

#: Formats in which FFmpeg "opens" what is not sound: pictures, subtitles, plain text.
_NOT_AUDIO_FORMATS = ("image2", "tty", "srt", "webvtt", "ass", "lrc", "concat", "hls", "txt", "gif", "apng", "svg")
#: Most text a tag may have; some files carry whole books.
_LONGEST_TAG = 1000

_TAG_NAMES = {
    "title": ("title",),
    "artist": ("artist", "album_artist", "composer"),
    "album": ("album",),
    "date": ("date", "year", "originaldate", "tyer", "creation_time"),
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


@contextmanager
def opened(path: Path) -> Iterator[OpenSong]:
    """Open the audio of a file. Raises AudioNotAudio, AudioNoTrack, AudioTruncated, AudioUnreadable."""
    import av

    try:
        # A file and nothing else: FFmpeg would also follow play lists and open network addresses. Not a metadata byte that is no UTF-8 may
        # fail.
        container = av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except av.error.InvalidDataError as error:
        if _starts_like_mp4(path):
            raise AudioTruncated(f"{path} is cut off: its index is missing") from error
        raise AudioNotAudio(f"{path} is not an audio file") from error
    except OSError as error:
        raise AudioUnreadable(f"{path} cannot be read: {error.strerror or error}") from error
    except av.error.FFmpegError as error:
        raise AudioNotAudio(f"{path} is not an audio file: {error}") from error
    with container:
        names = container.format.name.split(",")
        if any(name in _NOT_AUDIO_FORMATS or name.endswith("_pipe") for name in names):
            raise AudioNotAudio(f"{path} is not an audio file")
        stream = next((s for s in container.streams.audio if s.codec_context is not None), None)
        if stream is None:
            if container.streams.video:
                raise AudioNoTrack(f"{path} has a picture but no sound")
            raise AudioNotAudio(f"{path} has no audio stream")
        yield OpenSong(container, stream, _declared(path, container, stream), read_tags({**container.metadata, **stream.metadata}))


def read_tags(metadata: dict[str, str]) -> Tags:
    """The tags Performia keeps, from whatever a container calls them."""
    given = {name.lower(): " ".join(text.replace("\0", " ").split())[:_LONGEST_TAG] for name, text in metadata.items()}
    found = {tag: next((given[name] for name in names if given.get(name)), None) for tag, names in _TAG_NAMES.items()}
    return Tags(**found)


def _declared(path: Path, container: Any, stream: Any) -> float | None:
    if "mp3" in container.format.name and not _mp3_counts_frames(path):
        return None  # guessed from the bit rate
    if "wav" in container.format.name.split(","):
        return _wav_declared(path)
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    spoken = stream.metadata.get("DURATION")
    if spoken:
        hours, minutes, seconds = (float(part) for part in spoken.split(":"))
        return hours * 3600 + minutes * 60 + seconds
    if container.duration is None or any(not _is_cover(s) for s in container.streams.video):
        return None
    return float(container.duration / 1e6)


def _is_cover(stream: Any) -> bool:
    return bool(int(stream.disposition) & 0x400)  # AV_DISPOSITION_ATTACHED_PIC


def _mp3_counts_frames(path: Path) -> bool:
    """Whether an MP3 says how many frames it has: a Xing, Info or VBRI header in its first frame."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            file.seek(10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]))
        else:
            file.seek(0)
        first = file.read(8192)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))


def _wav_declared(path: Path) -> float | None:
    """Length (s) that a RIFF/WAVE header declares, which FFmpeg trims to the file's size; None where a stream's header does not know."""
    with path.open("rb") as file:
        file.seek(12)
        byte_rate = 0
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return size / byte_rate if byte_rate and 0 < size < 0xFFFFFF00 else None
            content = file.read(min(size, 64))
            if head[:4] == b"fmt ":
                byte_rate = int.from_bytes(content[8:12], "little")
            file.seek(size - len(content) + size % 2, 1)
    return None


def _starts_like_mp4(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(12)[4:8] == b"ftyp"
    except OSError:
        return False


def ends_inside_ogg_page(path: Path) -> bool:
    """Whether the last page of an Ogg file is cut off (RFC 3533, section 6). Ogg has no length to check against."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 66000))  # the largest page has 65,307 bytes
        tail = file.read()
    start = tail.rfind(b"OggS")
    if start < 0:
        return True
    header = tail[start : start + 27]
    if len(header) < 27:
        return True
    table = tail[start + 27 : start + 27 + header[26]]
    return len(table) < header[26] or len(tail) - start < 27 + header[26] + sum(table)
