"""Whisper (Radford et al. 2022) through its authors' own package, on PyTorch."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.asr.faster_whisper_engine import BEAM_SIZE
from tasks.asr.recognizer import ALIGNMENT_STEP_SEC, RecognizedSegment, RecognizedWord, aligned_words, steps_between
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

    def encode(self, samples: Samples) -> Any:
        import torch
        import whisper

        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(np.asarray(samples, np.float32)), n_mels=self._model.dims.n_mels)
        with torch.no_grad():
            return self._model.embed_audio(mel[None].to(self._model.device, torch.float16 if self._half else torch.float32))

    def align(self, encoded: Any, start: float, end: float, language: str, words: Sequence[str]) -> tuple[RecognizedWord, ...]:
        import torch
        from whisper.model import disable_sdpa
        from whisper.timing import dtw, median_filter
        from whisper.tokenizer import get_tokenizer

        first, last = steps_between(start, end, encoded.shape[1])
        tokenizer = get_tokenizer(
            self._model.is_multilingual, num_languages=self._model.num_languages, language=language, task="transcribe"
        )
        parts = [tokenizer.encode(word) for word in words]
        text = [token for part in parts for token in part]
        before = len(tokenizer.sot_sequence)
        tokens = torch.tensor([*tokenizer.sot_sequence, tokenizer.no_timestamps, *text, tokenizer.eot], device=self._model.device)
        scores: dict[int, Any] = {}
        with self._lock, torch.no_grad(), disable_sdpa():
            hooks = [
                block.cross_attn.register_forward_hook(lambda _, __, out, number=number: scores.__setitem__(number, out[-1][0]))
                for number, block in enumerate(self._model.decoder.blocks)
            ]
            try:
                logits = self._model.decoder(tokens[None], encoded[:, first:last])[0]
            finally:
                for hook in hooks:
                    hook.remove()
        believed = logits[before : before + len(text), : tokenizer.eot].float().softmax(-1)
        probabilities = believed[np.arange(len(text)), text].tolist()
        weights = (
            torch.stack([scores[int(layer)][int(head)] for layer, head in self._model.alignment_heads.indices().T]).float().softmax(-1)
        )
        deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
        matrix = median_filter((weights - mean) / (deviation + 1e-9), 7).mean(0)[before:-1]
        rows, columns = dtw(-matrix)
        path = [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
        return aligned_words(
            words, [len(part) for part in parts], path, probabilities, first * ALIGNMENT_STEP_SEC, last * ALIGNMENT_STEP_SEC
        )


def _recognized(segment: dict[str, Any]) -> RecognizedSegment:
    words = tuple(
        RecognizedWord(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
        for word in segment.get("words", ())
    )
    return RecognizedSegment(segment["seek"] / 100, words, float(segment["no_speech_prob"]), float(segment["avg_logprob"]))
