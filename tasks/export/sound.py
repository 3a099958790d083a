"""What the sound exports share: the song itself in blocks, and writing blocks into the format that was asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import soundfile

from tasks.common import audio_forms
from tasks.common.audio import SAMPLE_RATE
from tasks.common.audio_forms import Samples
from tasks.common.errors import ExportNeedsSound
from tasks.export.options import ExportOptions
from tasks.export.song import Song

BLOCK_FRAMES: Final = 1 << 16


def sound_file(render: Callable[[], Iterator[Samples]], channels: int, options: ExportOptions, limited: bool = False) -> bytes:
    """A sound file of blocks (`BLOCK_FRAMES`, channels) at 44.1 kHz.

    render: gives the blocks, and gives the same ones again when it is called again: first they are measured, so that what exceeds full
    scale makes the whole quieter and is not cut off. limited: they are known not to. Raises ExportNeedsSound where what is read is damaged.
    """
    with told_if_damaged():
        highest = 0.0 if limited else max((float(np.abs(block).max(initial=0.0)) for block in render()), default=0.0)
        target = io.BytesIO()
        audio_forms.write(render(), SAMPLE_RATE, channels, target, options.sound_format, audio_forms.gain_for(highest))
    return target.getvalue()


def song_blocks(song: Song) -> Iterator[Samples]:
    """The whole song in stereo blocks of `BLOCK_FRAMES`, from time 0 of the map on. Raises ExportNeedsSound where it is not at hand."""
    files = song.sound()
    for block in audio_forms.summed([audio_forms.blocks(file, SAMPLE_RATE, BLOCK_FRAMES) for file in files]):
        yield np.repeat(block, 2, axis=1) if block.shape[1] == 1 else block


@contextmanager
def told_if_damaged() -> Iterator[None]:
    try:
        yield
    except (OSError, soundfile.SoundFileError) as error:
        raise ExportNeedsSound(f"A stem of the song is damaged, or cannot be read: {error}") from error
