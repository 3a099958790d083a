"""Whisper (Radford et al. 2022) through faster-whisper: CTranslate2, int8 on the CPU, float16 on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.asr.recognizer import ALIGNMENT_STEP_SEC, RecognizedSegment, RecognizedWord, aligned_words, steps_between
from tasks.common.audio import Samples

#: Beam of the search; Whisper's authors use 5.
BEAM_SIZE = 5
#: Passages at once on a CPU. Much of a decoder's time is spent between small products, where a second thread is of no use. Each passage has
#: all threads, so that one alone loses nothing; the weights are shared.
_AT_ONCE = 2


class FasterWhisper:
    """The model in `folder` (CTranslate2 files), loaded. device: cpu, cuda or cuda:N."""

    def __init__(self, folder: Path, device: str, threads: int):
        from faster_whisper import WhisperModel

        kind, _, index = device.partition(":")
        on_gpu = kind == "cuda"
        self.at_once = 1 if on_gpu else min(_AT_ONCE, threads)
        self._model = WhisperModel(
            str(folder),
            device="cuda" if on_gpu else "cpu",  # CTranslate2 has no mps
            device_index=int(index or 0),
            compute_type="float16" if on_gpu else "int8",
            cpu_threads=threads,
            num_workers=self.at_once,
            local_files_only=True,
        )
        self._model.find_alignment = _of_two_frames_or_more(self._model.find_alignment)

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._model.supported_languages)

    def language_probabilities(self, samples: Samples) -> dict[str, float]:
        _, _, probabilities = self._model.detect_language(samples)
        return {code: float(probability) for code, probability in probabilities}

    def decode(self, samples: Samples, language: str) -> Iterator[RecognizedSegment]:
        segments, _ = self._model.transcribe(
            samples,
            language=language,
            beam_size=BEAM_SIZE,
            # No sampling: CTranslate2's random state outlives a song, so that the words would depend on what was heard before.
            temperature=0.0,
            condition_on_previous_text=False,  # or a mistake is carried on through the song
            word_timestamps=True,
            vad_filter=False,
        )
        for segment in segments:
            yield _recognized(segment)

    def encode(self, samples: Samples) -> Any:
        from faster_whisper.audio import pad_or_trim

        return np.array(self._model.encode(pad_or_trim(self._model.feature_extractor(samples))))

    def align(self, encoded: Any, start: float, end: float, language: str, words: Sequence[str]) -> tuple[RecognizedWord, ...]:
        from ctranslate2 import StorageView
        from faster_whisper.tokenizer import Tokenizer

        first, last = steps_between(start, end, encoded.shape[1])
        model = self._model.model
        tokenizer = Tokenizer(self._model.hf_tokenizer, model.is_multilingual, task="transcribe", language=language)
        tokens = [tokenizer.encode(word) for word in words]
        # The decoder attends to these steps alone, so that no word can be put anywhere else.
        heard = StorageView.from_array(np.ascontiguousarray(encoded[:, first:last]))
        text = [token for part in tokens for token in part]
        found = model.align(heard, tokenizer.sot_sequence, [text], 2 * (last - first))[0]
        begin = first * ALIGNMENT_STEP_SEC
        return aligned_words(
            words, [len(part) for part in tokens], found.alignments, found.text_token_probs, begin, last * ALIGNMENT_STEP_SEC
        )


def _of_two_frames_or_more(find_alignment: Callable[..., list[list[Any]]]) -> Callable[..., list[list[Any]]]:
    """The alignment of words, with none where a window is shorter than one of its steps, which are two frames of 10 ms.

    The last window of a passage may be a single frame. faster-whisper 1.2.1 ends with an IndexError where the model finds text for it.
    """

    def guarded(
        tokenizer: Any, text_tokens: list[list[int]], encoder_output: Any, num_frames: int, *more: Any, **named: Any
    ) -> list[list[Any]]:
        if num_frames < 2:
            return [[] for _ in text_tokens]
        return find_alignment(tokenizer, text_tokens, encoder_output, num_frames, *more, **named)

    return guarded


def _recognized(segment: Any) -> RecognizedSegment:
    words = tuple(RecognizedWord(word.start, word.end, word.word, float(word.probability)) for word in segment.words or ())
    return RecognizedSegment(segment.seek / 100, words, float(segment.no_speech_prob), float(segment.avg_logprob))
