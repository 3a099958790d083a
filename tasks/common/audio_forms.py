"""Forms of sound for people and programs: as files of integers, floats or lossy codecs, and as peaks to draw a waveform of. Pure: from a
file to a file.

What is separated may exceed full scale (1.0), which only floats hold: in all other forms the files of a song are made quieter by one gain,
so that none is cut off and they still add up. 16 bits are dithered, each file with its own noise, so that what is rounded off sounds as
steady noise at -96 dBFS and not as distortion; digital silence stays silent.

Encoders are those of PyAV's wheel. It has FLAC, LAME's MP3 and libopus; it lacks libvorbis (FFmpeg's own Vorbis encoder is experimental)
and Fraunhofer's AAC. MP3 and Opus begin with some samples of the encoder's own, which their headers tell a player to drop.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from schemas.sound_format import SoundFormat

Samples = npt.NDArray[np.float32]

_BLOCK_FRAMES: Final = 1 << 16
_COPIED_BYTES: Final = 1 << 20
#: By what libsndfile calls them.
_FORMATS: Final = MappingProxyType(
    {
        ("FLAC", "PCM_16"): SoundFormat.flac16,
        ("FLAC", "PCM_24"): SoundFormat.flac24,
        ("WAV", "PCM_16"): SoundFormat.wav16,
        ("WAV", "PCM_24"): SoundFormat.wav24,
        ("WAV", "FLOAT"): SoundFormat.wav_float,
        ("MP3", "MPEG_LAYER_III"): SoundFormat.mp3,
        ("OGG", "OPUS"): SoundFormat.opus,
    }
)


@dataclass(frozen=True, slots=True)
class Form:
    """How a format is written.

    codec: FFmpeg's name; None for WAV, which libsndfile writes. bits: of integers; None for floats and what is lossy.
    sample_rate: what the encoder takes; None: that of the song.
    """

    container: str
    codec: str | None = None
    bits: int | None = None
    sample_rate: int | None = None
    bit_rate: int | None = None


#: The bit rates are those at which listeners hear no difference.
FORMS: Final = MappingProxyType(
    {
        SoundFormat.flac16: Form("flac", "flac", bits=16),
        SoundFormat.flac24: Form("flac", "flac", bits=24),
        SoundFormat.wav16: Form("wav", bits=16),
        SoundFormat.wav24: Form("wav", bits=24),
        SoundFormat.wav_float: Form("wav"),
        SoundFormat.mp3: Form("mp3", "libmp3lame", bit_rate=256_000),
        SoundFormat.opus: Form("ogg", "libopus", sample_rate=48_000, bit_rate=160_000),
    }
)
#: Pairs of peaks a second that may be asked for.
RESOLUTIONS: Final = (1, 2, 5, 10, 20, 50, 100)


def encode(source: Path, target: Path | BinaryIO, sound_format: SoundFormat, gain_db: float = 0.0) -> None:
    """Write a sound file in a format, louder by a gain. Raises OSError, soundfile.SoundFileError.

    The same samples give the same file, but for the random serial number that Opus has; a file that is in the format already is copied.
    gain_db: that of `common_gain_db`, for files that
    belong together. What is beyond full scale after it is cut off, except in floats.
    """
    if gain_db == 0.0 and format_of(source) is sound_format:
        with source.open("rb") as file, target.open("wb") if isinstance(target, Path) else nullcontext(target) as out:
            shutil.copyfileobj(file, out, _COPIED_BYTES)
    else:
        with soundfile.SoundFile(source) as file:
            write(_blocks(file), file.samplerate, file.channels, target, sound_format, gain_db)


def write(
    sound: Iterator[Samples], sample_rate: int, channels: int, target: Path | BinaryIO, sound_format: SoundFormat, gain_db: float = 0.0
) -> None:
    """Like `encode`, of blocks (frames, channels) of samples, into a file or what is like one."""
    form = FORMS[sound_format]
    louder = (block * np.float32(10 ** (gain_db / 20)) for block in sound)
    if form.codec is None:
        _write_wav(louder, sample_rate, channels, target, form)
    else:
        _encode(louder, sample_rate, channels, target, form, form.codec)


def format_of(source: Path) -> SoundFormat | None:
    """In which format a file is; None where it is in none of them. Raises OSError, soundfile.SoundFileError where it is no sound."""
    with soundfile.SoundFile(source) as file:
        return _FORMATS.get((file.format, file.subtype))


def common_gain_db(sources: Iterable[Path]) -> float:
    """The gain (dB, at most 0) with which no sample of these files exceeds full scale. Raises OSError, soundfile.SoundFileError."""
    highest = max((peak(source) for source in sources), default=0.0)
    return gain_for(highest)


def gain_for(highest: float) -> float:
    """The gain (dB, at most 0, in hundredths) that brings a peak (1 is full scale) to full scale or just below it."""
    return 0.0 if highest <= 1.0 else math.floor(-2000 * math.log10(highest)) / 100


def peak(source: Path) -> float:
    """The highest absolute sample of a sound file (1 is full scale)."""
    with soundfile.SoundFile(source) as file:
        return max((float(np.abs(block).max(initial=0.0)) for block in _blocks(file)), default=0.0)


def blocks(source: Path, sample_rate: int, frames: int = _BLOCK_FRAMES) -> Iterator[Samples]:
    """(frames or fewer, channels) of a sound file in any of the forms, resampled (soxr HQ) where it has another rate."""
    with soundfile.SoundFile(source) as file:
        if file.samplerate == sample_rate:
            yield from _blocks(file, frames)
            return
        stream = soxr.ResampleStream(file.samplerate, sample_rate, file.channels, dtype="float32", quality="HQ")
        chunks = (stream.resample_chunk(block) for block in _blocks(file, frames))
        end = (stream.resample_chunk(np.zeros((0, file.channels), np.float32), last=True) for _ in range(1))
        yield from _of_one_size(chain(chunks, end), frames)


def mix(sources: Sequence[Path], target: Path) -> None:
    """Write the sum of sound files of one rate, such as the voice and the rest of a song, as floats. Raises as `encode` does.

    Of files of which one is longer, as lossy ones may be, the longest gives the length.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(soundfile.SoundFile(source)) for source in sources]
        first = files[0]
        with soundfile.SoundFile(target, "w", first.samplerate, first.channels, subtype="FLOAT", format="WAV") as output:
            for block in summed([_blocks(file) for file in files]):
                output.write(block)


