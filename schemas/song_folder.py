"""The names of the files in a song's folder: what the packager writes, and everybody else looks for."""

from __future__ import annotations

from typing import Final

from schemas.sound_format import SoundFormat

MAP_NAME: Final = "song_map.json"
#: Where persons put something right: what they said, and the map as the analysis has it. Where they put the beats right, also the chords as
#: they were heard, which are set on those beats.
CORRECTIONS_NAME: Final = "corrections.json"
MACHINE_MAP_NAME: Final = "machine_map.json"
HEARD_CHORDS_NAME: Final = "heard_chords.json"
TIMELINE_NAME: Final = "timeline.svg"
STEMS_FOLDER: Final = "stems"
#: What exports were when they were written, beside them: so that nobody's own changes are written over.
EXPORTS_NAME: Final = ".exports.json"
#: In place of the map, where it would be invalid: what each step found, and what is wrong, for people and for programs.
INVALID_FOLDER: Final = "invalid"
PROBLEMS_NAME: Final = "problems.txt"
REPORT_NAME: Final = "report.json"


def stem_path(name: str, sound_format: SoundFormat = SoundFormat.wav_float) -> str:
    """A stem's path in the song's folder."""
    return f"{STEMS_FOLDER}/{name}.{sound_format.ending}"


def result_name(step: str) -> str:
    """A step's result in the folder of an invalid map."""
    return f"{step}.json"
