"""A first look at a file that somebody sent: can it be analysed at all? It is decoded until something sounds, and no further."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.options import Reading
from tasks.common.errors import AudioError, AudioNotAudio, AudioSilent, AudioTooShort
from tasks.common.progress import silent
from tasks.common.settings import Settings
from tasks.ingest.checks import refuse_early, too_long
from tasks.ingest.container import opened
from tasks.ingest.decode_audio import Decoder

#: A song whose largest sample is below this is silent (-80 dBFS), as for the step.
_SILENCE_PEAK = 1e-4
#: How files begin whose sound may lie anywhere behind a picture, tags or an index.
_KNOWN_BEGINNINGS = (b"ID3", b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"\x1aE\xdf\xa3", b"0&\xb2u")


@dataclass(frozen=True)
class FirstLook:
    """duration_sec: what the file says; None where it does not. sound: what stands for the sound as it is encoded, whatever the tags."""

    duration_sec: float | None
    sound: str


def look_into(path: Path, settings: Settings, reading: Reading = Reading()) -> FirstLook:  # noqa: B008 (frozen)
    """Raise the AudioError of a file that cannot be analysed, as far as that shows before its first sound; else say what it is."""
    refuse_early(path, settings, reading)
    with opened(path, reading.track) as song:
        declared = song.declared_sec
        decoder = Decoder(song, path, silent, reading.accept_damaged)
        sounds = False
        for block in decoder:
            sounds = sounds or bool(np.abs(block).max(initial=0.0) >= _SILENCE_PEAK)
            if decoder.seconds > settings.max_duration_sec:
                raise too_long(path, decoder.seconds, settings)
            if sounds and decoder.seconds >= settings.min_duration_sec:
                break
        else:
            if decoder.seconds < settings.min_duration_sec:
                raise AudioTooShort(f"{path} lasts {decoder.seconds:.2f} s; the least is {settings.min_duration_sec:g} s")
            if not sounds:
                raise AudioSilent(f"{path} is silent")
    return FirstLook(declared, _sound_of(path, reading.track))


def refuse_beginning(path: Path, settings: Settings) -> None:
    """Raise AudioNotAudio or AudioTooLong where the beginning of a file, of which more is to come, says so already."""
    with path.open("rb") as file:
        beginning = file.read(12)
    try:
        with opened(path) as song:
            if song.declared_sec is not None and song.declared_sec > settings.max_duration_sec and not song.layout.missing_share:
                raise too_long(path, song.declared_sec, settings)
    except AudioNotAudio:
        if beginning[4:8] != b"ftyp" and not beginning.startswith(_KNOWN_BEGINNINGS):
            raise
    except AudioError as error:
        if error.code == "AUDIO_TOO_LONG":
            raise


def _sound_of(path: Path, track: int | None) -> str:
    """Hash of the packets of a file's sound: copies with other tags have the same."""
    digest = hashlib.sha256()
    with opened(path, track) as song:
        digest.update(song.stream.codec_context.extradata or b"")
        for packet in song.container.demux(song.stream):
            if packet.size:
                digest.update(memoryview(packet))
    return digest.hexdigest()
