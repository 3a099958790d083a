"""JAMS (Humphrey et al., "JAMS: a JSON annotated music specification", ISMIR 2014), version 0.3: the map as annotations, with provenance.

| namespace | what |
| --- | --- |
| beat, beat_position | beats: position in the bar; with bar and meter |
| tempo, key_mode, chord | tempo (bpm), keys, chords in Harte's syntax |
| segment_open | sections |
| lyrics | lines, and words: two annotations, told apart by `sandbox.level` |
| note_midi | melody, bass and harmony, told apart by `sandbox.part`; pitches with cents |

Each annotation says the engine, its models and its warnings. What the song lacks is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from schemas.song_map import Note, SongMap, StepStatus
from tasks.export.beat_positions import beat_positions
from tasks.export.lines import words_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song

_VERSION: Final = "0.3.5"
#: Those of the namespace `beat_position`.
_BEAT_UNITS: Final = (1, 2, 4, 8, 16)

Observation = dict[str, Any]


def write(song: Song, options: ExportOptions) -> bytes:
    """One JSON document, UTF-8."""
    song_map = song.map
    tags = song_map.source.tags
    document = {
        "annotations": list(_annotations(song_map)),
        "file_metadata": {
            "title": song_map.title,
            "artist": song.artist or "",
            "release": tags.album or "",
            "duration": song_map.duration_sec,
            "identifiers": {"performia": song_map.id},
            "jams_version": _VERSION,
        },
        "sandbox": {
            "performia": song_map.provenance.model_dump(mode="json"),
            "source": {name: getattr(song_map.source, name) for name in ("file_name", "file_sha256", "audio_sha256", "start_sec")},
            "transposed_semitones": options.transpose,
            "status": song_map.status,
        },
    }
    return (json.dumps(document, ensure_ascii=False) + "\n").encode()


def _annotations(song_map: SongMap) -> Iterator[dict[str, Any]]:
    steps, performance = song_map.steps, song_map.performance
    beats = beat_positions(song_map)
    words = [word for line in song_map.lyrics for word in words_of(line)]
    bpm = song_map.tempo.bpm_global
    tempo = [] if bpm is None else [_seen(0.0, song_map.duration_sec, bpm, song_map.tempo.confidence)]
    positions = [
        _seen(
            beat.time,
            beat.time,
            {"position": beat.position, "measure": beat.bar, "num_beats": beat.beats, "beat_units": beat.denominator},
            beat.conf,
        )
        for beat in beats
        if beat.denominator in _BEAT_UNITS
    ]
    found: tuple[tuple[str, StepStatus, dict[str, str], list[Observation]], ...] = (
        ("beat", steps.beats_key, {}, [_seen(beat.time, beat.time, beat.position, beat.conf) for beat in beats]),
        ("beat_position", steps.beats_key, {}, positions),
        ("tempo", steps.beats_key, {}, tempo),
        ("key_mode", steps.beats_key, {}, [_seen(key.start, key.end, f"{key.tonic}:{key.mode}", key.conf) for key in song_map.key]),
        ("chord", steps.chords, {}, [_seen(chord.start, chord.end, chord.label, chord.conf) for chord in song_map.chords]),
        ("segment_open", steps.structure, {}, [_seen(part.start, part.end, part.label, part.conf) for part in song_map.sections]),
        ("lyrics", steps.asr, {"level": "line"}, [_seen(line.start, line.end, line.text, line.conf) for line in song_map.lyrics]),
        ("lyrics", steps.asr, {"level": "word"}, [_seen(word.start, word.end, word.text, word.conf) for word in words]),
        ("note_midi", steps.melody, {"part": "melody"}, _notes(performance.melody)),
        ("note_midi", steps.bass, {"part": "bass"}, _notes(performance.bass)),
        ("note_midi", steps.melody, {"part": "harmony"}, _notes(performance.harmony)),
    )
    for namespace, step, sandbox, data in found:
        if data:
            yield _annotation(song_map, namespace, step, sandbox, data)


def _annotation(song_map: SongMap, namespace: str, step: StepStatus, sandbox: dict[str, str], data: list[Observation]) -> dict[str, Any]:
    engine = step.engine or "unknown"
    return {
        "namespace": namespace,
        "data": data,
        "annotation_metadata": {
            "curator": {"name": "", "email": ""},
            "annotator": {"engine": engine, "models": [model.model_dump(mode="json") for model in step.models]},
            "version": song_map.provenance.performia,
            "corpus": "",
            "annotation_tools": f"Performia {song_map.provenance.performia}, {engine}",
            "annotation_rules": "",
            "validation": "",
            "data_source": "program",
        },
        "sandbox": {**sandbox, "warnings": list(step.warnings)},
        "time": 0,
        "duration": song_map.duration_sec,
    }


def _notes(notes: Sequence[Note]) -> list[Observation]:
    return [_seen(note.start, note.end, round(note.midi + note.cents / 100, 4), note.conf) for note in notes]


def _seen(start: float, end: float, value: Any, confidence: float | None) -> Observation:
    return {"time": start, "duration": round(end - start, 6), "value": value, "confidence": confidence}
