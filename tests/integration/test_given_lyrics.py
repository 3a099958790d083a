"""Runs with lyrics that somebody gave: real flow, cache and matching; light engines, and a model without ears."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from light_engines import AT_HAND

from flows import analyze_song
from schemas import results as r
from schemas.song_map import SongMap
from tasks.asr.recognizer import RecognizedWord
from tasks.common import errors
from tasks.packager.validation import validate_file

pytestmark = pytest.mark.usefixtures("prefect_api")

TRANSCRIBE = "tasks.asr.transcribe.transcribe_lyrics"


class Even:
    """An aligner with words at even distances."""

    languages = ("en",)

    def encode(self, samples: Any) -> Any:
        return None

    def align(self, encoded: Any, start: float, end: float, language: str, words: Sequence[str]) -> tuple[RecognizedWord, ...]:
        edges = np.linspace(start, end, len(words) + 1)
        return tuple(RecognizedWord(float(a), float(b), word, 0.9) for word, a, b in zip(words, edges[:-1], edges[1:], strict=True))


@pytest.fixture
def engines(light_engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Light engines that hear "hello sea by side", and a light aligner."""

    def hear(source: r.SongSource, stems: r.StemSet | None, plan: Any, ctx: Any) -> r.Lyrics:
        words = [(0.5, "hello"), (1.0, "sea"), (2.0, "by"), (2.5, "side")]
        heard = tuple(r.Word(start=start, end=start + 0.4, text=text, confidence=0.9) for start, text in words)
        line = r.LyricLine(start=0.5, end=2.9, text="hello sea by side", confidence=0.9, words=heard)
        report = r.StepReport(step="asr", engine=plan.chain[0].engine, models=plan.chain[0].models, flow_run=ctx.flow_run)
        span = r.TimeSpan(start=0.4, end=3.0)
        return r.Lyrics(report=report, language="en", language_confidence=0.9, lines=(line,), voice_activity=(span,), input="vocals")

    monkeypatch.setattr("tasks.asr.align.models.obtain", lambda name, progress: tmp_path)
    monkeypatch.setattr("tasks.asr.align.load", lambda engine, folder, device: Even())
    light_engines[TRANSCRIBE] = hear
    return light_engines


def analyse(song: Path, out: Path, lyrics: str | None, strict: bool = False) -> SongMap:
    return analyze_song(song, AT_HAND.model_copy(update={"lyrics": lyrics, "strict": strict}), out)


def test_given_words_are_in_the_map_where_they_are_sung(short_song: Path, engines: dict[str, Any], tmp_path: Path) -> None:
    found = analyse(short_song, tmp_path, "[Verse]\nHello, sea\n\nby the side!\n")
    assert [line.text for line in found.lyrics] == ["Hello, sea", "by the side!"]
    assert [word.start for line in found.lyrics for word in line.words if word.text != "the"] == [0.5, 1.0, 2.0, 2.5]
    assert found.voice.given is not None
    assert (found.voice.given.fits, found.voice.given.words, found.voice.given.unplaced) == (True, 5, ())
    assert [(header.start, header.text) for header in found.voice.given.headers] == [(0.5, "Verse")]
    assert found.status == "complete"
    assert found.folder is not None
    assert validate_file(found.folder / "song_map.json") == []


def test_a_changed_word_is_placed_and_nothing_else_is_done_again(short_song: Path, engines: dict[str, Any], tmp_path: Path) -> None:
    without = analyse(short_song, tmp_path, None)
    assert without.steps.align is None
    assert without.voice.given is None
    assert "align" not in without.to_json()
    for words in ("Hello sea by side", "Hello, sea by Clyde"):
        found = analyse(short_song, tmp_path, words)
        assert [name for name, step in found.steps if not step.cached] == ["align"]
        assert [line.text for line in found.lyrics] == [words]
    assert all(step.cached for _, step in analyse(short_song, tmp_path, "Hello, sea by Clyde").steps)
    again = analyse(short_song, tmp_path, None)
    assert (again.lyrics, again.voice) == (without.lyrics, without.voice)
    assert all(step.cached for _, step in again.steps)


def test_lyrics_of_another_song_are_refused_and_the_map_has_what_was_heard(
    short_song: Path, engines: dict[str, Any], tmp_path: Path
) -> None:
    other = "Yellow elephants\nborrow my brushes"
    found = analyse(short_song, tmp_path, other)
    assert [line.text for line in found.lyrics] == ["hello sea by side"]
    assert found.voice.given is not None
    assert (found.voice.given.fits, found.voice.given.words) == (False, 5)
    assert found.steps.align is not None
    assert found.steps.align.status == "degraded"
    assert "not of this song" in found.steps.align.reasons[0]
    with pytest.raises(errors.StrictRunFailed, match="align degraded"):
        analyse(short_song, tmp_path, other, strict=True)


def test_a_song_whose_given_words_cannot_be_placed_has_those_that_were_heard(
    short_song: Path, engines: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(engine: str, folder: Path, device: str) -> Any:
        raise RuntimeError("the model is broken")

    monkeypatch.setattr("tasks.asr.align.load", broken)
    found = analyse(short_song, tmp_path, "Hello sea by side")
    assert found.status == "partial"
    assert [line.text for line in found.lyrics] == ["hello sea by side"]
    assert found.steps.align is not None
    assert (found.steps.align.status, found.steps.align.code) == ("failed", "ENGINE_FAILED")
    assert found.voice.given is None
