"""Weights of a small Beat This in its own checkpoint format, from a seed and made by hand, and what the published package answers with the
former.

The package's answer is kept in `tests/unit/beats_key/golden/beat_this.npz`. To write it again, where the package is installed:

    pip install --no-deps beat-this==1.1.0 rotary-embedding-torch==0.9.1 einops torchaudio==2.11.1
    PYTHONPATH=.:tests/support python -m beat_this_weights

Beside a torch without CUDA, torchaudio's compiled part (`torchaudio/lib/_torchaudio.so`) has to be removed first; nothing here uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import torch

from tasks.beats_key.beat_this_engine import MODEL
from tasks.beats_key.beat_this_network import BeatThis
from tasks.common import models

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "unit" / "beats_key" / "golden" / "beat_this.npz"
#: The published network's shape, with fewer and narrower layers.
SMALL: Final = {"transformer_dim": 32, "n_layers": 2, "head_dim": 8, "stem_dim": 8}
#: Of the demo song, what the package was given: a whole chunk and the last one, which overlaps it.
EXCERPT_SEC: Final = 40.0
#: Of the spectrogram, every so manieth frame is kept.
KEPT: Final = 200


def checkpoint() -> dict[str, Any]:
    """As Lightning writes it: the network's arguments among those of training, and every name with `model.` before it."""
    random = np.random.default_rng(4)
    weights = {}
    for name, value in sorted(BeatThis(**SMALL).state_dict().items()):
        if value.is_floating_point() and not name.endswith("freqs"):
            drawn = torch.from_numpy(random.normal(0.0, 0.2, tuple(value.shape)).astype(np.float32))
            scale = value.ndim == 1 and not name.endswith(("bias", "running_mean"))  # what multiplies is around 1
            value = 1 + drawn.abs() if scale else drawn
        weights[f"model.{name}"] = value
    arguments = {**SMALL, "spect_dim": 128, "ff_mult": 4, "sum_head": True, "partial_transformers": True, "lr": 8e-4, "fps": 50}
    return {"hyper_parameters": {**arguments, "dropout": {"frontend": 0.1, "transformer": 0.2}}, "state_dict": weights, "epoch": 99}


def onset_detector() -> dict[str, Any]:
    """A checkpoint made by hand, whose network hears a beat wherever the spectrum rises, and no downbeat.

    Its stem takes the rise from frame to frame beside a constant; the attention and all other layers pass both on; the head reads the rise
    as a share of their length, which the last norm makes of it.
    """
    made = checkpoint()
    weights = made["state_dict"]
    for name, value in weights.items():
        if value.is_floating_point() and not name.endswith("freqs"):
            scales = name.endswith(("gamma", "running_var")) or (value.ndim == 1 and name.endswith("weight"))
            weights[name] = torch.ones_like(value) if scales else torch.zeros_like(value)
    stem = weights["model.frontend.stem.conv2d.weight"]
    stem[0, 0, :, 0], stem[0, 0, :, 1] = -0.25, 0.25
    weights["model.frontend.stem.bn2d.bias"][1] = 0.5
    for block in range(3):
        for channel in (0, 1):
            weights[f"model.frontend.blocks.{block}.conv2d.weight"][channel, channel, :, 1] = 0.5
    linear = weights["model.frontend.linear.weight"]
    linear[0, 0:4], linear[1, 4:8] = 0.25, 0.25
    weights["model.task_heads.beat_downbeat_lin.weight"][0, 0] = 2.0
    weights["model.task_heads.beat_downbeat_lin.bias"][1] = -4.0  # a beat's logit is the sum of both
    return made


def write(models_dir: Path, content: dict[str, Any]) -> Path:
    """Make `models_dir` a models folder with a checkpoint. Returns the file."""
    folder = models_dir / MODEL
    folder.mkdir(parents=True)
    file = folder / models.get(MODEL).files[0].name
    torch.save(content, file)
    return file


def write_seeded(models_dir: Path) -> Path:
    return write(models_dir, checkpoint())


def excerpt() -> np.ndarray:
    """(frames, 2) at 44.1 kHz."""
    samples, _ = soundfile.read(TESTS / "demo_song" / "demo_song.ogg", frames=round(EXCERPT_SEC * 44100), dtype="float32", always_2d=True)
    return np.asarray(samples)


def _write_golden(file: Path) -> None:
    from beat_this.inference import Audio2Frames

    torch.save(checkpoint(), file)
    package = Audio2Frames(file)
    spectrogram = package.signal2spect(excerpt(), 44100)
    logits = torch.stack(package.spect2frames(spectrogram), dim=1)
    np.savez_compressed(GOLDEN, logits=logits.numpy(), spectrogram=spectrogram[::KEPT].numpy())


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        _write_golden(Path(place) / "small.ckpt")
