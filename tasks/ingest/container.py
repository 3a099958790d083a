"""An audio file, opened: its container, the audio track that is the song, its tags, and how long it says it is. PyAV carries FFmpeg's
libraries."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from schemas.results import Tags
from tasks.common.errors import AudioError, AudioNotAudio, AudioNoTrack, AudioTruncated, AudioUnreadable
from tasks.ingest.layout import Layout, layout_of
from tasks.ingest.lengths import declared_sec, is_cover
from tasks.ingest.tags import may_be_eight_bit, read_tags, unmarked_texts
from tasks.ingest.tracks import ChosenTrack, choose_track

#: Containers that may carry sound beside a picture. In any other format, FFmpeg takes text, pictures and noise for a video.
_VIDEO_CONTAINERS = frozenset({"3gp", "asf", "avi", "flv", "matroska", "mov", "mp4", "mpeg", "mpegts", "mxf", "ogg", "webm"})
#: Formats that lead elsewhere: play lists.
_NOT_AUDIO_FORMATS = frozenset({"concat", "dash", "hls"})
#: What FFmpeg ends with where a file that can be read names others that cannot, or may not.
_OF_ANOTHER = (errno.EPERM, errno.EACCES, errno.ENOENT)
#: How whole files of the common containers begin.
_MAGIC = (b"RIFF", b"RF64", b"BW64", b"FORM", b"fLaC", b"OggS", b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75")
#: Formats whose clock begins at 0, also where nothing sounds there: ISO 14496-12, RFC 9559.
_CLOCK_FROM_ZERO = frozenset({"mov", "matroska"})
#: A track is silent where its first minute has no sample above -80 dBFS.
_LOOK_SEC = 60.0
_SILENT_PEAK = 1e-4


@dataclass(frozen=True)
class OpenSong:
    """declared_sec: what the container says of the audio's length, None where it does not say or only guesses.

    zero_sec: where on the clock of the packets the file's own begins (s); None: where the sound begins.
    """

    container: Any
    stream: Any
    declared_sec: float | None
    tags: Tags
    track: ChosenTrack
    layout: Layout
    zero_sec: float | None

    @property
    def formats(self) -> set[str]:
        """FFmpeg's names of the container's format."""
        return set(self.container.format.name.split(","))


def declared_length(path: Path, track: int | None = None) -> float | None:
    """How long a file says it is (s), without decoding it. None where it does not say, or is no song."""
    try:
        with opened(path, track) as song:
            return song.declared_sec
    except AudioError:
        return None


@contextmanager
def opened(path: Path, track: int | None = None) -> Iterator[OpenSong]:
    """Open the audio of a file. track: its number, from 1; None: see `tracks`.

    Raises AudioNotAudio, AudioNoTrack, AudioTrackMissing, AudioTruncated, AudioUnreadable.
    """
    with _container(path) as container:
        names = set(container.format.name.split(","))
        if names & _NOT_AUDIO_FORMATS:
            raise AudioNotAudio(f"{path} is not an audio file")
        streams = container.streams.audio
        chosen = choose_track(streams, track, lambda number: _is_silent(path, number), str(path)) if streams else None
        if chosen is None:
            if container.streams.video and names & _VIDEO_CONTAINERS:
                raise AudioNoTrack(f"{path} has a picture but no sound")
            raise AudioNotAudio(f"{path} is not an audio file")
        stream = chosen.stream
        layout = layout_of(path, names)
        # Ogg has its tags on the stream; elsewhere a stream's title is that of the track ("Stereo"), not of the song.
        tags = read_tags({**unmarked_texts(path), **stream.metadata, **container.metadata}, may_be_eight_bit(path, names))
        yield OpenSong(container, stream, declared_sec(path, container, stream, layout), tags, chosen, layout, _zero_sec(container, names))


def _zero_sec(container: Any, names: set[str]) -> float | None:
    """See `OpenSong`. With a picture it is where the first of all streams begins, as players have it."""
    pictures = [stream for stream in container.streams.video if not is_cover(stream)]
    if not pictures:
        return 0.0 if names & _CLOCK_FROM_ZERO else None
    starts = [float(s.start_time * s.time_base) for s in (*pictures, *container.streams.audio) if s.start_time is not None]
    return max(0.0, min(starts, default=0.0))


def _is_silent(path: Path, number: int) -> bool:
    """Whether nothing is heard in the first minute of a track; one that cannot be decoded is silent too."""
    import av

    heard = 0.0
    try:
        with _container(path) as container:
            for frame in container.decode(container.streams.audio[number - 1]):
                samples = frame.to_ndarray()
                if np.issubdtype(samples.dtype, np.integer):
                    middle = 128.0 if samples.dtype == np.uint8 else 0.0
                    samples = (samples - middle) / np.iinfo(samples.dtype).max
                if np.abs(samples).max(initial=0.0) > _SILENT_PEAK:
                    return False
                heard += frame.samples / frame.sample_rate
                if heard > _LOOK_SEC:
                    break
    except av.error.FFmpegError:
        pass  # what could be heard up to here counts
    return True


@contextmanager
def _container(path: Path) -> Iterator[Any]:
    """A file as PyAV's container. Raises AudioNotAudio, AudioTruncated, AudioUnreadable."""
    import av

    try:
        # A file and nothing else: FFmpeg would also follow play lists and open network addresses. What is no UTF-8 in a tag is kept.
        container = av.open(f"file:{path}", metadata_errors="surrogateescape", options={"protocol_whitelist": "file"})
    except av.error.InvalidDataError as error:
        if _beginning(path)[4:8] == b"ftyp":
            raise AudioTruncated(f"{path} is cut off: its index is missing", "Copy or download it again") from error
        raise AudioNotAudio(f"{path} is not an audio file") from error
    except av.error.EOFError as error:
        if _beginning(path).startswith(_MAGIC):
            raise AudioTruncated(f"{path} is cut off: it ends before the sound begins", "Copy or download it again") from error
        raise AudioNotAudio(f"{path} is not an audio file") from error
    except OSError as error:
        if error.errno in _OF_ANOTHER and _beginning(path):
            raise AudioNotAudio(f"{path} is a list of other files, and not audio itself") from error
        raise AudioUnreadable(f"{path} cannot be read: {error.strerror or error}") from error
    except av.error.FFmpegError as error:
        raise AudioNotAudio(f"{path} is not an audio file: {error}") from error
    with container:
        yield container


def _beginning(path: Path) -> bytes:
    """The first bytes of a file that FFmpeg could not open."""
    try:
        with path.open("rb") as file:
            return file.read(12)
    except OSError:
        return b""
