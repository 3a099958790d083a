"""Reading and writing audio files of the artifact store, block by block.

Stored audio is WAV, 32-bit float, 44.1 kHz unless a reference says otherwise: exact, memory-mappable, and free of clipping where a stem's
peak exceeds full scale. Arrays are float32, shaped (channels, frames) for stereo and (frames,) for mono.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from schemas.results import AudioRef
from tasks.common.errors import StorageError

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 44100


def read_stereo(path: Path, start: int = 0, frames: int = -1) -> Samples:
    """Read (channels, frames) float32 from `start` (in frames); `frames=-1` reads to the end."""
    data, _ = soundfile.read(path, frames=frames, start=start, dtype="float32", always_2d=True)
    return np.ascontiguousarray(data.T)


def read_mono(path: Path, sample_rate: int | None = None) -> Samples:
    """Read the mean of the channels as (frames,) float32, resampled (soxr HQ) if `sample_rate` is given.

    Works in blocks: memory is one mono copy at the target rate, not a stereo copy at the source rate.
    """
    with soundfile.SoundFile(path) as file:
        source_rate = file.samplerate
        target_rate = sample_rate or source_rate
        if target_rate == source_rate:
            parts = [block.mean(axis=1) for block in file.blocks(1 << 20, dtype="float32", always_2d=True)]
        else:
            stream = soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32", quality="HQ")
            parts = [stream.resample_chunk(block.mean(axis=1)) for block in file.blocks(1 << 20, dtype="float32", always_2d=True)]
            parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    if not parts:
        return np.zeros(0, np.float32)
    return np.concatenate(parts).astype(np.float32, copy=False)


def blocks(path: Path, frames: int) -> Iterator[Samples]:
    """Yield consecutive (channels, <= frames) blocks of a file."""
    with soundfile.SoundFile(path) as file:
        for block in file.blocks(frames, dtype="float32", always_2d=True):
            yield np.ascontiguousarray(block.T)


class WavWriter:
    """Write a 32-bit float WAV file block by block, hashing the samples on the way.

    with WavWriter(path, 44100, 2) as out:
        out.write(block)        # (channels, frames)
    ref = store.add(out.path, out.ref())

    Raises StorageError where the disk is full or the file cannot be made.
    """

    def __init__(self, path: Path, sample_rate: int = SAMPLE_RATE, channels: int = 2):
        self.path = path
        self.sample_rate = sample_rate
        self.channels = channels
        self.frames = 0
        self._hash = hashlib.sha256()
        try:
            self._file = soundfile.SoundFile(path, "w", samplerate=sample_rate, channels=channels, format="WAV", subtype="FLOAT")
        except soundfile.LibsndfileError as error:
            raise StorageError(f"Could not write {path.name}: {error}") from error

    def write(self, block: Samples) -> None:
        interleaved = np.ascontiguousarray(block.T, dtype="<f4")
        try:
            self._file.write(interleaved)
        except soundfile.LibsndfileError as error:
            raise StorageError(f"Could not write {self.path.name}; is the disk full?") from error
        self._hash.update(interleaved.data)
        self.frames += block.shape[-1]

    def ref(self) -> AudioRef:
        """The reference of what has been written so far."""
        return AudioRef(sha256=self._hash.hexdigest(), sample_rate=self.sample_rate, channels=self.channels, frames=self.frames)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
