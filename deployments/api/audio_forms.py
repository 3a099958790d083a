"""Other forms of a WAV file of ours: compressed, and as peaks to draw a waveform of. Pure: from a file to a file.

Encoders are those of PyAV's wheel. It has FLAC, LAME's MP3 and libopus; it lacks libvorbis (FFmpeg's own Vorbis encoder is experimental)
and Fraunhofer's AAC. MP3 and Opus begin with some samples of the encoder's own, which their headers tell a player to drop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import soundfile

_BLOCK_FRAMES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Form:
    """A compressed form. codec: FFmpeg's name. sample_format, sample_rate: what the encoder takes; rate None: that of the song."""

    media_type: str
    container: str
    codec: str
    sample_format: str
    sample_rate: int | None = None
    bit_rate: int | None = None


#: By the ending of the file's name. FLAC has 24 bits; the bit rates are those at which listeners hear no difference.
FORMS: Final = MappingProxyType(
    {
        "flac": Form("audio/flac", "flac", "flac", "s32"),
        "mp3": Form("audio/mpeg", "mp3", "libmp3lame", "fltp", bit_rate=256_000),
        "opus": Form("audio/ogg", "ogg", "libopus", "flt", sample_rate=48_000, bit_rate=160_000),
    }
)
#: Pairs of peaks a second that may be asked for.
RESOLUTIONS: Final = (1, 2, 5, 10, 20, 50, 100)


def encode(source: Path, target: Path, ending: str) -> None:
    """Write a WAV file in another form. What is beyond full scale is cut off there. Raises OSError, soundfile.SoundFileError."""
    import av

    form = FORMS[ending]
    with soundfile.SoundFile(source) as wav, av.open(str(target), "w", format=form.container) as output:
        layout = "stereo" if wav.channels == 2 else "mono"
        stream: Any = output.add_stream(form.codec, rate=form.sample_rate or wav.samplerate, layout=layout, format=form.sample_format)
        if form.bit_rate:
            stream.bit_rate = form.bit_rate
        resampler = av.AudioResampler(format=form.sample_format, layout=layout, rate=stream.rate)
        written = 0
        for block in _blocks(wav):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(np.clip(block, -1.0, 1.0).T), format="fltp", layout=layout)
            frame.sample_rate, frame.pts = wav.samplerate, written
            written += len(block)
            for resampled in resampler.resample(frame):
                output.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))


def peaks(source: Path, resolution: int) -> bytes:
    """The lowest and the highest sample of each piece of a WAV file, of both channels, as JSON.

    The format is that of BBC's audiowaveform (version 2, 8 bits), which waveform viewers read: `data` holds min, max, min, max … in -128
    to 127. resolution: pieces a second, one of `RESOLUTIONS`. Raises OSError, soundfile.SoundFileError.
    """
    with soundfile.SoundFile(source) as wav:
        piece = wav.samplerate // resolution
        found = [_extremes(block, piece) for block in _blocks(wav, piece * max(1, _BLOCK_FRAMES // piece))]
        rate = wav.samplerate
    pairs = np.concatenate(found) if found else np.zeros((0, 2), np.float32)
    values = np.clip(np.floor(pairs * 128), -128, 127).astype(np.int8)
    document = {
        "version": 2,
        "channels": 1,
        "sample_rate": rate,
        "samples_per_pixel": piece,
        "bits": 8,
        "length": len(values),
        "data": values.ravel().tolist(),
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def mix(sources: list[Path], target: Path) -> None:
    """Write the sum of WAV files of one length and rate, such as the voice and the rest of a song. Raises as above."""
    opened = [soundfile.SoundFile(source) for source in sources]
    try:
        first = opened[0]
        with soundfile.SoundFile(target, "w", first.samplerate, first.channels, subtype="FLOAT", format="WAV") as output:
            for blocks in zip(*(_blocks(wav) for wav in opened), strict=True):
                output.write(np.sum(blocks, axis=0))
    finally:
        for wav in opened:
            wav.close()


def _blocks(wav: soundfile.SoundFile, frames: int = _BLOCK_FRAMES) -> Iterator[np.ndarray[Any, Any]]:
    yield from wav.blocks(frames, dtype="float32", always_2d=True)


def _extremes(block: np.ndarray[Any, Any], piece: int) -> np.ndarray[Any, Any]:
    """(pieces, 2): the lowest and the highest sample of each piece; the last one may be shorter."""
    block = np.nan_to_num(block, posinf=1.0, neginf=-1.0)
    starts = np.arange(0, len(block), piece)
    lowest = np.minimum.reduceat(block.min(axis=1), starts)
    highest = np.maximum.reduceat(block.max(axis=1), starts)
    return np.stack([lowest, highest], axis=1)
