"""The step as a whole, with a recogniser that says what it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.results import Lyrics
from tasks.asr import transcribe
from tasks.asr.confidence import calibrated
from tasks.asr.recognizer import RecognizedSegment
from tasks.asr.timing import LATE_SEC
from tasks.common.errors import EngineFailed, LanguageUnsupported, ModelUnavailable
from tasks.common.settings import reset_settings

SECONDS = 12


@pytest.fixture
def tone() -> np.ndarray:
    return (0.2 * np.sin(2 * np.pi * 220 * np.arange(SECONDS * 44100) / 44100)).astype(np.float32)


@pytest.fixture
def models_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Any], list[str]]:
    """Make every model the given recogniser; return the devices it is loaded for."""

    def install(recognizer: Any) -> list[str]:
        devices: list[str] = []

        def load(engine: str, folder: Path, device: str) -> Any:
            devices.append(device)
            return recognizer

        monkeypatch.setattr(transcribe.models, "obtain", lambda name, progress: tmp_path / name)
        monkeypatch.setattr(transcribe, "load", load)
        return devices

    return install


def test_lyrics_have_words_lines_and_where_the_voice_is(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any
) -> None:
    models_at_hand(recognizer(lambda _: [segment("hello sea", start=1.0)], ("en", "fr")))
    source, stems = song(tone, 0.1 * tone)
    found = transcribe.transcribe_lyrics(source, stems, plan("whisper-base", language="en"), ctx)
    assert [line.text for line in found.lines] == ["hello sea"]
    assert (found.language, found.language_confidence, found.input) == ("en", None, "vocals")
    assert [(span.start, span.end) for span in found.voice_activity] == [(0.0, SECONDS)]
    assert (found.report.status, found.report.engine, found.report.warnings) == ("ok", "faster-whisper", ())
    assert Lyrics.model_validate_json(found.model_dump_json()) == found


def test_a_model_that_says_its_words_late_is_put_right(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any
) -> None:
    models_at_hand(recognizer(lambda _: [segment("hello sea", start=1.0)]))
    source, stems = song(tone, 0.1 * tone)
    by_base, by_tiny = (
        transcribe.transcribe_lyrics(source, stems, plan(name), ctx).lines[0] for name in ("whisper-base", "whisper-tiny.en")
    )
    late = [base.start - tiny.start for base, tiny in zip(by_base.words, by_tiny.words, strict=True)]
    assert late == pytest.approx([LATE_SEC["whisper-tiny.en"]] * 2, abs=0.02)


def test_the_confidence_of_a_word_is_that_of_its_model(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any
) -> None:
    models_at_hand(recognizer(lambda _: [segment("hello sea", start=1.0, probability=0.9)]))
    source, stems = song(tone, 0.1 * tone)
    by_base, by_small = (
        transcribe.transcribe_lyrics(source, stems, plan(name), ctx).lines[0] for name in ("whisper-base", "whisper-small")
    )
    assert (by_small.confidence, by_small.words[0].confidence) == (0.9, 0.9)
    (word, _) = calibrated([segment("hello sea").words], "whisper-base")[0]
    assert by_base.confidence == by_base.words[0].confidence == pytest.approx(word.probability, abs=1e-4)


def test_an_instrumental_has_no_lyrics_and_no_model_is_asked(song: Any, plan: Any, ctx: Any, tone: np.ndarray) -> None:
    source, stems = song(0.001 * tone, tone)
    found = transcribe.transcribe_lyrics(source, stems, plan(), ctx)
    assert (found.lines, found.language, found.voice_activity) == ((), None, ())
    assert found.report.status == "ok"


def test_a_song_whose_words_are_all_invented_has_no_language(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any
) -> None:
    models_at_hand(recognizer(lambda _: [segment("Thanks for watching!")]))
    found = transcribe.transcribe_lyrics(*song(tone, 0.1 * tone), plan("whisper-tiny.en"), ctx)
    assert (found.lines, found.language) == ((), None)


def test_an_english_model_without_a_given_language_warns(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any
) -> None:
    models_at_hand(recognizer(lambda _: [segment("hello")]))
    found = transcribe.transcribe_lyrics(*song(tone, 0.1 * tone), plan("whisper-tiny.en"), ctx)
    assert found.language == "en"
    assert found.language_confidence is None
    assert "only English" in found.report.warnings[0]


def test_another_language_than_the_model_knows_is_refused(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, models_at_hand: Any
) -> None:
    models_at_hand(recognizer(lambda _: []))
    with pytest.raises(LanguageUnsupported, match="LANGUAGE_UNSUPPORTED"):
        transcribe.transcribe_lyrics(*song(tone, 0.1 * tone), plan("whisper-tiny.en", language="de"), ctx)


def test_without_stems_the_mix_is_transcribed_with_a_warning(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(transcribe, "speech_probabilities", lambda samples: np.full(len(samples) // 320, 0.9, np.float32))
    models_at_hand(recognizer(lambda _: [segment("hello")], ("en", "fr")))
    source, _ = song(tone, 0.1 * tone)
    found = transcribe.transcribe_lyrics(source, None, plan("whisper-base", language="en"), ctx)
    assert found.input == "mix"
    assert len(found.lines) == 1
    assert "Without stems" in found.report.warnings[0]


def test_a_tone_without_stems_is_no_voice(song: Any, plan: Any, ctx: Any, tone: np.ndarray) -> None:
    source, _ = song(tone, 0.1 * tone)
    assert transcribe.transcribe_lyrics(source, None, plan(), ctx).lines == ()


def test_a_model_that_fails_gives_way_to_the_next(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    models_at_hand(recognizer(lambda _: [segment("hello")]))

    def obtain(name: str, progress: Any) -> Path:
        if name == "whisper-small":
            raise ModelUnavailable("It is gone")
        return tmp_path

    monkeypatch.setattr(transcribe.models, "obtain", obtain)
    found = transcribe.transcribe_lyrics(*song(tone, 0.1 * tone), plan("whisper-small", "whisper-tiny.en"), ctx)
    assert (found.report.status, found.report.models[0].name) == ("degraded", "whisper-tiny.en")
    assert "It is gone" in found.report.degraded_because[0]


def test_too_little_memory_on_the_gpu_means_the_cpu(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PERFORMIA_DEVICE", "cuda")
    reset_settings()
    tries = iter([RuntimeError("CUDA out of memory"), None])

    def script(samples: np.ndarray) -> list[RecognizedSegment]:
        error = next(tries)
        if error is not None:
            raise error
        return [segment("hello")]

    devices = models_at_hand(recognizer(script))
    found = transcribe.transcribe_lyrics(*song(tone, 0.1 * tone), plan("whisper-tiny.en", language="en"), ctx)
    assert devices == ["cuda", "cpu"]
    assert found.report.device == "cpu"
    assert any("out of memory on cuda; tried again on cpu" in warning for warning in found.report.warnings)


def test_another_failure_on_the_gpu_is_the_engines(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, models_at_hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFORMIA_DEVICE", "cuda")
    reset_settings()

    def script(samples: np.ndarray) -> list[RecognizedSegment]:
        raise RuntimeError("a bug")

    models_at_hand(recognizer(script))
    with pytest.raises(EngineFailed, match="a bug"):
        transcribe.transcribe_lyrics(*song(tone, 0.1 * tone), plan("whisper-tiny.en"), ctx)


def test_the_step_reports_progress_to_the_end(
    song: Any, plan: Any, ctx: Any, tone: np.ndarray, recognizer: Any, segment: Callable[..., RecognizedSegment], models_at_hand: Any
) -> None:
    fractions: list[float] = []
    models_at_hand(recognizer(lambda _: [segment("hello")]))
    told = replace(ctx, progress=lambda fraction, message="": fractions.append(fraction))
    transcribe.transcribe_lyrics(*song(tone, 0.1 * tone), plan("whisper-tiny.en"), told)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
