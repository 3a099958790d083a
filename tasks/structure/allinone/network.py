"""The network of All-In-One: Kim and Nam, "All-In-One Metrical and Functional Structure Analysis with Neighborhood Attentions on Demixed
Audio", WASPAA 2023, section 3.

A convolutional stem turns each instrument's log spectrum into 24 features a frame; eleven blocks attend along time, twice as far from
block to block (two windows at once, the second dilated twice as much), and among the instruments; four heads read the instruments
together. Parameters bear the names of the published checkpoints, so that these load as they are.

Features are laid out (features, instruments, frames), so that every linear layer is one product and every window a slice: see `attention`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.common.networks.tensor_buffers import TensorBuffers
from tasks.structure.allinone.attention import WINDOW, attend_among_instruments, attend_in_time
from tasks.structure.allinone.contract import FUNCTIONS, INSTRUMENTS

_FEATURES = 24
_HEADS = 2
_DEPTH = 11
#: Frames of one instrument that pass through a layer, and of all through the stem, at a time: what lies between their operations stays
#: in the processor's cache.
_CHUNK = 2048
_STEM_CHUNK = 128
#: Of the stem's first layer: bands and frames that a kernel covers, and bands of which the strongest answer is kept.
_KERNEL = 3
_POOL = 3


@dataclass(frozen=True)
class Logits:
    """What the heads say of each of T frames, before sigmoid and softmax."""

    beat: Tensor  # (T,)
    downbeat: Tensor  # (T,)
    section: Tensor  # (T,)
    function: Tensor  # (10, T), in the order of FUNCTIONS


class AllInOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = _Embeddings()
        self.encoder = _Encoder()
        self.norm = nn.LayerNorm(_FEATURES)
        self.beat_classifier = _Head(1)
        self.downbeat_classifier = _Head(1)
        self.section_classifier = _Head(1)
        self.function_classifier = _Head(len(FUNCTIONS))

    def forward(self, spectra: Tensor, buffers: TensorBuffers | None = None) -> Logits:
        """spectra: (instruments, frames, 81), in the order of INSTRUMENTS. buffers: what another network of the ensemble has used."""
        buffers = buffers or TensorBuffers(spectra)
        x = self.encoder(self.embeddings(spectra, buffers), buffers)
        x = _norm(self.norm, x).transpose(0, 1).flatten(0, 1)
        return Logits(
            self.beat_classifier(x)[0], self.downbeat_classifier(x)[0], self.section_classifier(x)[0], self.function_classifier(x)
        )


class _Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(1, _FEATURES // 2, (3, 3), padding=(1, 0))
        self.conv1 = nn.Conv2d(_FEATURES // 2, _FEATURES, (1, 12))
        self.conv2 = nn.Conv2d(_FEATURES, _FEATURES, (3, 3), padding=(1, 0))
        self.norm = nn.LayerNorm(_FEATURES)

    def forward(self, spectra: Tensor, buffers: TensorBuffers) -> Tensor:
        """(instruments, frames, 81) to (features, instruments, frames), in chunks: the first layer's output is large."""
        length = spectra.shape[1]
        # Trained with time before frequency; here it comes last, so that pooling over three bands is a maximum of whole rows.
        bands = spectra.permute(2, 0, 1).contiguous()
        parts = []
        for start in range(0, length, _STEM_CHUNK):
            stop = min(start + _STEM_CHUNK, length)
            first, last = max(0, start - 2), min(length, stop + 2)  # two layers see one frame around
            x = self._rest(self._first(bands[..., first:last], buffers))
            parts.append(x[..., start - first : stop - first])
        return _norm(self.norm, torch.cat(parts, dim=-1))

    def _first(self, bands: Tensor, buffers: TensorBuffers) -> Tensor:
        """(bands, instruments, frames) to (features, bands // 3, instruments, frames): the first layer, pooled.

        A convolution of one channel is one product with what each answer sees; here the three answers of a pool see it together.
        """
        layer = self.conv0
        pooled = (len(bands) - _KERNEL + 1) // _POOL
        seen = _POOL + _KERNEL - 1  # bands
        weight = bands.new_zeros(_POOL, layer.out_channels, seen, _KERNEL)
        for place in range(_POOL):
            weight[place, :, place : place + _KERNEL] = layer.weight[:, 0].transpose(1, 2)
        bias = _given(layer.bias).repeat(_POOL)
        padded = F.pad(bands, (1, 1))
        positions = pooled * math.prod(bands.shape[1:])
        columns = _over_ones(buffers, "normed", seen * _KERNEL, positions)
        views = columns[:-1].view(seen, _KERNEL, pooled, *bands.shape[1:])
        for band in range(seen):
            for frame in range(_KERNEL):
                views[band, frame] = padded[band : band + _POOL * pooled : _POOL, :, frame : frame + bands.shape[-1]][:pooled]
        answers = torch.mm(_with_bias(weight.view(len(bias), -1), bias), columns, out=buffers.take("hidden", len(bias), positions))
        return _elu_of_strongest(*answers.view(_POOL, layer.out_channels, *views.shape[2:]))

    def _rest(self, x: Tensor) -> Tensor:
        """(features, bands, instruments, frames) to (features, instruments, frames)."""
        instruments, frames = x.shape[2:]
        across = F.conv2d(x.flatten(2)[None], self.conv1.weight.transpose(2, 3), self.conv1.bias)[0]  # knows nothing of time
        x = _strongest(across).view(-1, across.shape[1] // _POOL, instruments, frames)
        along = F.conv2d(x.permute(2, 0, 1, 3), self.conv2.weight.transpose(2, 3), self.conv2.bias, padding=(0, 1))
        return _strongest(along.permute(1, 2, 0, 3)).squeeze(1)


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Block(2**i) for i in range(_DEPTH))

    def forward(self, x: Tensor, buffers: TensorBuffers) -> Tensor:
        """x: (features, instruments, frames), changed in place."""
        for layer in self.layers:
            layer(x, buffers)
        return x


