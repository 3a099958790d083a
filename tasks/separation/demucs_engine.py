"""Four stems by Hybrid Transformer Demucs.

S. Rouard, F. Massa, A. Défossez, "Hybrid Transformers for Music Source Separation", ICASSP 2023; https://github.com/adefossez/demucs, whose
package holds the networks. Segments go through the network, a few at a time, and are crossfaded as `demucs.apply` does with `shifts=0`,
but from file to file: memory does not grow with the song.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tasks.common.audio import Samples
from tasks.common.errors import ModelCorrupt, ModelUnavailable
from tasks.separation import openvino_network
from tasks.separation.checkpoints import load_checkpoint, numpy_globals
from tasks.separation.stft import Reader

if TYPE_CHECKING:
    import torch

#: Sources beyond our four stems, of the six-source model, are part of `other`.
STEMS: Final = ("vocals", "drums", "bass")
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Level:
    """Mean and standard deviation of a song's mono mix, which demucs normalises with."""

    mean: float
    std: float


def load_bag(name: str, folder: Path, translations: Path | None = None) -> Any:
    """The named bag of models of demucs's package, with weights from `folder`.

    translations: where networks are kept in OpenVINO's format, to run in that; None: they run in torch.
    Raises ModelUnavailable, ModelCorrupt.
    """
    from demucs.pretrained import REMOTE_ROOT
    from demucs.repo import BagOnlyRepo

    networks: Any = _Networks(folder, translations)
    return BagOnlyRepo(REMOTE_ROOT, networks).get_model(name).eval()


class _Networks:
    """The networks of a folder by signature, as demucs's repositories give them, but loaded without running what the files say."""

    def __init__(self, folder: Path, translations: Path | None):
        self._folder = folder
        self._translations = translations

    def get_model(self, signature: str) -> torch.nn.Module:
        found = sorted(self._folder.glob(f"{signature}*.th"))
        if not found:
            raise ModelUnavailable(f"{self._folder} lacks {signature}-*.th")
        network = load_network(found[0])
        if self._translations is not None:
            openvino_network.accelerate(network, found[0], self._translations, STEMS)
        return network


def load_network(checkpoint: Path) -> torch.nn.Module:
    """One network in demucs's file format: its class, arguments and state. Raises ModelCorrupt."""
    from demucs import states
    from demucs.htdemucs import HTDemucs

    load_model: Any = states.load_model
    package = load_checkpoint(checkpoint, [HTDemucs, Fraction, *numpy_globals()])
    if not isinstance(package, dict) or package.get("klass") is not HTDemucs:
        raise ModelCorrupt(f"{checkpoint.name} does not hold a Hybrid Transformer Demucs")
    try:
        network: torch.nn.Module = load_model(package, strict=True)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelCorrupt(f"{checkpoint.name} does not fit this version of demucs: {error}") from error
    return network.eval()


def longest_segment_sec(bag: Any) -> float:
    """The segment the networks were trained on: they take none that is longer."""
    return float(bag.max_allowed_segment)


def with_segment(bag: Any, segment_sec: float) -> Any:
    """The bag for shorter segments. Its weights are shared; the networks pad every input to their own `segment`, so that has to change."""
    from demucs.apply import BagOfModels

    if segment_sec >= longest_segment_sec(bag):
        return bag
    members = [openvino_network.plain(copy.copy(member)) for member in bag.models]
    for member in members:
        member.segment = segment_sec
    return BagOfModels(members, bag.weights)


def measure_level(mix: Reader, samples: int) -> Level:
    """Mean and (sample) standard deviation of the mono mix, in one pass of blocks."""
    total = squares = 0.0
    for start in range(0, samples, _BLOCK):
        mono = mix(start, min(_BLOCK, samples - start)).mean(axis=0, dtype=np.float64)
        total += float(mono.sum())
        squares += float(np.square(mono).sum())
    mean = total / samples
    variance = max(squares - samples * mean**2, 0.0) / max(samples - 1, 1)
    return Level(mean, variance**0.5 + 1e-8)


def separate_blocks(
    bag: Any, mix: Reader, samples: int, device: str, segment_sec: float, overlap: float, autocast: torch.dtype | None
) -> Iterator[dict[str, Samples]]:
    """Yield vocals, drums and bass in blocks (2, frames) that follow each other: the same samples as `demucs.apply` on the whole song.

    device: where the bag is. overlap: share of a segment that it has in common with the next, in [0, 1).
    """
    import torch

    bag = with_segment(bag, segment_sec)
    level = measure_level(mix, samples)
    length = int(bag.samplerate * bag.max_allowed_segment)
    stride = int((1 - overlap) * length)
    weight = _triangle(length)
    kind = torch.device(device).type
    sources = [bag.sources.index(stem) for stem in STEMS]
    pending, pending_weight = np.zeros((len(STEMS), 2, length), np.float32), np.zeros(length, np.float32)

    def separate(start: int) -> Samples:
        with torch.inference_mode(), torch.autocast(kind, autocast, enabled=autocast is not None):
            return _separate_segment(bag, mix, samples, start, length, level, device)

    at_once = openvino_network.AT_ONCE if all(map(openvino_network.accelerated, bag.models)) else 1
    starts = range(0, samples, stride)
    for start, estimate in zip(starts, _in_order(separate, starts, at_once), strict=True):
        size = estimate.shape[-1]
        pending[..., :size] += estimate[sources] * weight[:size]
        pending_weight[:size] += weight[:size]
        done = min(stride, samples - start)
        block = pending[..., :done] / pending_weight[:done] * level.std + level.mean
        yield {stem: np.ascontiguousarray(block[index]) for index, stem in enumerate(STEMS)}
        pending = np.concatenate([pending[..., stride:], np.zeros((len(STEMS), 2, stride), np.float32)], axis=-1)
        pending_weight = np.concatenate([pending_weight[stride:], np.zeros(stride, np.float32)])


def _in_order(function: Callable[[int], Samples], starts: Sequence[int], at_once: int) -> Iterator[Samples]:
    """The function's value for each start, in their order, some computed at the same time. With one at a time, in the caller's thread."""
    if at_once == 1:
        yield from map(function, starts)
        return
    with ThreadPoolExecutor(at_once, "separation") as pool:
        ahead: deque[Future[Samples]] = deque()
        try:
            for start in starts:
                ahead.append(pool.submit(function, start))
                # One more than run, so that none waits for what is done with the values.
                if len(ahead) > at_once:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _separate_segment(bag: Any, mix: Reader, samples: int, start: int, length: int, level: Level, device: str) -> Samples:
    """All sources (sources, 2, frames) of one segment. A short last segment is centred in what surrounds it, as demucs does."""
    import torch
    from demucs import apply

    size = min(length, samples - start)
    before = min((length - size) // 2, start)
    surrounding = torch.from_numpy((mix(start - before, before + size) - np.float32(level.mean)) / np.float32(level.std))
    window: Any = apply.TensorChunk
    chunk = window(surrounding[None], before, size)
    out = apply.apply_model(bag, chunk, shifts=0, split=False, device=device)
    estimate: Samples = out[0].float().cpu().numpy()
    return estimate


def _triangle(length: int) -> Samples:
    """Weight of each sample of a segment in the crossfade with its neighbours."""
    half = length // 2
    rising = np.concatenate([np.arange(1, half + 1), np.arange(length - half, 0, -1)])
    return np.asarray(rising / rising.max(), np.float32)
