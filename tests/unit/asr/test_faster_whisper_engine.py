"""faster-whisper as the step uses it; with real weights in the integration tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faster_whisper
import numpy as np
import pytest

from tasks.asr.faster_whisper_engine import FasterWhisper
from tasks.asr.recognizer import RecognizedSegment


class WholeModel(faster_whisper.WhisperModel):
    """The package's own alignment of words, on a network that is only a script: one word for each window."""

    def __init__(self, folder: str, **options: Any):
        self.tokens_per_second, self.frames_per_second = 50, 100
        self.model = SimpleNamespace(align=self._align)

    @staticmethod
    def _align(encoder_output: Any, start: Any, text_tokens: list[list[int]], num_frames: int, **options: Any) -> list[Any]:
        steps = range(num_frames // 2)
        return [SimpleNamespace(text_token_probs=[0.9], alignments=[(min(step, 1), step) for step in steps]) for _ in text_tokens]

    def transcribe(self, audio: Any, **options: Any) -> Any:
        tokenizer = SimpleNamespace(
            eot=50256, sot_sequence=[1], language_code="en", split_to_word_tokens=lambda tokens: ([" sea", ""], [tokens[:1], tokens[1:]])
        )
        return self._segments(tokenizer), None

    def _segments(self, tokenizer: Any) -> Any:
        for seek, frames in ((0, 3000), (3000, 1)):
            heard: dict[str, Any] = {"seek": seek, "start": seek / 100, "end": (seek + frames) / 100, "tokens": [7]}
            self.add_word_timestamps([[heard]], tokenizer, None, frames, "", "", 0.0)
            words = [SimpleNamespace(**word) for word in heard["words"]]
            yield SimpleNamespace(seek=seek, words=words, no_speech_prob=0.1, avg_logprob=-0.3)


def test_a_last_window_of_a_single_frame_has_no_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(faster_whisper, "WhisperModel", WholeModel)
    whole, rest = list[RecognizedSegment](FasterWhisper(tmp_path, "cpu", 1).decode(np.zeros(16000, np.float32), "en"))
    assert [word.text for word in whole.words] == [" sea"]
    assert (rest.window, rest.words) == (30.0, ())
