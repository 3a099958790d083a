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
from tasks.ingest.layout import FilePart, ends_inside_mpeg_frame, find_bytes, is_whole_flac_frame, tags_in
from tasks.ingest.lengths import padding_sec

#: Frames per yielded block: about six seconds.
_BLOCK = 1 << 18
#: Up to this share of damage, a file is played as any player would; the map carries a warning.
_DAMAGE_SHARE = 0.02
#: And up to so much (s): 0.1 s of noise cost up to 0.2 s of MP3 and FLAC, 0.5 s of ADTS, and in Ogg two pages, of up to a second each.
_DAMAGE_SEC = 0.75
_PAGES_SEC = 2.1
#: How much earlier than declared the sound may end: containers round, and encoders pad.
_SHORTFALL_SEC = 0.5
_SHORTFALL_SHARE = 0.005
#: Formats whose time stamps say where a packet belongs, and not only how many came before it.
_CLOCKED = frozenset({"asf", "flac", "flv", "matroska", "mov", "mpeg", "mpegts", "ogg"})
#: Formats without, whose frames lie end to end: bytes between two of them were frames once.
_END_TO_END = frozenset({"aac", "mp3"})
#: Errors in a row that a container may have before nothing more is expected of it.
_LONGEST_HOLE = 20
#: A packet is found in its file by so many of its bytes.
_RECOGNIZED_BYTES = 48
#: Formats that are never written with a gap: one is damage.
_GAPLESS = frozenset({"aac", "flac", "mp3"})
#: A jump of the time stamps is a gap from here on: live recordings jitter, and Vorbis's blocks differ in length.
_GAP_SEC = 0.1
#: The same where a packet could not be decoded just before, and in FLAC, whose frames are numbered.
_LOST_SEC = 0.004
#: A longer jump is a clock that was set anew.
_LONGEST_GAP_SEC = 600.0
#: An ASF file is written in packets of up to so many bytes.
_ASF_PACKET_BYTES = 1 << 16
#: Formats whose declared length is a count of their own packets, or an index of them.
_COUNTED = frozenset({"ape", "tta", "wv"})


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
        self._first_head = b""
        self.failed = False

    def see(self, packet: Any) -> None:
        """Another packet."""
        if packet.size:
            self._packet = packet
            self._first_head = self._first_head or bytes(packet)[:7]
            self.failed = False

    @property
    def cut(self) -> bool:
        """Whether it could not be decoded, or is not whole."""
        return self._packet is None or self.failed or self.is_part

    @property
    def is_early(self) -> bool:
        """Whether FFmpeg stopped reading before the end of the file, as it does in an ASF file that is damaged."""
        if "asf" not in self._song.formats or self._packet is None or self._packet.pos is None:
            return False
        unread: int = self._song.layout.file_bytes - self._packet.pos - self._packet.size
        return unread > _SHORTFALL_SHARE * self._song.layout.file_bytes + _ASF_PACKET_BYTES

    @property
    def is_part(self) -> bool:
        """Whether it, or what follows it, is the beginning of a frame."""
        if self._packet is None:
            return False
        if "flac" in self._song.formats:
            return not is_whole_flac_frame(bytes(self._packet))
        if self._song.formats & _END_TO_END and self._packet.pos is not None and len(self._first_head) > 3:
            return ends_inside_mpeg_frame(self._path, self._packet.pos, self._first_head)
        return False


def refuse_cut_by_packets(path: Path, song: OpenSong, seconds: float, last: LastPacket, broken: bool = False) -> None:
    """Raise AudioTruncated if the file ends inside a frame or counts its own packets, and the sound is shorter than declared.

    A file that does not say how long it is must not end inside a frame either.
    """
    if song.declared_sec is None and song.formats & _GAPLESS and last.is_part:
        raise AudioTruncated(f"{path} ends in the middle of a frame, after {seconds:.1f} s")
    if falls_short(seconds, song.declared_sec) and (broken or song.formats & _COUNTED or last.cut or last.is_early):
        raise AudioTruncated(f"{path} ends after {seconds:.1f} s; it says it lasts {song.declared_sec:.1f} s")


