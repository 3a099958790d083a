"""Recordings made of one song: of any length, and excerpts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.performance.bench.errors import BenchmarkFailed

_SHORTEST_SEC, _LONGEST_SEC = 20.0, 30.0


def repeat(song: Path, recording: Path, minutes: float) -> None:
    """Write the song over and over, cut at the length. Raises BenchmarkFailed."""
    samples, rate = _read(song)
    wanted = round(60 * minutes * rate)
    with soundfile.SoundFile(recording, "w", samplerate=rate, channels=samples.shape[1]) as out:
        while out.frames < wanted:
            out.write(np.ascontiguousarray(samples[: wanted - out.frames]))


def cut(song: Path, folder: Path, count: int = 8) -> list[Path]:
    """Write excerpts of 20 to 30 s from different places of the song, no two alike. Raises BenchmarkFailed."""
    samples, rate = _read(song)
    folder.mkdir(parents=True, exist_ok=True)
    duration = len(samples) / rate
    paths = []
    for number in range(count):
        share = number / max(1, count - 1)
        # A short song still has places to choose between.
        length = min(_SHORTEST_SEC + share * (_LONGEST_SEC - _SHORTEST_SEC), duration / 2)
        first = round(share * (duration - length) * rate)
        paths.append(folder / f"excerpt {number + 1}.flac")
        soundfile.write(paths[-1], samples[first : first + round(length * rate)], rate)
    return paths


def _read(song: Path) -> tuple[Any, int]:
    """Samples (frames, channels) in 16 bits, and their rate."""
    try:
        samples, rate = soundfile.read(song, dtype="int16", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise BenchmarkFailed(f"{song} cannot be cut: {error}", "Give a wav, flac, ogg or mp3 file") from error
    return samples, int(rate)
