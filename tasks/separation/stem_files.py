"""The five files a separation leaves: four stems that sum to the mix, and the mix without the voice.

An engine estimates vocals, drums and bass. `other` is what the mix has beyond them, so that the four always sum to the mix; whatever an
engine's own estimates leave over lands there, and not in a vocal stem that should be silent where nobody sings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from schemas.results import AudioRef
from tasks.common.audio import Samples, WavWriter, read_stereo
from tasks.common.storage.artifacts import ArtifactStore
from tasks.separation.stft import Reader

_FILES: Final = ("vocals", "drums", "bass", "other", "instrumental")

#: Reported where the stems sum to the mix to the last bit: below the resolution of 32-bit floats.
EXACT_DB: Final = -200.0


@dataclass(frozen=True)
class StoredStems:
    """What is in the store, and how well it sums to the mix (dB relative to the mix)."""

    refs: dict[str, AudioRef]
    residual_db: float


class StemFiles:
    """Writes the stems block by block and measures what it wrote."""

    def __init__(self, folder: Path, sample_rate: int):
        self._stack = ExitStack()
        self._writers = {name: self._stack.enter_context(WavWriter(folder / f"{name}.wav", sample_rate, 2)) for name in _FILES}
        self._mix_energy = 0.0
        self._residual_energy = 0.0

    def write(self, mix: Samples, vocals: Samples, drums: Samples, bass: Samples) -> None:
        """Write one block; all are (2, frames)."""
        other = mix - vocals - drums - bass
        stems = {"vocals": vocals, "drums": drums, "bass": bass, "other": other, "instrumental": mix - vocals}
        for name, block in stems.items():
            self._writers[name].write(block)
        exact = mix.astype(np.float64)
        total = vocals.astype(np.float64) + drums + bass + other
        self._mix_energy += float(np.square(exact).sum())
        self._residual_energy += float(np.square(exact - total).sum())

    @property
    def residual_db(self) -> float:
        if self._residual_energy <= 0.0 or self._mix_energy <= 0.0:
            return EXACT_DB
        return max(EXACT_DB, 10 * math.log10(self._residual_energy / self._mix_energy))

    def store_in(self, store: ArtifactStore) -> StoredStems:
        """Close the files and move them into the store."""
        self.close()
        refs = {name: store.add(writer.path, writer.ref()) for name, writer in self._writers.items()}
        return StoredStems(refs, round(self.residual_db, 1))

    def close(self) -> None:
        self._stack.close()


@contextmanager
def stem_files(folder: Path, sample_rate: int) -> Iterator[StemFiles]:
    """Stem files in `folder`, closed at the end whatever happens."""
    files = StemFiles(folder, sample_rate)
    try:
        yield files
    finally:
        files.close()


def reader_of(path: Path) -> Reader:
    """Read any span of a stereo file; samples outside the file are zero."""
    samples = soundfile.info(path).frames

    def read(start: int, frames: int) -> Samples:
        begin, end = min(max(start, 0), samples), max(min(start + frames, samples), 0)
        if end <= begin:
            return np.zeros((2, frames), np.float32)
        inside = read_stereo(path, begin, end - begin)
        return np.pad(inside, ((0, 0), (begin - start, start + frames - end)))

    return read


def difference(first: Reader, second: Reader) -> Reader:
    """A reader of the first signal minus the second."""
    return lambda start, frames: first(start, frames) - second(start, frames)
