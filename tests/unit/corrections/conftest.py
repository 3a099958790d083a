"""A song of a minute as the analysis would have it: 4/4 at 120 bpm, four chords that repeat, four sections, twelve lines of words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.common.harmony import harte
from tasks.corrections.apply import Correcting, apply
from tasks.corrections.log import with_changes

EXAMPLE = Path(__file__).parents[1] / "packager" / "golden" / "song_map.json"
DURATION = 64.0
BEAT = 0.5
#: A bar each.
PROGRESSION = ("A:min", "F:maj", "C:maj", "G:maj")
LINES = (
    "walking down the river road",
    "nobody knows where it goes",
    "hear the water singing low",
    "carry me along the stones",
)
SECTIONS = ((0.0, "intro"), (8.0, "verse"), (24.0, "chorus"), (40.0, "verse"), (56.0, "outro"))


def chord(start: float, end: float, label: str, first: int, last: int) -> dict[str, Any]:
    parts = harte.parse(label)
    assert parts is not None
    named = {"display": parts.display, "root": parts.root, "quality": parts.quality, "bass": parts.bass_note}
    return {"start": start, "end": end, "label": label, "conf": 0.8, **named, "start_beat": first, "end_beat": last, "alternatives": []}


def document() -> dict[str, Any]:
    """The song's map as JSON."""
    made: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    beats = [round(0.0 + BEAT * index, 6) for index in range(128)]
    downbeats = beats[::4]
    labels = PROGRESSION * 8
    made |= {
        "title": "River Road",
        "duration_sec": DURATION,
        "tempo": {"bpm_global": 120.0, "curve": [[0.0, 120.0]], "confidence": 0.9, "candidates": [{"bpm": 120.0, "weight": 0.9}]},
        "meter": {
            "numerator": 4,
            "denominator": 4,
            "conf": 0.9,
            "changes": [{"start": 0.0, "end": DURATION, "numerator": 4, "denominator": 4, "conf": 0.9}],
        },
        "beats": beats,
        "downbeats": downbeats,
        "beat_conf": [0.9] * len(beats),
        "bars": [{"start": 2.0 * bar, "end": 2.0 * bar + 2, "first_beat": 4 * bar, "beats": 4} for bar in range(32)],
        "key": [{"start": 0.0, "end": DURATION, "tonic": "A", "mode": "minor", "conf": 0.8}],
        "chords": [chord(2.0 * bar, 2.0 * bar + 2, label, 4 * bar, 4 * bar + 4) for bar, label in enumerate(labels)],
        "sections": [
            {
                "start": start,
                "end": end,
                "label": label,
                "index": [name for _, name in SECTIONS[: k + 1]].count(label),
                "group": group,
                "conf": 0.7,
            }
            for k, ((start, label), end, group) in enumerate(
                zip(SECTIONS, [start for start, _ in SECTIONS[1:]] + [DURATION], "ABCBD", strict=True)
            )
        ],
        "levels": {"coarse": [], "fine": [], "repeats": [{"group": "B", "sections": [1, 3]}]},
        "lyrics": [],
        "voice": made["voice"] | {"activity": [[8.0, 56.0]]},
    }
    melody = []
    for number in range(12):
        words = LINES[number % 4].split()
        start = 8.0 + 4.0 * number
        spans = [(round(start + 0.6 * k, 6), round(start + 0.6 * k + 0.5, 6)) for k in range(len(words))]
        heard = [{"start": a, "end": b, "text": word, "conf": 0.8, "syllables": []} for word, (a, b) in zip(words, spans, strict=True)]
        made["lyrics"].append({"start": spans[0][0], "end": spans[-1][1], "text": LINES[number % 4], "conf": 0.8, "words": heard})
        melody += [
            {"start": a, "end": b, "midi": 60 + (k * 2 + number) % 12, "conf": 0.7, "cents": 0.0, "bends": []}
            for k, (a, b) in enumerate(spans)
        ]
    bass = [
        {"start": 2.0 * bar, "end": 2.0 * bar + 1.5, "midi": 33 + (bar % 4) * 2, "conf": 0.7, "cents": 0.0, "bends": []}
        for bar in range(32)
    ]
    pitches = {"melody": [note["midi"] for note in melody], "bass": [note["midi"] for note in bass]}
    facts = {
        part: {"lowest_midi": min(found), "highest_midi": max(found), "polyphonic": False, "polyphonic_share": 0.0}
        for part, found in pitches.items()
    }
    made["performance"] = {"melody": melody, "bass": bass, "harmony": [], "parts": facts}
    return made


@pytest.fixture
def song_map() -> SongMap:
    """As the analysis has it."""
    return SongMap.from_json(json.dumps(document()))


@pytest.fixture
def log_of() -> Callable[..., c.Corrections]:
    """log_of(song_map, change, ...): a log with these changes."""

    def made(song_map: SongMap, *changes: c.Change) -> c.Corrections:
        return with_changes(c.Corrections(song=song_map.id), song_map, [(change, None) for change in changes], "Ann")

    return made


@pytest.fixture
def correct(log_of: Callable[..., c.Corrections]) -> Callable[..., Correcting]:
    """correct(song_map, change, ..., on=None): what becomes of changes that were made on a map, in it or in another one."""

    def corrected(song_map: SongMap, *changes: c.Change, on: SongMap | None = None) -> Correcting:
        return apply(song_map, log_of(on or song_map, *changes).operations)

    return corrected
