"""Decoding to 44.1 kHz stereo, block by block.

FFmpeg applies the encoder's delay and padding where the container gives them, so that sample 0 is the first sample of the music.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tasks.common.audio import SAMPLE_RATE, Samples
from tasks.common.errors import AudioInvalidSamples, AudioNotAudio, AudioTruncated
from tasks.common.progress import Progress
from tasks.ingest.container import OpenSong
from tasks.ingest.lengths import ends_inside_ogg_page

#: Frames per yielded block: about six seconds.
_BLOCK = 1 << 18
#: Up to this share of damaged packets, a file is played as any player would; the map carries a warning.
_DAMAGE_SHARE = 0.02
#: How much earlier than declared the sound may end: containers round, and encoders pad.
_SHORTFALL_SEC = 0.5
_SHORTFALL_SHARE = 0.005


def refuse_cut_off(path: Path, seconds: float, declared: float | None) -> None:
    """Raise AudioTruncated if a sound of this length is clearly shorter than was declared."""
    if declared is not None and seconds < declared - _SHORTFALL_SEC - _SHORTFALL_SHARE * declared:
        raise AudioTruncated(f"{path} ends after {seconds:.1f} s; it says it lasts {declared:.1f} s")


class Decoder:
    """Iterating yields (2, frames) float32 blocks; afterwards `damaged` and `packets` are counted and `seconds` is known.

    Raises AudioTruncated, AudioNotAudio, AudioInvalidSamples.
    """

    def __init__(self, song: OpenSong, path: Path, progress: Progress):
        self._song = song
        self._path = path
        self._progress = progress
        self.packets = 0
        self.damaged = 0
        self.frames = 0

    @property
    def missing_sec(self) -> float:
        """How much of the declared length did not come (s), 0 where nothing was declared."""
        return max(0.0, (self._song.declared_sec or 0.0) - self.seconds)

    @property
    def seconds(self) -> float:
        return self.frames / SAMPLE_RATE

    def __iter__(self) -> Iterator[Samples]:
        pending: list[Samples] = []
        held = 0
        for piece in self._pieces():
            if not np.isfinite(piece).all():
                raise AudioInvalidSamples(f"{self._path} holds NaN or infinite samples at about {self.seconds:.1f} s")
            pending.append(piece)
            held += piece.shape[1]
            self.frames += piece.shape[1]
            if held >= _BLOCK:
                yield np.concatenate(pending, axis=1)
                pending, held = [], 0
                if self._song.declared_sec:
                    self._progress(min(1.0, self.seconds / self._song.declared_sec), "decoding")
        if pending:
            yield np.concatenate(pending, axis=1)
        self._refuse_damage()

    def _pieces(self) -> Iterator[Samples]:
        import av

        self._song.stream.thread_type = "NONE"  # threads hand out frames late, which hides where damage is
        current: tuple[str, str, int] | None = None
        resampler: Any = None
        for frame in self._frames():
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
            if shape != current:  # recordings joined end to end change their rate or channels on the way
                yield from _resampled(resampler, None)
                mono = frame.layout.nb_channels == 1
                resampler = av.AudioResampler(format="flt", layout="mono" if mono else "stereo", rate=SAMPLE_RATE)
                current = shape
            try:
                yield from _resampled(resampler, frame)
            except av.error.FFmpegError:  # a damaged header may give a rate or a layout that is none
                self.damaged += 1
                current = resampler = None
        yield from _resampled(resampler, None)

    def _frames(self) -> Iterator[Any]:
        import av

        packets = self._song.container.demux(self._song.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                # The container itself is broken from here on; what the length check makes of it is said there.
                self.damaged += 1
                return
            self.packets += 1
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                self.damaged += 1

    def _refuse_damage(self) -> None:
        if self.frames == 0:
            raise AudioNotAudio(f"{self._path} holds no sound that can be decoded")
        refuse_cut_off(self._path, self.seconds, self._song.declared_sec)
        if "ogg" in self._song.container.format.name and ends_inside_ogg_page(self._path):
            raise AudioTruncated(f"{self._path} ends in the middle of a page")
        if self.damaged > max(1, _DAMAGE_SHARE * self.packets):
            raise AudioTruncated(f"{self._path} is damaged: {self.damaged} of {self.packets} packets cannot be decoded")


def _resampled(resampler: Any, frame: Any) -> Iterator[Samples]:
    """What comes out of a resampler (None: nothing) for a frame (None: the end) as (2, frames); mono is doubled."""
    if resampler is None:
        return
    for out in resampler.resample(frame):
        packed: Samples = out.to_ndarray().reshape(-1)
        yield np.stack([packed, packed]) if out.layout.nb_channels == 1 else np.ascontiguousarray(packed.reshape(-1, 2).T)
