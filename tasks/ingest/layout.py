"""How a file is laid out in bytes: whether it ends before its own index says, and what of it belongs to nothing. Nothing is decoded.

Formats: RIFF, RF64 (EBU Tech 3306) and BW64 (ITU-R BS.2088), Wave64, AIFF, CAF, AU, ASF, ISO base media (ISO 14496-12), Matroska (RFC
9559), Ogg (RFC 3533), FLAC (RFC 9639), MPEG audio (ISO 11172-3, 13818-3, ADTS of 13818-7). Of any other, nothing is known here.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

#: Chunks or boxes of a file that are looked at.
_MOST_CHUNKS: Final = 1000
_MATROSKA_SEGMENT: Final = 0x18538067
_OGG_PAGE: Final = b"OggS"
_BITS_TURNED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
#: Sizes that say that the writer did not know; some are less or more by what headers there are.
_UNKNOWN_SIZES: Final = (0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HEADERS: Final = 128
#: Of 64 bits.
_LARGEST_SIZE: Final = 1 << 62
_ASF_HEADER: Final = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
_ASF_PROPERTIES: Final = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
_ASF_DATA: Final = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")
_TAG: Final = re.compile(rb"ID3[\x02-\x04][\x00-\x10]|TAG|APETAGEX", re.DOTALL)
#: A frame without sound that counts those of the file: the mark stands behind the side information.
_COUNTING_FRAME: Final = re.compile(rb"\xff[\xe2-\xfb].{2}.{9,34}(?:Xing|Info)", re.DOTALL)
#: Bytes of the head of an MPEG audio or ADTS frame.
_FRAME_HEAD: Final = 7
#: ISO 11172-3 and 13818-3: kbit/s by version (1, else 2 and 2.5) and layer, and Hz by version.
_KBITS: Final = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True)
class Layout:
    """missing_bytes: by how much the file ends too early, by its own index. indexed_bytes: how many the index speaks of.

    inside: whether it ends inside a page, whatever the index says. foreign_bytes: that belong to nothing, or to a page whose checksum
    fails. links: where streams that lie end to end begin. rest_bytes: after the end of the last.
    """

    missing_bytes: int = 0
    indexed_bytes: int = 0
    inside: bool = False
    foreign_bytes: int = 0
    file_bytes: int = 0
    links: tuple[int, ...] = (0,)
    rest_bytes: int = 0

    @property
    def missing_share(self) -> float:
        return self.missing_bytes / self.indexed_bytes if self.indexed_bytes else 0.0

    @property
    def foreign_share(self) -> float:
        return self.foreign_bytes / self.file_bytes if self.file_bytes else 0.0


def layout_of(path: Path, format_names: set[str]) -> Layout:
    """The layout of a file of one of these formats (FFmpeg's names)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if "ogg" in format_names:
            return _ogg(file, size)
        if "wav" in format_names:
            return _cut(wav_data(file), size)
        if "aiff" in format_names:
            return _cut(_aiff_data(file), size)
        if "mov" in format_names:
            return _cut(_last_box(file, size), size)
        if format_names & {"au", "caf", "w64"}:
            return _cut(_long_data(file), size)
        if "asf" in format_names:
            return _cut(_asf_data(file), size)
        if "matroska" in format_names:
            return _cut(_segment(file), size)
        if "mp3" in format_names:
            return _cut(_xing_bytes(file), size)
    return Layout(file_bytes=size)


def _cut(part: tuple[int, int] | None, size: int) -> Layout:
    """part: where the part of the file with the sound begins, and its bytes by the index; None where the file does not say."""
    if part is None:
        return Layout(file_bytes=size)
    begins, length = part
    return Layout(missing_bytes=max(0, begins + length - size), indexed_bytes=length, file_bytes=size)


# --- RIFF, AIFF --------------------------------------------------------------------------------------------------------------------------


def is_placeholder(size: int) -> bool:
    """Whether a size of 32 bits is what writers put there who cannot go back: sox, espeak, arecord and FFmpeg into a pipe."""
    return size == 0 or any(abs(size - unknown) <= _HEADERS for unknown in _UNKNOWN_SIZES)


def riff_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content begins, bytes) of each chunk of a RIFF or RF64 file."""
    yield from _chunks(file, "little")


def wav_data(file: BinaryIO) -> tuple[int, int] | None:
    """Where the samples of a WAV file begin, and how many bytes it says they are; None where the writer did not know."""
    long_size = 0
    for name, begins, size in riff_chunks(file):
        if name == b"ds64":  # sizes that do not fit into 32 bits
            file.seek(begins + 8)
            long_size = int.from_bytes(file.read(8), "little")
        if name == b"data":
            if long_size and size == 0xFFFFFFFF:
                return (begins, long_size) if long_size < _LARGEST_SIZE else None
            return None if is_placeholder(size) else (begins, size)
    return None


def _aiff_data(file: BinaryIO) -> tuple[int, int] | None:
    for name, begins, size in _chunks(file, "big"):
        if name == b"SSND":
            return None if is_placeholder(size) else (begins, size)
    return None


def _long_data(file: BinaryIO) -> tuple[int, int] | None:
    """Where the samples of an AU, CAF or Wave64 file begin, and how many bytes it says they are; None where the writer did not know."""
    head = file.read(40)
    if head[:4] == b".snd":
        size = int.from_bytes(head[8:12], "big")
        return None if size == 0xFFFFFFFF else (int.from_bytes(head[4:8], "big"), size)
    is_caf = head[:4] == b"caff"
    place, name_bytes, own_bytes = (8, 4, 0) if is_caf else (40, 16, 24)  # a Wave64's sizes count their chunk's head too
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(name_bytes + 8)
        if len(head) < name_bytes + 8:
            break
        size = int.from_bytes(head[name_bytes:], "big" if is_caf else "little") - own_bytes
        if head[:4] == b"data":
            return (place + len(head), size) if 0 < size < _LARGEST_SIZE else None
        place += len(head) + size + (0 if is_caf else -size % 8)
    return None


def _chunks(file: BinaryIO, order: str) -> Iterator[tuple[bytes, int, int]]:
    place = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], "little" if order == "little" else "big")
        yield head[:4], place + 8, size
        place += 8 + size + size % 2


# --- ASF ---------------------------------------------------------------------------------------------------------------------------------


def asf_duration_sec(file: BinaryIO) -> float | None:
    """Length (s) by the header of an ASF file (Advanced Systems Format 01.20.05, section 3.2); None in a live recording."""
    for name, begins, size in _asf_objects(file):
        if name == _ASF_PROPERTIES and size >= 80:
            file.seek(begins + 40)
            content = file.read(40)
            play, preroll, flags = (int.from_bytes(content[at : at + size], "little") for at, size in ((0, 8), (16, 8), (24, 4)))
            return None if flags & 1 or not play else max(0.0, play / 1e7 - preroll / 1e3)
    return None


def _asf_data(file: BinaryIO) -> tuple[int, int] | None:
    for name, begins, size in _asf_objects(file):
        if name == _ASF_DATA:  # a live recording has the size of the head of this object alone, or none
            return (begins - 24, size + 24) if 26 < size < _LARGEST_SIZE else None
    return None


def _asf_objects(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(GUID, where its content begins, bytes) of the objects of an ASF file: those within the header, and those after it."""
    file.seek(0)
    head = file.read(30)
    if head[:16] != _ASF_HEADER:
        return
    place = 30
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(24)
        size = int.from_bytes(head[16:24], "little")
        if len(head) < 24 or size < 24:
            return
        yield head[:16], place + 24, size - 24
        place += size


