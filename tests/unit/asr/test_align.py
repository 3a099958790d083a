"""The step that places given lyrics, with a model that puts words at even distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.results import LyricLine, Lyrics, ModelUse, StepReport, TimeSpan, Word
from tasks.asr import align
from tasks.asr.recognizer import RecognizedWord
from tasks.common.errors import EngineFailed

SECONDS = 8


class Even:
    languages = ("en",)

    def encode(self, samples: Any) -> Any:
        return None

    def align(self, encoded: Any, start: float, end: float, language: str, words: Sequence[str]) -> tuple[RecognizedWord, ...]:
        edges = np.linspace(start, end, len(words) + 1)
        return tuple(RecognizedWord(float(a), float(b), word, 0.9) for word, a, b in zip(words, edges[:-1], edges[1:], strict=True))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """Every model is Even; what was loaded: (engine, model)."""
    found: list[tuple[str, str]] = []

    def load(engine: str, folder: Path, device: str) -> Even:
        found.append((engine, folder.name))
        return Even()

    monkeypatch.setattr(align.models, "obtain", lambda name, progress: tmp_path / name)
    monkeypatch.setattr(align, "load", load)
    return found


@pytest.fixture
def tones(song: Any) -> Any:
    tone = (0.2 * np.sin(2 * np.pi * 220 * np.arange(SECONDS * 44100) / 44100)).astype(np.float32)
    return song(tone, 0.1 * tone)


def heard(text: str, model: str = "whisper-base") -> Lyrics:
    words = tuple(Word(start=1.0 + 0.5 * n, end=1.4 + 0.5 * n, text=word, confidence=0.9) for n, word in enumerate(text.split()))
    lines = (LyricLine(start=1.0, end=words[-1].end, text=text, confidence=0.9, words=words),) if words else ()
    report = StepReport(step="asr", engine="faster-whisper", models=(ModelUse(name=model, digest="0", licence="MIT"),))
    voice = (TimeSpan(start=0.5, end=6.0),) if words else ()
    return Lyrics(report=report, language="en", language_confidence=0.9, lines=lines, voice_activity=voice, input="vocals")


def test_words_are_placed_by_the_model_that_heard_the_song(tones: Any, plan: Callable[..., Any], ctx: Any, loaded: Any) -> None:
    source, stems = tones
    found = align.align_lyrics(
        "Down by the river", source, heard("down the river", "whisper-tiny"), stems, plan("whisper-base", "whisper-tiny"), ctx
    )
    assert [word.text for word in found.lines[0].words] == ["Down", "by", "the", "river"]
    assert loaded == [("faster-whisper", "whisper-tiny")]
    assert (found.report.step, found.report.status, [model.name for model in found.report.models]) == ("align", "ok", ["whisper-tiny"])


def test_words_that_were_not_found_are_said(tones: Any, plan: Callable[..., Any], ctx: Any, loaded: Any) -> None:
    source, stems = tones
    text = "down the\nnobody ever painted yellow elephants\nriver again"
    found = align.align_lyrics(text, source, heard("down the river again"), stems, plan("whisper-base"), ctx)
    assert [word.line for word in found.given.unplaced] == [2] * 5
    assert "5 of 9 given words were not found" in found.report.warnings[0]


def test_times_of_another_recording_are_said_and_not_used(tones: Any, plan: Callable[..., Any], ctx: Any, loaded: Any) -> None:
    source, stems = tones
    text = "[00:00.10]down\n[00:04.00]by the\n[00:05.00]river\n[00:09.00]again"
    found = align.align_lyrics(text, source, heard("down by the river again"), stems, plan("whisper-base"), ctx)
    assert [word.start for line in found.lines for word in line.words] == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert found.given.times_used is False
    assert "not of this recording" in found.report.warnings[0]


def test_another_songs_lyrics_are_a_degraded_step_without_lines(tones: Any, plan: Callable[..., Any], ctx: Any, loaded: Any) -> None:
    source, stems = tones
    found = align.align_lyrics("yellow elephants", source, heard("down the river"), stems, plan("whisper-base"), ctx)
    assert (found.lines, found.given.fits, found.report.status) == ((), False, "degraded")
    assert "not of this song" in found.report.degraded_because[0]


def test_a_song_in_which_nobody_sings_takes_no_lyrics_and_asks_no_model(
    tones: Any, plan: Callable[..., Any], ctx: Any, loaded: Any
) -> None:
    source, stems = tones
    found = align.align_lyrics("down the river", source, heard(""), stems, plan("whisper-base"), ctx)
    assert (found.lines, found.given.fits, found.given.words) == ((), False, 3)
    assert "nobody sings" in found.report.degraded_because[0]
    assert loaded == []


def test_without_stems_words_are_placed_in_the_mix(tones: Any, plan: Callable[..., Any], ctx: Any, loaded: Any) -> None:
    source, _ = tones
    found = align.align_lyrics("down by the river", source, heard("down the river"), None, plan("whisper-base"), ctx)
    assert len(found.lines[0].words) == 4


def test_a_model_that_fails_is_the_steps_failure(
    tones: Any, plan: Callable[..., Any], ctx: Any, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(engine: str, folder: Path, device: str) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(align, "load", broken)
    source, stems = tones
    with pytest.raises(EngineFailed, match="a bug"):
        align.align_lyrics("down the river", source, heard("down the river"), stems, plan("whisper-base"), ctx)
