"""How long a file says its sound is.

Only what is written down counts. Where a container is silent, FFmpeg guesses from the bit rate, and a good file would be called cut off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.ingest.layout import Layout, asf_duration_sec, riff_chunks, wav_data, xing_header

#: FFmpeg's names of the containers that write down how long they are, and whose word it passes on. ASF, MP3 and WAV are read here, because
#: it corrects what they say; it does so with Wave64 and CAF too, which are too rare to be read here.
_TELLING = frozenset({"aiff", "ape", "asf", "flac", "matroska", "mov", "ogg", "tta", "webm", "wv"})
#: Of an MP3 frame: 8 kbit/s at 24 kHz.
_LEAST_FRAME_BYTES = 24
#: Samples an encoder may put around the music without saying so: MP3's two frames and a decoder's delay, and room to spare.
_PADDING_SAMPLES = 2880
#: WAVE formats whose samples all have the same size: PCM, float, and those with an extensible header.
_PLAIN_WAV = frozenset({0x0001, 0x0003, 0xFFFE})


def declared_sec(path: Path, container: Any, stream: Any, layout: Layout) -> float | None:
    """Length of the sound (s) as the file declares it, None where it does not."""
    names = set(container.format.name.split(","))
    if "mp3" in names:
        return _mp3_declared(path, stream.codec_context.sample_rate)
    if "wav" in names:
        return _wav_declared(path)
    if not names & _TELLING or len(layout.links) > 1:  # the word of a chain is that of its last link
        return None
    if stream.duration and stream.time_base is not None and "asf" not in names:
        return float(stream.duration * stream.time_base)
    # Matroska and ASF say when the sound ends, not how long it is.
    begins = max(0.0, float((stream.start_time or 0) * stream.time_base))
    spoken = _clock(stream.metadata.get("DURATION", ""))
    if spoken is not None:
        return max(0.0, spoken - begins)
    if any(not is_cover(s) for s in container.streams.video):
        return None  # the picture may last longer than the sound
    if "asf" in names:
        with path.open("rb") as file:
            whole = asf_duration_sec(file)
    else:
        whole = None if container.duration is None else container.duration / 1e6
    return None if whole is None else max(0.0, whole - begins)


def padding_sec(sample_rate: int) -> float:
    """By how much (s) a sound may fall short of its declared length when nothing is missing."""
    return 0.05 + _PADDING_SAMPLES / sample_rate


def is_cover(stream: Any) -> bool:
    """Whether a stream of pictures is a cover."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def wrong_byte_rate(path: Path) -> tuple[int, int] | None:
    """Bytes a second by the header of a WAV file, and as they are, where the two differ; else None."""
    found = _wav_format(path)
    if found is None:
        return None
    plain, said, byte_rate = found
    return (said, byte_rate) if plain and said != byte_rate else None


def _clock(text: str) -> float | None:
    """Seconds of "01:02:03.5"; None for anything else."""
    parts = text.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _mp3_declared(path: Path, sample_rate: int) -> float | None:
    """Length (s) by the frame count in a Xing, Info or VBRI header, None without one.

    FFmpeg drops the count where tags at the end of the file make it larger than the header says, and guesses.
    """
    with path.open("rb") as file:
        begins, frames, size = xing_header(file)
    if frames and frames * _LEAST_FRAME_BYTES > (size or path.stat().st_size - begins):
        return None  # more than the file could hold
    # ISO 11172-3 and 13818-3: a frame is 1152 samples, 576 at the low sample rates.
    return frames * (1152 if sample_rate >= 32000 else 576) / sample_rate if frames and sample_rate else None


def _wav_declared(path: Path) -> float | None:
    """Length (s) by the header of a RIFF/WAVE or RF64 file, None where the writer did not know. FFmpeg trims it to the file's size."""
    found = _wav_format(path)
    with path.open("rb") as file:
        data = wav_data(file)
    if found is None or data is None:
        return None
    plain, _, byte_rate = found
    return data[1] / byte_rate if plain and byte_rate else None


def _wav_format(path: Path) -> tuple[bool, int, int] | None:
    """Of a WAV file: whether its samples all have the same size; bytes a second by the header; and by the sample rate, where that is so."""
    with path.open("rb") as file:
        for name, begins, size in riff_chunks(file):
            if name == b"fmt " and size >= 16:
                file.seek(begins)
                content = file.read(16)
                rate, byte_rate = int.from_bytes(content[4:8], "little"), int.from_bytes(content[8:12], "little")
                plain = int.from_bytes(content[:2], "little") in _PLAIN_WAV
                return plain, byte_rate, rate * int.from_bytes(content[12:14], "little") if plain else byte_rate
            if name == b"data":
                return None
    return None
