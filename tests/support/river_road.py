"""A song of a minute as the analysis would have it: 4/4 at 120 bpm, four chords that repeat, four sections, twelve lines of words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tasks.common.harmony import harte

EXAMPLE = Path(__file__).parents[1] / "unit" / "packager" / "golden" / "song_map.json"
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
