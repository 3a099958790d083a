"""Whisper (Radford et al. 2022) through its authors' own package, on PyTorch."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tasks.asr.faster_whisper_engine import BEAM_SIZE
from tasks.asr.recognizer import RecognizedSegment, RecognizedWord
from tasks.common.audio import Samples


class OpenAIWhisper:
    """The one checkpoint (.pt) in `folder`, loaded. device: cpu, cuda, cuda:N or mps; half precision on CUDA only."""

    at_once = 1

    def __init__(self, folder: Path, device: str):
        import whisper

        checkpoint = next(iter(sorted(folder.glob("*.pt"))), None)
        if checkpoint is None:
            raise FileNotFoundError(f"{folder} holds no checkpoint (.pt)")
        # load_model reads with weights_only: nothing in the file can run.
        self._model = whisper.load_model(str(checkpoint), device=device)
        heads = whisper._ALIGNMENT_HEADS.get(checkpoint.stem)  # noqa: SLF001 (whisper tells them by its own models' names only)
        if heads is not None:  # known by name only; without them, word times come from half of all heads and are coarser
            self._model.set_alignment_heads(heads)
        # Word times come through hooks on the model, which two songs at once would mix up.
        self._lock = threading.Lock()
        self._half = device.startswith("cuda")

    @property
    def languages(self) -> tuple[str, ...]:
        from whisper.tokenizer import LANGUAGES

        if not self._model.is_multilingual:
            return ("en",)
        return tuple(LANGUAGES)[: self._model.num_languages]

    def language_probabilities(self, samples: Samples) -> dict[str, float]:
        import torch
        import whisper

        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(np.asarray(samples, np.float32)), n_mels=self._model.dims.n_mels)
        mel = mel.to(self._model.device, torch.float16 if self._half else torch.float32)
        _, probabilities = self._model.detect_language(mel)
        return {code: float(probability) for code, probability in probabilities.items()}

    def decode(self, samples: Samples, language: str) -> Iterator[RecognizedSegment]:
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Triton kernels that are not there, and what stands in for them
            found = self._model.transcribe(
                samples,
                language=language,
                beam_size=BEAM_SIZE,
                temperature=0.0,  # no sampling: the same song gives the same words
                condition_on_previous_text=False,
                word_timestamps=True,
                fp16=self._half,
                verbose=None,
            )
        for segment in found["segments"]:
            yield _recognized(segment)


def _recognized(segment: dict[str, Any]) -> RecognizedSegment:
    words = tuple(
        RecognizedWord(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
        for word in segment.get("words", ())
    )
    return RecognizedSegment(segment["seek"] / 100, words, float(segment["no_speech_prob"]), float(segment["avg_logprob"]))