def summed(parts: Sequence[Iterator[Samples]]) -> Iterator[Samples]:
    """The sum of sounds that come in blocks of one size; what ends earlier is silent from there on."""
    for found in zip_longest(*parts):
        there = [block for block in found if block is not None]
        total = np.zeros(max(block.shape for block in there), np.float32)
        for block in there:
            total[: len(block)] += block
        yield total


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


def _encode(sound: Iterator[Samples], sample_rate: int, channels: int, target: Path | BinaryIO, form: Form, codec: str) -> None:
    """Write FLAC or a lossy form."""
    import av

    layout = "stereo" if channels == 2 else "mono"
    sample_format = {16: "s16", 24: "s32"}.get(form.bits or 0, "fltp")
    with av.open(str(target) if isinstance(target, Path) else target, "w", format=form.container) as output:
        stream: Any = output.add_stream(codec, rate=form.sample_rate or sample_rate, layout=layout)
        if form.bits is None:
            stream.bit_rate = form.bit_rate
        else:
            stream.format = sample_format
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=stream.rate)
        written = 0
        for block in sound:
            samples: npt.NDArray[Any] = np.clip(block, -1.0, 1.0).T if form.bits is None else _integers(block, form.bits).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=sample_format, layout=layout)
            frame.sample_rate, frame.pts = sample_rate, written
            written += len(block)
            for resampled in resampler.resample(frame):
                output.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))


def _write_wav(sound: Iterator[Samples], sample_rate: int, channels: int, target: Path | BinaryIO, form: Form) -> None:
    subtype = "FLOAT" if form.bits is None else f"PCM_{form.bits}"
    with soundfile.SoundFile(target, "w", sample_rate, channels, subtype=subtype, format="WAV") as output:
        for block in sound:
            output.write(block if form.bits is None else _integers(block, form.bits))


def _integers(block: Samples, bits: int) -> npt.NDArray[np.int16 | np.int32]:
    """Samples as integers of 16 bits, or of 24 in the upper bits of 32. What is beyond full scale is cut off.

    16 bits get triangular dither of 2 LSB (Lipshitz, Wannamaker & Vanderkooy, "Quantization and dither", JAES 1992), from the samples
    themselves: every file has its own, and always the same.
    """
    if not block.any():
        return np.zeros(block.shape, np.int16 if bits == 16 else np.int32)
    full = 1 << (bits - 1)
    scaled = block.astype(np.float64) * full
    if bits == 16:
        noise = np.random.default_rng(int.from_bytes(hashlib.blake2b(block.tobytes(), digest_size=8).digest(), "little"))
        scaled += (noise.random(block.shape, np.float32) - noise.random(block.shape, np.float32)) * (block != 0.0)
    rounded = np.clip(np.rint(scaled), -full, full - 1)
    return rounded.astype(np.int16) if bits == 16 else rounded.astype(np.int32) << 8


def _blocks(file: soundfile.SoundFile, frames: int = _BLOCK_FRAMES) -> Iterator[Samples]:
    yield from file.blocks(frames, dtype="float32", always_2d=True)


def _of_one_size(chunks: Iterable[Samples], frames: int) -> Iterator[Samples]:
    """The same samples in blocks of `frames`; the last one may be shorter."""
    kept: list[Samples] = []
    for chunk in chunks:
        kept.append(chunk)
        while sum(map(len, kept)) >= frames:
            together = np.concatenate(kept)
            yield together[:frames]
            kept = [together[frames:]]
    if sum(map(len, kept)):
        yield np.concatenate(kept)


def _extremes(block: Samples, piece: int) -> Samples:
    """(pieces, 2): the lowest and the highest sample of each piece; the last one may be shorter."""
    block = np.nan_to_num(block, posinf=1.0, neginf=-1.0)
    starts = np.arange(0, len(block), piece)
    lowest = np.minimum.reduceat(block.min(axis=1), starts)
    highest = np.maximum.reduceat(block.max(axis=1), starts)
    return np.stack([lowest, highest], axis=1)
