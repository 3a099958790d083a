"""Decoding to 44.1 kHz stereo, block by block.

FFmpeg applies the encoder's delay and padding where the container gives them, so that sample 0 is the first sample of the music. What is
missing in the middle, by the time stamps or the bytes, becomes silence of the same length, so that later times stay true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tasks.common.audio import SAMPLE_RATE, Samples
from tasks.common.errors import AudioInvalidSamples, AudioNotAudio, AudioTruncated
from tasks.common.progress import Progress
from tasks.ingest.container import OpenSong
from tasks.ingest.layout import FilePart, ends_inside_mpeg_frame, is_whole_flac_frame, tags_in

#: Frames per yielded block: about six seconds.
_BLOCK = 1 << 18
#: Up to this share of damage, a file is played as any player would; the map carries a warning.
_DAMAGE_SHARE = 0.02
#: And up to so much (s): a few bytes can cost half a second of FLAC.
_DAMAGE_SEC = 1.0
#: How much earlier than declared the sound may end: containers round, and encoders pad.
_SHORTFALL_SEC = 0.5
_SHORTFALL_SHARE = 0.005
#: Formats whose time stamps say where a packet belongs, and not only how many came before it.
_CLOCKED = frozenset({"asf", "flac", "flv", "matroska", "mov", "mpeg", "mpegts", "ogg"})
#: Formats without, whose frames lie end to end: bytes between two of them were frames once.
_END_TO_END = frozenset({"aac", "mp3"})
#: Formats that are never written with a gap: one is damage.
_GAPLESS = frozenset({"aac", "flac", "mp3"})
#: A jump of the time stamps is a gap from here on: live recordings jitter, and Vorbis's blocks differ in length.
_GAP_SEC = 0.1
#: The same where a packet could not be decoded just before.
_LOST_SEC = 0.004
#: A longer jump is a clock that was set anew.
_LONGEST_GAP_SEC = 600.0
#: Formats whose declared length is a count of their own packets, or an index of them.
_COUNTED = frozenset({"ape", "asf", "tta", "wv"})


@dataclass(frozen=True)
class _Gap:
    """Sound that is missing. seconds: how much."""

    seconds: float


def falls_short(seconds: float, declared: float | None) -> bool:
    """Whether a sound of this length is clearly shorter than was declared."""
    return declared is not None and seconds < declared - _SHORTFALL_SEC - _SHORTFALL_SHARE * declared


def refuse_cut_by_layout(path: Path, song: OpenSong) -> None:
    """Raise AudioTruncated if the file ends before its own index says, or inside a page."""
    layout, declared = song.layout, song.declared_sec
    if layout.inside:
        raise AudioTruncated(f"{path} ends in the middle of a page")
    missing = layout.missing_share
    if missing > _SHORTFALL_SHARE and (declared is None or falls_short((1 - missing) * declared, declared)):
        says = "" if declared is None else f"; it says it lasts {declared:.1f} s"
        raise AudioTruncated(f"{path} is cut off: {missing:.0%} of it are missing{says}")


class LastPacket:
    """The last packet of a track: whether the file ends inside it."""

    def __init__(self, song: OpenSong, path: Path):
        self._song = song
        self._path = path
        self._packet: Any = None
        self.failed = False

    def see(self, packet: Any) -> None:
        """Another packet."""
        if packet.size:
            self._packet = packet
            self.failed = False

    @property
    def cut(self) -> bool:
        """Whether it could not be decoded, or is not whole."""
        if self._packet is None or self.failed:
            return True
        if "flac" in self._song.formats:
            return not is_whole_flac_frame(bytes(self._packet))
        if "mp3" in self._song.formats and self._packet.pos is not None:
            return ends_inside_mpeg_frame(self._path, self._packet.pos)
        return False


def refuse_cut_by_packets(path: Path, song: OpenSong, seconds: float, last: LastPacket, broken: bool = False) -> None:
    """Raise AudioTruncated if the sound is shorter than declared, and the file ends inside a frame or counts its own packets."""
    if falls_short(seconds, song.declared_sec) and (broken or song.formats & _COUNTED or last.cut):
        raise AudioTruncated(f"{path} ends after {seconds:.1f} s; it says it lasts {song.declared_sec:.1f} s")


def refuse_cut_early(path: Path, song: OpenSong) -> None:
    """Raise AudioTruncated as far as a cut shows without decoding. Where bytes do not tell, all packets are read."""
    import av

    refuse_cut_by_layout(path, song)
    if song.declared_sec is None or not song.formats & (_COUNTED | _GAPLESS):
        return
    last, end, broken = LastPacket(song, path), None, False
    try:
        for packet in song.container.demux(song.stream):
            last.see(packet)
            if packet.pts is not None:
                end = max(end or 0.0, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    except av.error.FFmpegError:
        broken = True  # what could be read up to here counts
    if end is not None:
        begins = float((song.stream.start_time or 0) * song.stream.time_base)
        refuse_cut_by_packets(path, song, end - begins, last, broken)


class Decoder:
    """Iterating yields (2, frames) float32 blocks; afterwards `packets`, `damaged`, `gaps`, `seconds` and `start_sec` are known.

    accept_damaged: what is cut off or damaged beyond measure is not refused; `cut` says how it is.
    Raises AudioTruncated, AudioNotAudio, AudioInvalidSamples.
    """

    def __init__(self, song: OpenSong, path: Path, progress: Progress, accept_damaged: bool = False):
        self._song = song
        self._path = path
        self._progress = progress
        self._accept_damaged = accept_damaged
        self._clock = _Clock(song, path)
        self._last = LastPacket(song, path)
        self._broken = False
        self.packets = 0
        self.damaged = 0
        self.frames = 0
        #: (start, length) of each silence that was put in (s).
        self.gaps: list[tuple[float, float]] = []
        self.cut: str | None = None

    @property
    def seconds(self) -> float:
        return self.frames / SAMPLE_RATE

    @property
    def start_sec(self) -> float:
        """Time on the file's own clock at which sample 0 sounds (s)."""
        zero, begins = self._song.zero_sec, self._clock.begins
        return 0.0 if zero is None or begins is None else begins - zero

    @property
    def clock_jumps(self) -> list[tuple[float, float]]:
        """(place, length) of the jumps of the time stamps that are no gaps (s)."""
        return self._clock.jumps

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
            if isinstance(frame, _Gap):
                yield from _resampled(resampler, None)
                current = resampler = None
                yield from self._silence(frame.seconds)
                continue
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

    def _silence(self, seconds: float) -> Iterator[Samples]:
        self.gaps.append((self.seconds, seconds))
        left = round(seconds * SAMPLE_RATE)
        while left > 0:
            yield np.zeros((2, min(left, _BLOCK)), np.float32)
            left -= _BLOCK

    def _frames(self) -> Iterator[Any]:
        """Frames of the codec, and the gaps between them."""
        import av

        packets = self._packets()
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                # The container itself is broken from here on; what the length check makes of it is said there.
                self.damaged += 1
                self._broken = True
                return
            self.packets += 1
            self._last.see(packet)
            self._clock.see(packet)
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                if self._clock.lost(packet):
                    self.damaged += 1
                    self._last.failed = True
                continue
            self._clock.decoded(packet)
            for frame in frames:
                if gap := self._clock.before(frame):
                    yield _Gap(gap)
                yield frame

    def _packets(self) -> Iterator[Any]:
        """Packets of the track. Of a chain, each link is read as a file of its own: FFmpeg stops where the rate or the channels change."""
        import av

        links = self._song.layout.links
        if len(links) == 1:
            yield from self._song.container.demux(self._song.stream)
            return
        for begins, ends in pairwise((*links, self._song.layout.file_bytes)):
            with FilePart(self._path, begins, ends) as part, av.open(part, "r", metadata_errors="surrogateescape") as container:
                tracks = container.streams.audio
                if tracks:
                    stream: Any = tracks[min(self._song.track.number, len(tracks)) - 1]
                    stream.thread_type = "NONE"
                    yield from container.demux(stream)

    def _refuse_damage(self) -> None:
        if self.frames == 0:
            raise AudioNotAudio(f"{self._path} holds no sound that can be decoded")
        try:
            refuse_cut_by_layout(self._path, self._song)
            refuse_cut_by_packets(self._path, self._song, self.seconds, self._last, self._broken)
            filled = sum(length for _, length in self.gaps) if self._song.formats & _GAPLESS else 0.0
            share = max(filled / self.seconds, self._song.layout.foreign_share)
            if share > _DAMAGE_SHARE and share * self.seconds > _DAMAGE_SEC:
                raise AudioTruncated(f"{self._path} is damaged: {share:.0%} of it cannot be decoded")
            if self.damaged > max(1, _DAMAGE_SHARE * self.packets):
                raise AudioTruncated(f"{self._path} is damaged: {self.damaged} of {self.packets} packets cannot be decoded")
        except AudioTruncated as error:
            if not self._accept_damaged:
                raise
            self.cut = error.what.removeprefix(f"{self._path} ")


