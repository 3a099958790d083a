"""Weights of small networks that were never trained, in the formats that the published ones come in."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

SOURCES = ("drums", "bass", "other", "vocals")
#: Of htdemucs_6s.
SIX_SOURCES = (*SOURCES, "guitar", "piano")


def write_htdemucs(file: Path, sources: Sequence[str] = SOURCES, seed: int = 0) -> None:
    """A Hybrid Transformer Demucs in demucs's own file format; its segments are of 0.75 s."""
    from demucs import states
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(seed)
    net = HTDemucs(list(sources), channels=8, depth=3, nfft=1024, t_layers=1, t_heads=2, segment=Fraction(3, 4))
    package = {
        "klass": HTDemucs,
        "args": net._init_args_kwargs[0],
        "kwargs": net._init_args_kwargs[1],
        "state": states.get_state(net, None, half=True),
        "training_args": {"seed": 42, "best": np.float64(7.5)},  # numpy numbers, as in the published files
    }
    torch.save(package, file)


def write_whisper(file: Path, vocabulary: int = 51864) -> None:
    """A checkpoint in OpenAI's format. 51864 tokens make it English only, 51865 a model of 99 languages."""
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    dims = ModelDimensions(80, 1500, 64, 2, 1, vocabulary, 24, 64, 2, 1)
    network = Whisper(dims)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    torch.save({"dims": vars(dims), "model_state_dict": network.state_dict()}, file)
