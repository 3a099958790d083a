"""A small song as the steps would find it, with every field of every result in use: 16 seconds, 4/4 with one bar of 3/4, 120 bpm."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import results as r
from schemas.options import AnalysisOptions
from schemas.sound_format import SoundFormat
from schemas.steps import StepName
from tasks.packager.join import join_song_map
from tasks.packager.step_results import ResultOrError

GOLDEN = Path(__file__).parent / "golden" / "song_map.json"
RUN = "11111111-2222-3333-4444-555555555555"
SONG_ID = "0123456789abcdef"
DURATION = 16.0
#: One beat of pickup, three bars of four, one of three, four of four, then a single beat.
POSITIONS = [4, *(1, 2, 3, 4) * 3, 1, 2, 3, *(1, 2, 3, 4) * 3, 1, 2, 3]


def report(step: StepName, **fields: Any) -> r.StepReport:
    models = (r.ModelUse(name=f"{step}-model", digest="d" * 64, licence="MIT"),)
    return r.StepReport(**{"step": step, "engine": f"{step}-engine", "models": models, "seconds": 1.25, "flow_run": RUN} | fields)


def make_source() -> r.SongSource:
    audio = r.AudioRef(sha256=SONG_ID + "0" * 48, sample_rate=44100, channels=2, frames=705600)
    return r.SongSource(
        report=report("ingest", models=(), engine="PyAV"),
        song_id=SONG_ID,
        audio=audio,
        duration_sec=DURATION,
        tags=r.Tags(
            title="Ünsere Straße",
            artist="The [Band]",
            album="One",
            date="2024",
            genre="Pop",
            track="3/9",
            comment="live | raw",
            licence="CC BY 4.0",
        ),
        loudness=r.Loudness(integrated_lufs=-14.2, peak_dbfs=-0.5),
        file_sha256="f" * 64,
        file_bytes=123456,
        container="mp3",
        codec="mp3float",
        decoder="PyAV 14.0",
        original_sample_rate=48000,
        original_channels=1,
    )


def make_stems() -> r.StemSet:
    refs = {
        name: r.AudioRef(sha256=digit * 64, sample_rate=44100, channels=2, frames=705600)
        for name, digit in zip(("vocals", "drums", "bass", "other", "instrumental"), "abcde", strict=True)
    }
    return r.StemSet(report=report("separation", device="cuda:0"), residual_db=-123.456, **refs)


def make_beats() -> r.BeatsKey:
    beats = tuple(r.Beat(time=0.1 + 0.5 * i, position=position, confidence=0.9) for i, position in enumerate(POSITIONS))
    meter = {"denominator": 4, "confidence": 0.8}
    changes = (
        r.MeterSpan(start=0.0, end=6.6, numerator=4, **meter),
        r.MeterSpan(start=6.6, end=8.1, numerator=3, **meter),
        r.MeterSpan(start=8.1, end=DURATION, numerator=4, **meter),
    )
    keys = (
        r.KeySpan(start=0.0, end=8.1, tonic="A", mode="minor", confidence=0.7),
        r.KeySpan(start=8.1, end=DURATION, tonic="C#", mode="major", confidence=0.6),
    )
    return r.BeatsKey(
        report=report("beats_key", status="degraded", degraded_because=("madmom is not installed",)),
        beats=beats,
        tempo=r.Tempo(
            bpm_global=120.0,
            confidence=0.95,
            curve=(r.TempoPoint(time=0.1, bpm=120.0), r.TempoPoint(time=8.1, bpm=121.5)),
            candidates=(r.TempoCandidate(bpm=120.0, weight=0.8), r.TempoCandidate(bpm=60.0, weight=0.2)),
        ),
        meter=changes[2],
        meter_changes=changes,
        key_spans=keys,
        global_key=keys[0],
    )


def make_lyrics() -> r.Lyrics:
    hello = r.Word(
        start=1.0,
        end=1.8,
        text="Hello,",
        confidence=0.9,
        syllables=(r.Syllable(start=1.0, end=1.3, text="Hel"), r.Syllable(start=1.3, end=1.8, text="lo,")),
    )
    world = r.Word(start=1.8, end=2.5, text="world", confidence=0.8)
    again = r.Word(start=9.0, end=9.6, text="again", confidence=0.7)
    return r.Lyrics(
        report=report("asr", warnings=("Only English is known",)),
        language="en",
        language_confidence=0.99,
        lines=(
            r.LyricLine(start=1.0, end=2.5, text="Hello, world", confidence=0.85, words=(hello, world)),
            r.LyricLine(start=9.0, end=9.6, text="again", confidence=0.7, words=(again,)),
        ),
        voice_activity=(r.TimeSpan(start=0.9, end=2.6), r.TimeSpan(start=8.9, end=9.7)),
        input="vocals",
    )


def make_chords() -> r.Chords:
    def chord(start: float, end: float, label: str, display: str, **parts: Any) -> r.Chord:
        named = {"root": None, "quality": None, "bass": None, "alternatives": ()} | parts
        return r.Chord(start=start, end=end, label=label, display=display, confidence=0.8, start_beat=None, end_beat=None, **named)

    other = tuple(
        r.ChordAlternative(label=label, display=display, confidence=confidence)
        for label, display, confidence in (("C:maj", "C", 0.1), ("A:min", "Am", 0.05), ("C:maj6", "C6", 0.02))
    )
    return r.Chords(
        report=report("chords", flow_run="earlier"),
        chords=(
            chord(0.0, 0.6, "N", "N.C."),
            chord(0.6, 6.6, "A:min7/b3", "Am7/C", root="A", quality="min7", bass="C", alternatives=other),
            chord(6.6, DURATION, "C#:maj", "C#", root="C#", quality="maj"),
        ),
    )


def make_part(part: Any, notes: tuple[tuple[float, float, int], ...]) -> r.Part:
    bends = {1: (r.PitchBend(time=1.9, midi=64.75), r.PitchBend(time=2.0, midi=65.0))}
    return r.Part(
        report=report(part),
        part=part,
        notes=tuple(
            r.Note(start=start, end=end, midi=midi, cents=-12.5, confidence=0.75, bends=bends.get(place, ()))
            for place, (start, end, midi) in enumerate(notes)
        ),
        lowest_midi=min(midi for _, _, midi in notes),
        highest_midi=max(midi for _, _, midi in notes),
        polyphonic=part == "bass",
        polyphonic_share=0.25,
        harmony=tuple(
            r.Note(start=start, end=end, midi=midi, cents=0, confidence=0.5)
            for start, end, midi in ((1.0, 2.4, 57), (1.0, 2.0, 60), (2.0, 3.0, 60))
        )
        if part == "melody"
        else (),
    )


def make_structure() -> r.Structure:
    def section(start: float, end: float, label: Any, index: int, group: str) -> r.Section:
        return r.Section(start=start, end=end, label=label, index=index, group=group, confidence=0.6)

    return r.Structure(
        report=report("structure"),
        sections=(
            section(0.0, 4.6, "verse", 1, "A"),
            section(4.6, 8.1, "chorus", 1, "B"),
            section(8.1, 12.1, "verse", 2, "A"),
            section(12.1, DURATION, "chorus", 2, "B"),
        ),
        coarse=(section(0.0, 8.1, "section", 1, "A"), section(8.1, DURATION, "section", 2, "A")),
        fine=tuple(
            section(start, end, "section", place + 1, "AB"[place % 2])
            for place, (start, end) in enumerate(((0.0, 2.6), (2.6, 4.6), (4.6, 8.1), (8.1, DURATION)))
        ),
    )


@pytest.fixture
def results() -> dict[StepName, ResultOrError]:
    """What every step of a run found."""
    return {
        "ingest": make_source(),
        "separation": make_stems(),
        "beats_key": make_beats(),
        "asr": make_lyrics(),
        "chords": make_chords(),
        "melody": make_part("melody", ((1.0, 1.8, 60), (1.8, 2.5, 64), (9.0, 9.6, 67))),
        "bass": make_part("bass", ((0.6, 1.6, 33), (1.6, 2.6, 36))),
        "structure": make_structure(),
    }


@pytest.fixture
def join(results: dict[StepName, ResultOrError]) -> Callable[..., Any]:
    """Join the results, some of them replaced: `join(asr=None)`."""

    def joined(file_name: str = "song.mp3", with_stems: bool = True, **replaced: Any) -> Any:
        options = AnalysisOptions(language="en", engines={"beats_key": "librosa"}, stems_format=SoundFormat.wav_float)
        return join_song_map(results | replaced, file_name, options, RUN, with_stems, performia="0.1.0", created="2025-01-31T12:00:00Z")

    return joined


@pytest.fixture
def golden_path() -> Path:
    return GOLDEN


@pytest.fixture
def document() -> dict[str, Any]:
    """The golden Song Map, to be changed."""
    found: dict[str, Any] = copy.deepcopy(json.loads(GOLDEN.read_text(encoding="utf-8")))
    return found


@pytest.fixture
def run_id() -> str:
    return RUN
