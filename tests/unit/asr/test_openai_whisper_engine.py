"""The engine on OpenAI's package, with a tiny network that was never trained."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("whisper.model")

from small_weights import write_whisper  # noqa: E402

from tasks.asr.openai_whisper_engine import OpenAIWhisper  # noqa: E402


def write_checkpoint(folder: Path, vocabulary: int) -> Path:
    """A checkpoint in OpenAI's format. 51864 tokens make it English only, 51865 a model of 99 languages."""
    folder.mkdir()
    write_whisper(folder / "own.pt", vocabulary)
    return folder


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, 5 * 16000).astype(np.float32)


def test_an_english_checkpoint_knows_english(tmp_path: Path) -> None:
    assert OpenAIWhisper(write_checkpoint(tmp_path / "model", 51864), "cpu").languages == ("en",)


def test_a_multilingual_checkpoint_says_how_likely_each_language_is(tmp_path: Path, noise: np.ndarray) -> None:
    engine = OpenAIWhisper(write_checkpoint(tmp_path / "model", 51865), "cpu")
    assert len(engine.languages) == 99
    assert {"en", "fr", "de", "es"} <= set(engine.languages)
    probabilities = engine.language_probabilities(noise)
    assert set(probabilities) == set(engine.languages)
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-3)


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        OpenAIWhisper(tmp_path, "cpu")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "touched",))  # type: ignore[return-value]

    torch.save({"dims": {}, "model_state_dict": Attack()}, tmp_path / "own.pt")
    with pytest.raises(pickle.UnpicklingError):
        OpenAIWhisper(tmp_path, "cpu")
    assert not (tmp_path / "touched").exists()
