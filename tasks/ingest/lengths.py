"""How long a file says its sound is, and whether its bytes end before that.

Only what is written down counts. Where a container is silent, FFmpeg guesses from the bit rate, and a good file would be called cut off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: FFmpeg's names of the containers that write down how long they are, and whose word it passes on. MP3 and WAV are read here, because it
#: corrects what they say; it does so with Wave64 and CAF too, which are too rare to be read here.
_TELLING = frozenset({"aiff", "ape", "asf", "flac", "matroska", "mov", "ogg", "tta", "webm", "wv"})
#: Samples an encoder may put around the music without saying so: MP3's two frames and a decoder's delay, and room to spare.
_PADDING_SAMPLES = 2880
#: Chunks of a WAV file that are looked at before its samples must have come.
_MOST_CHUNKS = 1000
_UNKNOWN_SIZE = 0xFFFFFF00


def declared_sec(path: Path, container: Any, stream: Any) -> float | None:
    """Length of the sound (s) as the file declares it, None where it does not."""
    names = set(container.format.name.split(","))
    if "mp3" in names:
        return _mp3_declared(path, stream.codec_context.sample_rate)
    if "wav" in names:
        return _wav_declared(path)
    if not names & _TELLING:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    spoken = _clock(stream.metadata.get("DURATION", ""))
    if spoken is not None:
        return spoken
    if container.duration is None or any(not _is_cover(s) for s in container.streams.video):
        return None  # the picture may last longer than the sound
    return float(container.duration / 1e6)


def padding_sec(sample_rate: int) -> float:
    """By how much (s) a sound may fall short of its declared length when nothing is missing."""
    return 0.05 + _PADDING_SAMPLES / sample_rate


def packets_end_sec(container: Any, stream: Any) -> float | None:
    """Where the last packet of the stream ends (s), None where packets bear no times. Reads the container to its end, decodes nothing."""
    import av

    end: float | None = None
    try:
        for packet in container.demux(stream):
            if packet.pts is not None:
                end = max(end or 0.0, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    except av.error.FFmpegError:
        pass  # what could be read up to here counts
    return None if end is None else end - float((stream.start_time or 0) * stream.time_base)


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


def _clock(text: str) -> float | None:
    """Seconds of "01:02:03.5"; None for anything else."""
    parts = text.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _is_cover(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _mp3_declared(path: Path, sample_rate: int) -> float | None:
    """Length (s) by the frame count in a Xing, Info or VBRI header, None without one.

    FFmpeg drops the count where tags at the end of the file make it larger than the header says, and guesses.
    """
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            file.seek(10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]))
        else:
            file.seek(0)
        first = file.read(8192)
    frames = _mp3_frames(first)
    # ISO 11172-3 and 13818-3: a frame is 1152 samples, 576 at the low sample rates.
    return frames * (1152 if sample_rate >= 32000 else 576) / sample_rate if frames and sample_rate else None


def _mp3_frames(first: bytes) -> int | None:
    for mark in (b"Xing", b"Info"):
        at = first.find(mark)
        if at >= 0 and first[at + 7 : at + 8] and first[at + 7] & 1:
            return int.from_bytes(first[at + 8 : at + 12], "big")
    at = first.find(b"VBRI")
    return int.from_bytes(first[at + 14 : at + 18], "big") if at >= 0 else None


def _wav_declared(path: Path) -> float | None:
    """Length (s) by the header of a RIFF/WAVE or RF64 file, None where the writer did not know. FFmpeg trims it to the file's size."""
    byte_rate = long_size = 0
    with path.open("rb") as file:
        file.seek(12)
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return None
            size = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                size = long_size if long_size and size >= _UNKNOWN_SIZE else size
                return size / byte_rate if byte_rate and size and (long_size or size < _UNKNOWN_SIZE) else None
            content = file.read(min(size, 64))
            if head[:4] == b"fmt ":
                byte_rate = int.from_bytes(content[8:12], "little")
            elif head[:4] == b"ds64":  # EBU Tech 3306: sizes that do not fit into 32 bits
                long_size = int.from_bytes(content[8:16], "little")
            file.seek(size - len(content) + size % 2, 1)
    return None