# --- ISO base media, Matroska ------------------------------------------------------------------------------------------------------------


def _last_box(file: BinaryIO, size: int) -> tuple[int, int] | None:
    """All bytes up to the end of the last box, as where they begin and how many; None where it is no box that MP4 files end with."""
    place, last = 0, None
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: up to the end of the file; anything else is none
            return None
        last = (0, place + length) if head[4:8] in (b"mdat", b"moov", b"moof", b"mfra") else None
        place += length
    return last


def _segment(file: BinaryIO) -> tuple[int, int] | None:
    """Where the content of a Matroska file begins, and its bytes; None in a live recording."""
    file.seek(0)
    for _ in range(2):  # the EBML header, then the segment
        name, _ = _ebml_number(file, keep_mark=True)
        size, unknown = _ebml_number(file, keep_mark=False)
        if name == _MATROSKA_SEGMENT:
            return None if unknown else (file.tell(), size)
        file.seek(size, os.SEEK_CUR)
    return None


def _ebml_number(file: BinaryIO, keep_mark: bool) -> tuple[int, bool]:
    """A number of variable length, and whether all its bits are set, which says that a size is not known (RFC 8794, section 4)."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, True
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big")
    bits = 7 * length
    content = value & ((1 << bits) - 1)
    return (value if keep_mark else content), content == (1 << bits) - 1


# --- Ogg ---------------------------------------------------------------------------------------------------------------------------------


def _ogg(file: BinaryIO, size: int) -> Layout:
    place = foreign = rest = 0
    links: list[int] = []
    in_headers, inside, ended = False, True, True
    while place < size:
        file.seek(place)
        head = file.read(27)
        if not head.startswith(_OGG_PAGE):
            found = _find(file, place + 1, _OGG_PAGE)
            skipped = (size if found is None else found) - place
            if found is None and ended:
                rest = skipped
            elif links:  # what comes before the first page is no sound
                foreign += skipped
            if found is None:
                break
            place = found
            continue
        table = file.read(head[26]) if len(head) == 27 else b""
        length = 27 + len(table) + sum(table)
        inside = len(head) < 27 or len(table) < head[26] or place + length > size
        if inside:
            break
        if not _is_whole_page(head + table + file.read(sum(table))):
            foreign += length
        begins_stream, ended = bool(head[5] & 2), bool(head[5] & 4)
        if begins_stream and not in_headers:  # several streams that begin together are one link
            links.append(place)
        in_headers = begins_stream
        place += length
    return Layout(inside=inside, foreign_bytes=foreign, file_bytes=size, links=tuple(links) or (0,), rest_bytes=rest)


def _is_whole_page(page: bytes) -> bool:
    """Whether a page's checksum holds: CRC-32 with the polynomial 0x04C11DB7, which is zlib's with the bits of all bytes turned round."""
    turned = (page[:22] + bytes(4) + page[26:]).translate(_BITS_TURNED)
    crc = zlib.crc32(turned, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2) == int.from_bytes(page[22:26], "little")


class FilePart(io.RawIOBase):
    """Some bytes of a file as a file of their own, such as one link of a chain."""

    def __init__(self, path: Path, begins: int, ends: int):
        super().__init__()
        self._file = path.open("rb")
        self._begins = begins
        self._length = ends - begins
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell() - self._begins

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._length}[whence]
        self._file.seek(self._begins + start + offset)
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self.tell())
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def close(self) -> None:
        self._file.close()
        super().close()


def find_bytes(path: Path, place: int, wanted: bytes) -> int | None:
    """Where some bytes are next in a file, from a place on."""
    with path.open("rb") as file:
        return _find(file, place, wanted, chunk_bytes=1 << 10)


def _find(file: BinaryIO, place: int, wanted: bytes, chunk_bytes: int = 1 << 16) -> int | None:
    kept = b""
    file.seek(place)
    while chunk := file.read(chunk_bytes):
        at = (kept + chunk).find(wanted)
        if at >= 0:
            return place - len(kept) + at
        place += len(chunk)
        kept = (kept + chunk)[1 - len(wanted) :]
    return None


# --- FLAC, MPEG audio --------------------------------------------------------------------------------------------------------------------


def is_whole_flac_frame(frame: bytes) -> bool:
    """Whether a frame's checksum holds (CRC-16, polynomial 0x8005; RFC 9639, section 9.3). Tags may follow it."""
    crc = 0
    if (tag := _TAG.search(frame)) is not None:
        frame = frame[: tag.start()]
    table = _crc16_table()
    for byte in frame:
        crc = ((crc << 8) & 0xFFFF) ^ table[(crc >> 8) ^ byte]
    return crc == 0