def refuse_cut_early(path: Path, song: OpenSong) -> None:
    """Raise AudioTruncated as far as a cut shows without decoding. Where bytes do not tell, all packets are read."""
    import av

    refuse_cut_by_layout(path, song)
    if not song.formats & (_COUNTED | _GAPLESS):
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
        self._rate: int = song.stream.codec_context.sample_rate or SAMPLE_RATE
        self._broken = False
        self._late_damage = 0
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

        packets, errors, read_before = self._packets(), 0, -1
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                errors = errors + 1 if self.packets == read_before else 0
                if not errors:
                    self._note_damage()  # however many errors a hole has
                self._broken = errors > _LONGEST_HOLE or len(self._song.layout.links) > 1 or self._song.layout.rest_bytes > 0
                if self._broken:
                    # The container itself is broken from here on; what the length check makes of it is said there.
                    return
                packets, read_before = self._packets(), self.packets  # it may go on after a hole
                continue
            self.packets += 1
            self._last.see(packet)
            self._clock.see(packet)
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                if self._clock.lost(packet):
                    self._note_damage()
                    self._last.failed = True
                continue
            self._clock.decoded(packet)
            for frame in frames:
                if gap := self._clock.before(frame):
                    yield _Gap(gap)
                yield frame

    def _note_damage(self) -> None:
        self.damaged += 1
        if self._song.declared_sec is not None and self.seconds > self._song.declared_sec - padding_sec(self._rate):
            self._late_damage += 1

    def _packets(self) -> Iterator[Any]:
        """Packets of the track.

        Of a chain, each link is read as a file of its own: FFmpeg stops where the rate or the channels change. So is an Ogg that something
        else follows.
        """
        import av

        layout = self._song.layout
        if len(layout.links) == 1 and not layout.rest_bytes:
            yield from self._song.container.demux(self._song.stream)
            return
        for begins, ends in pairwise((*layout.links, layout.file_bytes - layout.rest_bytes)):
            with FilePart(self._path, begins, ends) as part, av.open(part, "r", metadata_errors="surrogateescape") as container:
                tracks = container.streams.audio
                if tracks:
                    stream: Any = tracks[min(self._song.track.number, len(tracks)) - 1]
                    stream.thread_type = "NONE"
                    yield from container.demux(stream)

    def refuse_remains(self) -> None:
        """Raise AudioTruncated where what could be decoded is what damage has left of a longer sound."""
        if falls_short(self.seconds, self._song.declared_sec) or self._song.layout.foreign_share > _DAMAGE_SHARE:
            raise AudioTruncated(f"{self._path} is damaged: only {self.seconds:.2f} s of it can be decoded")

    def _refuse_damage(self) -> None:
        declared = self._song.declared_sec
        if declared is not None and self.seconds < declared + _SHORTFALL_SEC:  # the song is whole: what follows it is none of it
            self.damaged -= self.damaged if self.seconds > declared - _LOST_SEC and not self.gaps else self._late_damage
        if self.frames == 0:
            raise AudioNotAudio(f"{self._path} holds no sound that can be decoded")
        try:
            refuse_cut_by_layout(self._path, self._song)
            refuse_cut_by_packets(self._path, self._song, self.seconds, self._last, self._broken)
            filled = sum(length for _, length in self.gaps) if self._song.formats & _GAPLESS else 0.0
            share = max(filled / self.seconds, self._song.layout.foreign_share)
            if share > _DAMAGE_SHARE and share * self.seconds > (_PAGES_SEC if "ogg" in self._song.formats else _DAMAGE_SEC):
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
        #: FFmpeg counts the places of ADTS frames by their lengths, and does not count what it skips.
        self._counts_places = "aac" in song.formats
        self._counts_samples = "flac" in song.formats
        self._place: int | None = None
        self._end: int | None = None
        self._bytes = self._seen = 0

    def see(self, packet: Any) -> None:
        """A packet, before it is decoded: bytes between it and the one before were packets once."""
        if not self._end_to_end or packet.pos is None or not packet.size:
            return
        self._place = packet.pos
        if self._counts_places and self._end is not None:
            found = find_bytes(self._path, self._end, bytes(packet)[:_RECOGNIZED_BYTES])
            self._place = self._end if found is None else found
        if self._end is not None and self._place > self._end:
            self._owe(packet, self._end, self._place - self._end)
        self._end = self._place + packet.size

    def decoded(self, packet: Any) -> None:
        """A packet that could be decoded."""
        self._bytes += packet.size
        self._seen += 1

    def lost(self, packet: Any) -> bool:
        """Whether a packet that could not be decoded was sound. Where frames lie end to end, it may hold what was many, or tags."""
        self._was_lost = True
        if self._clocked or self._expected is None:
            return True
        return self._owe(packet, self._place, packet.size)

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
        # FLAC counts samples, in whatever unit FFmpeg takes them for where it did not find the header.
        now = float(frame.pts / frame.sample_rate if self._counts_samples else frame.pts * frame.time_base)
        if self._expected is None:
            self.begins = self._expected = now
        gap = now + self._shift - self._expected
        least = _LOST_SEC if self._was_lost or self._counts_samples else _GAP_SEC
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
