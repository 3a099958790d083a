"""Layers of Hybrid Transformer Demucs as other layers that compute the same and that OpenVINO runs faster.

On a CPU OpenVINO's convolutions keep the channels of a value side by side, and a network spends its time where that order is broken up.

- A transposed convolution whose kernel is two strides long is a convolution of two taps for each phase of the stride; the phases are then
  interleaved. Only the convolution has a kernel for the matrix units.
- demucs runs its residual branches (`DConv`) of the frequency branch with the frequencies as a batch, for which the values are moved to
  another order and back. Convolutions with a kernel of (1, taps) need no move.
- Their normalisation and gate take the halves of the channels from two convolutions instead of cutting one in two.
- The last normalisation of a transformer layer is over all tokens and channels and needs no transposition.

A layer of another make stays as it is.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["faster"]


def faster(network: Any) -> Any:
    """A copy of the network with the layers exchanged."""
    network = copy.deepcopy(network)
    for encoder in (*network.encoder, *network.tencoder):
        if not encoder.empty and encoder.rewrite is not None and _is_plain(encoder.dconv):
            encoder.rewrite = nn.Sequential(_Residual(encoder.dconv), encoder.rewrite)
            encoder.dconv = None
    for decoder in (*network.decoder, *network.tdecoder):
        if _is_two_strides(decoder.conv_tr):
            decoder.conv_tr = _Interleaved(decoder.conv_tr)
        if not decoder.empty and _is_plain(decoder.dconv):
            decoder.conv_tr = nn.Sequential(_Residual(decoder.dconv), decoder.conv_tr)
            decoder.dconv = None
    if network.crosstransformer is not None:
        for layer in (*network.crosstransformer.layers, *network.crosstransformer.layers_t):
            if isinstance(layer.norm_out, nn.GroupNorm) and layer.norm_out.num_groups == 1:
                layer.norm_out = _NormOfAll(layer.norm_out)
    return network.eval()


def _is_two_strides(layer: Any) -> bool:
    transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
    rest = (1,) * (len(layer.kernel_size) - 1)
    return (
        transposed
        and layer.kernel_size == (2 * layer.stride[0], *rest)
        and layer.stride[1:] == rest
        and layer.groups == 1
        and layer.bias is not None
        and not any((*layer.padding, *layer.output_padding))
        and set(layer.dilation) == {1}
    )


def _is_plain(dconv: Any) -> bool:
    """Whether a `DConv` has neither attention nor a recurrent layer, and normalises over all channels."""
    kinds = ["Conv1d", "GroupNorm", "GELU", "Conv1d", "GroupNorm", "GLU", "LayerScale"]
    return dconv is not None and all(
        [type(part).__name__ for part in layer] == kinds
        and layer[1].num_groups == layer[4].num_groups == 1
        and layer[3].kernel_size == (1,)
        for layer in dconv.layers
    )


class _Interleaved(nn.Module):
    """A transposed convolution along the first axis, of kernel `2 * stride`."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.ConvTranspose1d | nn.ConvTranspose2d):
        super().__init__()
        self.stride, self.channels = int(layer.stride[0]), layer.out_channels
        bias = layer.bias
        assert bias is not None
        weight = layer.weight.detach()  # (inputs, outputs, taps[, 1])
        taps = torch.stack([weight[:, :, self.stride :], weight[:, :, : self.stride]], dim=3)  # (inputs, outputs, phases, 2[, 1])
        self.register_buffer("weight", taps.movedim((2, 1), (0, 1)).flatten(0, 1))
        self.register_buffer("bias", bias.detach().repeat(self.stride))

    def forward(self, x: Tensor) -> Tensor:
        """x: (songs, channels, length[, frames]). Returns (songs, channels, (length + 1) * stride[, frames])."""
        if x.dim() == 4:
            y = functional.conv2d(x, self.weight, self.bias, padding=(1, 0))
        else:
            y = functional.conv1d(x, self.weight, self.bias, padding=1)
        songs, _, length, *frames = y.shape
        phases = y.view(songs, self.stride, self.channels, length, *frames)
        return phases.movedim(1, 3).reshape(songs, self.channels, length * self.stride, *frames)


