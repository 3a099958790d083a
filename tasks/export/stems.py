"""The stems of a song as files, in the format that was asked for.

What is separated may exceed full scale, which only floats hold: in other formats all stems of a song are made quieter by one gain, so that
none is cut off, and they still add up to the song.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from schemas.sound_format import SoundFormat
from tasks.common import audio_forms
from tasks.common.errors import ExportNeedsSound
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.sound import told_if_damaged


def files(song: Song, options: ExportOptions) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each stem, one at a time: `vocals.flac`. One in the format already is copied. Raises ExportNeedsSound."""
    if not song.map.stems:
        raise ExportNeedsSound("The song has no stems")
    paths = {stem.name: song.stem(stem.name) for stem in song.map.stems}
    with told_if_damaged():
        gain_db = 0.0 if options.sound_format is SoundFormat.wav_float else audio_forms.common_gain_db(paths.values())
    for name, path in paths.items():
        target = io.BytesIO()
        with told_if_damaged():
            audio_forms.encode(path, target, options.sound_format, gain_db)
        yield f"{name}.{options.sound_format.ending}", target.getvalue()