class _Block(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.timelayer = _TimeLayer(dilation)
        self.instlayer = _InstrumentLayer()

    def forward(self, x: Tensor, buffers: TensorBuffers) -> None:
        self.timelayer(x, buffers)
        self.instlayer(x, buffers)


class _Layer(nn.Module):
    """What both kinds of layer share: a perceptron on what one or two attentions add."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layernorm_before = nn.LayerNorm(_FEATURES)
        self.layernorm_after = nn.LayerNorm(width)
        self.intermediate = _Dense(width, 4 * width)
        self.output = _Dense(4 * width, _FEATURES)

    def project(self, x: Tensor, attentions: Sequence[_Attention], projected: Tensor, buffers: TensorBuffers) -> None:
        """The attentions' queries, keys and values, one below the other, into projected: (rows, instruments, frames), of which the last
        instruments and frames may be padding, with zeros after the norm.
        """
        weight, bias = (torch.cat(parts) for parts in zip(*(attention.projection() for attention in attentions), strict=True))
        after_norm = _after_norm(self.layernorm_before, weight, bias)
        _, instruments, length = x.shape
        for instrument, part in _chunks(instruments, length):
            here = x[:, instrument, part]
            normed = _standardised(here, self.layernorm_before.eps, _over_ones(buffers, "normed", *here.shape))
            torch.mm(after_norm, normed, out=projected[:, instrument, part])
        projected[:, instruments:] = bias[:, None, None]
        projected[:, :instruments, length:] = bias[:, None, None]

    def perceptron(self) -> tuple[Tensor, Tensor]:
        """Weights of its two layers, with their biases."""
        into, out = self.intermediate.dense, self.output.dense
        return _after_norm(self.layernorm_after, into.weight, into.bias), _with_bias(out.weight, out.bias)

    def perceive(self, weights: tuple[Tensor, Tensor], x: Tensor, buffers: TensorBuffers) -> tuple[Tensor, Tensor]:
        """The matrices whose product is what the perceptron says of x, (width, frames)."""
        into, out = weights
        normed = _standardised(x, self.layernorm_after.eps, _over_ones(buffers, "normed", *x.shape))
        hidden = _over_ones(buffers, "hidden", len(into), x.shape[1])
        torch.mm(into, normed, out=hidden[:-1])
        torch.ops.aten.gelu_(hidden[:-1])
        return out, hidden


class _TimeLayer(_Layer):
    def __init__(self, dilation: int) -> None:
        super().__init__(2 * _FEATURES)
        self.dilation = dilation
        self.attention = _Attention(2 * WINDOW - 1)
        self.attention2 = _Attention(2 * WINDOW - 1)

    def forward(self, x: Tensor, buffers: TensorBuffers) -> None:
        """Changes x in place."""
        _, instruments, length = x.shape
        both = (self.attention, self.attention2)
        # A sequence shorter than the windows is padded, as in training.
        padded = max(length, 2 * WINDOW * self.dilation)
        projected = buffers.take("projected", 6 * _FEATURES, instruments, padded)
        attended = _attended(buffers, 2, instruments, padded)
        self.project(x, both, projected, buffers)
        for number, (attention, rows) in enumerate(zip(both, projected.chunk(2), strict=True)):
            query, key, value = attention.split(rows)
            answers = attention.heads(attended[number, :_FEATURES])
            attend_in_time(query, key, value, attention.bias, (number + 1) * self.dilation, answers, buffers)
        weights, outputs = self.perceptron(), [attention.output.weights() for attention in both]
        for instrument, part in _chunks(instruments, length):
            here = x[:, instrument, part]
            summed = buffers.take("summed", 2 * _FEATURES, here.shape[1])
            near, far = summed.chunk(2)
            for sum_, output, said in zip((near, far), outputs, attended, strict=True):
                torch.addmm(here, output, said[:, instrument, part], out=sum_)
            torch.addmm((near + far).div_(2), *self.perceive(weights, summed, buffers), out=here)


class _InstrumentLayer(_Layer):
    def __init__(self) -> None:
        super().__init__(_FEATURES)
        self.attention = _Attention(2 * WINDOW - 1, 2 * WINDOW - 1)

    def forward(self, x: Tensor, buffers: TensorBuffers) -> None:
        """Changes x in place."""
        _, instruments, length = x.shape
        # Four instruments are fewer than the window: the published network pads them, and attends to those too.
        padded = max(length, WINDOW)
        projected = buffers.take("projected", 3 * _FEATURES, WINDOW, padded)
        (attended,) = _attended(buffers, 1, instruments, padded)
        self.project(x, [self.attention], projected, buffers)
        query, key, value = self.attention.split(projected)
        answers = self.attention.heads(attended[:_FEATURES])
        attend_among_instruments(query[:, :, :instruments], key, value, self.attention.bias, answers, buffers)
        weights, output = self.perceptron(), self.attention.output.weights()
        for instrument, part in _chunks(instruments, length):
            here = x[:, instrument, part]
            summed = buffers.take("summed", *here.shape)
            torch.addmm(here, output, attended[:, instrument, part], out=summed)
            torch.addmm(summed, *self.perceive(weights, summed, buffers), out=here)


class _Attention(nn.Module):
    def __init__(self, *table: int) -> None:
        super().__init__()
        self.self = _Projections(*table)
        self.output = _Dense(_FEATURES, _FEATURES)

    @property
    def bias(self) -> Tensor:
        return self.self.rpb

    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of query (scaled), key and value, one below the other."""
        own = self.self
        scale = math.sqrt(_FEATURES // _HEADS)
        weight = torch.cat([own.query.weight / scale, own.key.weight, own.value.weight])
        return weight, torch.cat([own.query.bias / scale, own.key.bias, own.value.bias])

    @classmethod
    def split(cls, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, (heads, features, instruments, frames) each, of their rows."""
        query, key, value = map(cls.heads, projected.chunk(3))
        return query, key, value

    @staticmethod
    def heads(rows: Tensor) -> Tensor:
        return rows.view(_HEADS, -1, *rows.shape[1:])


class _Projections(nn.Module):
    def __init__(self, *table: int) -> None:
        super().__init__()
        self.query = nn.Linear(_FEATURES, _FEATURES)
        self.key = nn.Linear(_FEATURES, _FEATURES)
        self.value = nn.Linear(_FEATURES, _FEATURES)
        self.rpb = nn.Parameter(torch.zeros(_HEADS, *table))


class _Dense(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, out)

    def weights(self) -> Tensor:
        return _with_bias(self.dense.weight, self.dense.bias)


class _Head(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(len(INSTRUMENTS) * _FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: (instruments * features, frames). Returns (classes, frames)."""
        return self.classifier.weight @ x + self.classifier.bias[:, None]


def _chunks(instruments: int, length: int) -> Iterator[tuple[int, slice]]:
    """An instrument and some of its frames at a time: a matrix of their features, whose rows are contiguous."""
    for instrument in range(instruments):
        for start in range(0, length, _CHUNK):
            yield instrument, slice(start, min(start + _CHUNK, length))


def _with_bias(weight: Tensor, bias: Tensor) -> Tensor:
    """(out, features + 1), for what has a row of ones under its features."""
    return torch.cat([weight, bias[:, None]], dim=1)


def _over_ones(buffers: TensorBuffers, name: str, features: int, frames: int) -> Tensor:
    """(features + 1, frames), of which the last row is ones: its column in the weights of a product is the bias."""
    rows = buffers.take(name, features + 1, frames)
    rows[features] = 1.0
    return rows


def _attended(buffers: TensorBuffers, count: int, instruments: int, length: int) -> Tensor:
    """(count, features and ones, instruments, frames)."""
    attended = buffers.take("attended", count, _FEATURES + 1, instruments, length)
    attended[:, _FEATURES] = 1.0
    return attended


def _after_norm(norm: nn.LayerNorm, weight: Tensor, bias: Tensor) -> Tensor:
    """(out, features + 1): a layer that takes what is standardised only, with the norm's own weight and bias inside."""
    return _with_bias(weight * norm.weight, bias + weight @ norm.bias)


def _standardised(x: Tensor, eps: float, normed: Tensor) -> Tensor:
    """x, (features, frames), of mean 0 and variance 1 over the features, into the first rows of normed."""
    centred = normed[:-1]
    torch.sub(x, x.mean(dim=0), out=centred)
    centred.mul_(torch.rsqrt(centred.square().mean(dim=0) + eps))
    return normed


def _norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    """Layer norm over the features, the first axis."""
    centred = x - x.mean(dim=0)
    scale = torch.rsqrt(centred.square().mean(dim=0) + layer.eps)
    return centred.mul_(scale).mul_(layer.weight[:, None, None]).add_(layer.bias[:, None, None])


def _strongest(x: Tensor) -> Tensor:
    """(features, bands, ...) to (features, bands // 3, ...): the strongest of each three bands, through the stem's activation."""
    pooled = x.shape[1] // _POOL * _POOL
    return _elu_of_strongest(*(x[:, place:pooled:_POOL] for place in range(_POOL)))


def _elu_of_strongest(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """The exponential linear unit of the greatest of three. It is the greater of x and exp(min(x, 0)) - 1, everywhere."""
    strongest = torch.maximum(first, second)
    torch.maximum(strongest, third, out=strongest)
    return torch.maximum(strongest, strongest.clamp_max(0.0).exp_().sub_(1.0), out=strongest)


def _given(bias: Tensor | None) -> Tensor:
    assert bias is not None
    return bias