class _Clock:
    """Where the next frame belongs. `before(frame)` tells the gap before it (s). begins: where the first frame is (s)."""

    def __init__(self, song: OpenSong, path: Path):
        self._path = path
        self._tags_end = 0
        self._clocked = bool(song.formats & _CLOCKED)
        self._end_to_end = bool(song.formats & _END_TO_END)
        self._rate: int = song.stream.codec_context.sample_rate or SAMPLE_RATE
        self.begins: float | None = None
        self.jumps: list[tuple[float, float]] = []
        self._expected: float | None = None
        self._shift = 0.0
        self._was_lost = False
        self._owed = 0.0
        self._end: int | None = None
        self._bytes = self._seen = 0

    def see(self, packet: Any) -> None:
        """A packet, before it is decoded: bytes between it and the one before were packets once."""
        if not self._end_to_end or packet.pos is None or not packet.size:
            return
        if self._end is not None and packet.pos > self._end:
            self._owe(packet, self._end, packet.pos - self._end)
        self._end = packet.pos + packet.size

    def decoded(self, packet: Any) -> None:
        """A packet that could be decoded."""
        self._bytes += packet.size
        self._seen += 1

    def lost(self, packet: Any) -> bool:
        """Whether a packet that could not be decoded was sound. Where frames lie end to end, it may hold what was many, or tags."""
        self._was_lost = True
        if self._clocked or self._expected is None:
            return True
        return self._owe(packet, packet.pos, packet.size)

    def _owe(self, packet: Any, place: int | None, size: int) -> bool:
        """Bytes that are no frames were some once, unless they are tags, which recordings joined end to end have in the middle."""
        count = 1
        if self._end_to_end and self._bytes and place is not None:
            begins, ends = max(place, self._tags_end), place + size  # what a tag before has not covered
            lost = max(0, ends - begins)
            for first, last in tags_in(self._path, begins, lost):
                lost -= max(0, min(last, ends) - max(first, begins))
                begins = self._tags_end = max(begins, last)
            count = round(max(0, lost) * self._seen / self._bytes)
        self._owed += count * self._duration(packet)
        return count > 0

    def before(self, frame: Any) -> float:
        length = frame.samples / frame.sample_rate
        owed, self._owed = self._owed, 0.0
        if not self._clocked:
            first, self._expected = self._expected is None, 0.0
            return 0.0 if first else owed
        if frame.pts is None or frame.time_base is None:
            if self._expected is not None:
                self._expected += length
            return 0.0
        now = float(frame.pts * frame.time_base)
        if self._expected is None:
            self.begins = self._expected = now
        gap = now + self._shift - self._expected
        least = _LOST_SEC if self._was_lost else _GAP_SEC
        self._was_lost = False
        if gap < -_GAP_SEC or gap > _LONGEST_GAP_SEC:  # the links of a chain each begin at 0
            if gap > 0:
                self.jumps.append((self._expected - (self.begins or 0.0), gap))
            self._shift -= gap
            gap = 0.0
        gap = gap if gap > least else 0.0
        self._expected += gap + length
        return gap

    def _duration(self, packet: Any) -> float:
        return float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 1152 / self._rate


def _resampled(resampler: Any, frame: Any) -> Iterator[Samples]:
    """What comes out of a resampler (None: nothing) for a frame (None: the end) as (2, frames); mono is doubled."""
    if resampler is None:
        return
    for out in resampler.resample(frame):
        packed: Samples = out.to_ndarray().reshape(-1)
        yield np.stack([packed, packed]) if out.layout.nb_channels == 1 else np.ascontiguousarray(packed.reshape(-1, 2).T)