class _Residual(nn.Module):
    """`DConv` of (songs, channels, frequencies, frames), each frequency for itself, or of (songs, channels, samples)."""

    def __init__(self, dconv: Any):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(_Taps(layer[0]), _Norm(layer[1]), nn.GELU(), _Gate(layer[3], layer[4], layer[6])) for layer in dconv.layers
        )

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        flat = x.dim() == 3
        y = x.unsqueeze(2) if flat else x
        for layer in self.layers:
            y = y + layer(y)
        return y.squeeze(2) if flat else y


class _Taps(nn.Module):
    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Conv1d):
        super().__init__()
        assert layer.bias is not None
        self.register_buffer("weight", layer.weight.detach().unsqueeze(2))
        self.register_buffer("bias", layer.bias.detach())
        self.padding, self.dilation = (0, int(layer.padding[0])), (1, int(layer.dilation[0]))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, padding=self.padding, dilation=self.dilation)


class _Norm(nn.Module):
    """Over the channels and frames of each frequency."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.GroupNorm):
        super().__init__()
        self.eps = layer.eps
        self.register_buffer("weight", _by_channel(layer.weight))
        self.register_buffer("bias", _by_channel(layer.bias))

    def forward(self, x: Tensor) -> Tensor:
        x = x - _mean(x)
        return x * torch.rsqrt(_mean(x * x) + self.eps) * self.weight + self.bias


class _Gate(nn.Module):
    """Convolution of one tap, normalisation, gated linear unit and scale. Of the channels, the first half is gated by the second."""

    value_taps: Tensor
    value_offset: Tensor
    value_weight: Tensor
    value_bias: Tensor
    gate_taps: Tensor
    gate_offset: Tensor
    gate_weight: Tensor
    gate_bias: Tensor

    def __init__(self, layer: nn.Conv1d, norm: nn.GroupNorm, scale: Any):
        super().__init__()
        assert layer.bias is not None
        self.eps = norm.eps
        taps, offset, weight, bias = (
            layer.weight.detach().unsqueeze(2),
            layer.bias.detach(),
            _by_channel(norm.weight),
            _by_channel(norm.bias),
        )
        self.register_buffer("value_taps", taps.chunk(2)[0])
        self.register_buffer("value_offset", offset.chunk(2)[0])
        self.register_buffer("value_weight", weight.chunk(2, dim=1)[0] * _by_channel(scale.scale))
        self.register_buffer("value_bias", bias.chunk(2, dim=1)[0] * _by_channel(scale.scale))
        self.register_buffer("gate_taps", taps.chunk(2)[1])
        self.register_buffer("gate_offset", offset.chunk(2)[1])
        self.register_buffer("gate_weight", weight.chunk(2, dim=1)[1])
        self.register_buffer("gate_bias", bias.chunk(2, dim=1)[1])

    def forward(self, x: Tensor) -> Tensor:
        value = functional.conv2d(x, self.value_taps, self.value_offset)
        gate = functional.conv2d(x, self.gate_taps, self.gate_offset)
        mean = (_mean(value) + _mean(gate)) * 0.5
        value, gate = value - mean, gate - mean
        scale = torch.rsqrt((_mean(value * value) + _mean(gate * gate)) * 0.5 + self.eps)
        return (value * scale * self.value_weight + self.value_bias) * torch.sigmoid(gate * scale * self.gate_weight + self.gate_bias)


class _NormOfAll(nn.Module):
    """Over all tokens and channels of (songs, tokens, channels)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.GroupNorm):
        super().__init__()
        self.eps = layer.eps
        self.register_buffer("weight", layer.weight.detach())
        self.register_buffer("bias", layer.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[1:], eps=self.eps) * self.weight + self.bias


def _mean(x: Tensor) -> Tensor:
    return x.mean((1, 3), keepdim=True)


def _by_channel(values: Tensor) -> Tensor:
    return values.detach().view(1, -1, 1, 1)