def ends_inside_mpeg_frame(path: Path, place: int, like: bytes) -> bool:
    """Whether the file ends inside the MPEG audio or ADTS frame at this place, or the next. like: the head of one of its frames."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for _ in range(2):
            file.seek(place)
            head = file.read(_FRAME_HEAD)
            if len(head) < _FRAME_HEAD:
                return len(head) >= 2 and head[0] == 0xFF and head[1] & 0xFE == like[1] & 0xFE
            length = mpeg_frame_bytes(head)
            if length is None or not _are_alike(head, like):
                return False
            place += length
            if place > size:
                return True
    return False


def _are_alike(head: bytes, other: bytes) -> bool:
    """Whether two frames are of one stream: version, layer and sample rate."""
    return head[1] & 0xFE == other[1] & 0xFE and head[2] & 0x0C == other[2] & 0x0C


def tags_in(path: Path, place: int, size: int) -> list[tuple[int, int]]:
    """(start, end) of what is no sound among the bytes between MPEG audio frames: ID3 and APE tags, and frames that count the others.

    A tag may end after these bytes.
    """
    with path.open("rb") as file:
        file.seek(place)
        junk = file.read(size)
    found: list[tuple[int, int]] = []
    at = 0
    while (match := _first(_TAG.search(junk, at), _COUNTING_FRAME.search(junk, at))) is not None:
        at, head = match.start(), junk[match.start() : match.start() + 32]
        if head[:1] == b"\xff":
            length = mpeg_frame_bytes(head) or 4
        elif head[:3] == b"ID3" and len(head) >= 10:
            length = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
        elif head[:3] == b"APE" and len(head) >= 24:  # a header, 32 bytes, tells what follows it; a footer has been counted there
            length = 32 + (int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 0)
        else:
            length = 128
        found.append((place + at, place + at + length))
        at += length
    return found


def _first(*matches: re.Match[bytes] | None) -> re.Match[bytes] | None:
    return min((match for match in matches if match), key=lambda match: match.start(), default=None)


def mpeg_frame_bytes(head: bytes) -> int | None:
    """Length of an MPEG audio or ADTS frame by its header (7 bytes); None where it is none, or does not say."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return ((head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5) or None if len(head) >= _FRAME_HEAD else None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, hertz, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or rate in (0, 15) or hertz == 3:
        return None
    kbits = _KBITS[version == 3, layer][rate - 1]
    if layer == 1:
        return (12000 * kbits // _HERTZ[version][hertz] + padding) * 4
    return (144000 if layer == 2 or version == 3 else 72000) * kbits // _HERTZ[version][hertz] + padding


def xing_header(file: BinaryIO) -> tuple[int, int | None, int | None]:
    """Of an MP3: where its first frame is sought, and the frames and bytes that a Xing, Info or VBRI header counts (None: it does not)."""
    file.seek(0)
    head = file.read(10)
    begins = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) if head[:3] == b"ID3" and len(head) == 10 else 0
    file.seek(begins)
    first = file.read(8192)
    for mark in (b"Xing", b"Info"):
        at = first.find(mark)
        if at >= 0 and first[at + 7 : at + 8]:
            fields, flags = iter(range(at + 8, at + 16, 4)), first[at + 7]
            frames, size = (int.from_bytes(first[(f := next(fields)) : f + 4], "big") if flags & bit else None for bit in (1, 2))
            return begins, frames or None, size or None
    at = first.find(b"VBRI")
    if at >= 0:
        return begins, int.from_bytes(first[at + 14 : at + 18], "big"), int.from_bytes(first[at + 10 : at + 14], "big") or None
    return begins, None, None


def _xing_bytes(file: BinaryIO) -> tuple[int, int] | None:
    begins, _, size = xing_header(file)
    return None if size is None else (begins, size)


@cache
def _crc16_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x8005 if crc & 0x8000 else crc << 1) & 0xFFFF
        table.append(crc)
    return tuple(table)
