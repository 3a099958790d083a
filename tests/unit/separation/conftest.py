from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_weights
import soundfile
import torch

from schemas.plan import EngineChoice, StepPlan
from schemas.results import AudioRef, SongSource
from tasks.common import models
from tasks.common.audio import Samples, WavWriter
from tasks.common.settings import get_settings, reset_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore
from tasks.separation.stft import Reader


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the user's home, of another test, or of this machine's GPU."""
    monkeypatch.setenv("PERFORMIA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PERFORMIA_OFFLINE", "true")
    monkeypatch.setenv("PERFORMIA_DEVICE", "cpu")
    reset_settings()
    models.unload_all()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these signals are too short to share among threads
    yield
    torch.set_num_threads(threads)
    models.unload_all()
    reset_settings()


@pytest.fixture
def ctx(tmp_path: Path) -> StepContext:
    return StepContext(store=ArtifactStore(str(tmp_path / "store"), tmp_path / "scratch"), settings=get_settings())


@pytest.fixture
def song(ctx: StepContext, source_from: Callable[[AudioRef], SongSource]) -> Callable[[Samples], SongSource]:
    """Put samples (2, frames) into the store as a decoded song."""

    def ingest(samples: Samples) -> SongSource:
        with ctx.store.temporary_dir() as folder:
            with WavWriter(folder / "mix.wav") as out:
                out.write(samples)
            ref = ctx.store.add(out.path, out.ref())
        return source_from(ref)

    return ingest


@pytest.fixture
def load(ctx: StepContext) -> Callable[[AudioRef], Samples]:
    """Read a stored stem (2, frames)."""
    return lambda ref: soundfile.read(ctx.store.path(ref), dtype="float32", always_2d=True)[0].T


@pytest.fixture
def plan() -> Callable[..., StepPlan]:
    def make(*engines: str, **options: Any) -> StepPlan:
        return StepPlan(step="separation", chain=tuple(EngineChoice(engine=engine) for engine in engines), options=options)

    return make


@pytest.fixture
def reader() -> Callable[[Samples], Reader]:
    """A reader of samples in memory, zero outside, as `reader_of` makes of a file."""

    def make(samples: Samples) -> Reader:
        def read(start: int, frames: int) -> Samples:
            padded = np.pad(samples, ((0, 0), (max(0, -start), max(0, start + frames - samples.shape[-1]))))
            begin = start + max(0, -start)
            return padded[:, begin : begin + frames]

        return read

    return make


@pytest.fixture
def noise() -> Callable[[float], Samples]:
    """Stereo noise of that many seconds, the same every time."""
    return lambda seconds: (0.1 * np.random.default_rng(7).standard_normal((2, round(44100 * seconds)))).astype(np.float32)


@pytest.fixture
def demucs_folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder with a very small, randomly initialised HTDemucs in demucs's own file format, under the signature given."""

    def make(signature: str = "955717e8", sources: tuple[str, ...] = small_weights.SOURCES, seed: int = 0) -> Path:
        folder = tmp_path / "weights"
        folder.mkdir(exist_ok=True)
        small_weights.write_htdemucs(folder / f"{signature}-00000000.th", sources, seed)
        return folder

    return make
