"""The formats in which sound is written for people: stems, a click track, the tones of a map over its song."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class SoundFormat(StrEnum):
    """Of integers with 16 or 24 bits, of 32-bit floats, or lossy. FLAC is as exact as a WAV file of as many bits."""

    flac16 = "flac16"
    flac24 = "flac24"
    wav16 = "wav16"
    wav24 = "wav24"
    wav_float = "wav-float"
    mp3 = "mp3"
    opus = "opus"

    @property
    def ending(self) -> str:
        """The ending of a file's name, without its dot."""
        return "flac" if self.name.startswith("flac") else "wav" if self.name.startswith("wav") else self.value

    @property
    def media_type(self) -> str:
        return {"flac": "audio/flac", "wav": "audio/wav", "mp3": "audio/mpeg", "opus": "audio/ogg"}[self.ending]


#: What nobody hears a difference in, at a fifth of the size of 32-bit floats. tasks/packager/README.md has the figures.
USUAL_FORMAT: Final = SoundFormat.flac16
