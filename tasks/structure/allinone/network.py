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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.structure.allinone.attention import WINDOW, attend_among_instruments, attend_in_time
from tasks.structure.allinone.contract import FUNCTIONS, INSTRUMENTS

_FEATURES = 24
_HEADS = 2
_DEPTH = 11
#: Frames that pass through a layer, and through the stem, at a time: what lies between their operations stays in the processor's cache.
_CHUNK = 1024
_STEM_CHUNK = 512


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

    def forward(self, spectra: Tensor) -> Logits:
        """spectra: (instruments, frames, 81), in the order of INSTRUMENTS."""
        x = self.encoder(self.embeddings(spectra))
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

    def forward(self, spectra: Tensor) -> Tensor:
        """(instruments, frames, 81) to (features, instruments, frames), in chunks: the first layer's output is large."""
        length = spectra.shape[1]
        bands = spectra.transpose(1, 2).contiguous()[:, None]
        parts = []
        for start in range(0, length, _STEM_CHUNK):
            stop = min(start + _STEM_CHUNK, length)
            first, last = max(0, start - 2), min(length, stop + 2)  # two layers see one frame around
            x = self._convolve(bands[..., first:last])
            parts.append(x[..., start - first : stop - first])
        return _norm(self.norm, torch.cat(parts, dim=-1).transpose(0, 1).contiguous())

    def _convolve(self, x: Tensor) -> Tensor:
        for layer in (self.conv0, self.conv1, self.conv2):
            # Trained with time before frequency; here it comes last, so that pooling over three bands is a maximum of whole rows.
            padding: Any = layer.padding[::-1]
            x = F.conv2d(x, layer.weight.transpose(2, 3), layer.bias, padding=padding)
            pooled = x.shape[2] // 3 * 3
            x = F.elu(torch.maximum(torch.maximum(x[:, :, 0:pooled:3], x[:, :, 1:pooled:3]), x[:, :, 2:pooled:3]))
        return x.squeeze(2)


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Block(2**i) for i in range(_DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        """x: (features, instruments, frames), changed in place. Memory is taken once for all layers: new pages cost as much as a layer."""
        space = _Workspace.like(x, longest=2 * WINDOW * 2 ** (_DEPTH - 1))
        for layer in self.layers:
            layer(x, space)
        return x


@dataclass(frozen=True)
class _Workspace:
    """What the layers take for their projections and for what their attentions say, one after the other."""

    projected: Tensor
    attended: Tensor

    @staticmethod
    def like(x: Tensor, longest: int) -> _Workspace:
        _, instruments, length = x.shape
        row = instruments * max(length, longest)
        return _Workspace(x.new_empty(6 * _FEATURES * row), x.new_empty(2 * _FEATURES * row))

    def projections(self, *shape: int) -> Tensor:
        return self.projected[: math.prod(shape)].view(shape)

    def attentions(self, *shape: int) -> Tensor:
        return self.attended[: math.prod(shape)].view(shape)


class _Block(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.timelayer = _TimeLayer(dilation)
        self.instlayer = _InstrumentLayer()

    def forward(self, x: Tensor, space: _Workspace) -> None:
        self.timelayer(x, space)
        self.instlayer(x, space)


class _Layer(nn.Module):
    """What both kinds of layer share: a perceptron on what one or two attentions add."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layernorm_before = nn.LayerNorm(_FEATURES)
        self.layernorm_after = nn.LayerNorm(width)
        self.intermediate = _Dense(width, 4 * width)
        self.output = _Dense(4 * width, _FEATURES)

    def project(self, x: Tensor, attentions: Sequence[_Attention], projected: Tensor) -> None:
        """The attentions' queries, keys and values, one below the other, into projected: (rows, instruments, frames), of which the last
        instruments and frames may be padding, with zeros after the norm.
        """
        weight, bias = (torch.cat(parts) for parts in zip(*(attention.projection() for attention in attentions), strict=True))
        _, instruments, length = x.shape
        for part in _chunks(length):
            projected[:, :instruments, part] = _linear(weight, bias, _norm(self.layernorm_before, x[..., part].contiguous()))
        projected[:, instruments:] = bias[:, None, None]
        projected[:, :instruments, length:] = bias[:, None, None]

    def perceive(self, x: Tensor) -> Tensor:
        perceived: Tensor = self.output(F.gelu(self.intermediate(_norm(self.layernorm_after, x))))
        return perceived


class _TimeLayer(_Layer):
    def __init__(self, dilation: int) -> None:
        super().__init__(2 * _FEATURES)
        self.dilation = dilation
        self.attention = _Attention(2 * WINDOW - 1)
        self.attention2 = _Attention(2 * WINDOW - 1)

    def forward(self, x: Tensor, space: _Workspace) -> None:
        """Changes x in place."""
        _, instruments, length = x.shape
        both = (self.attention, self.attention2)
        # A sequence shorter than the windows is padded, as in training.
        padded = max(length, 2 * WINDOW * self.dilation)
        projected = space.projections(6 * _FEATURES, instruments, padded)
        attended = space.attentions(2, _FEATURES, instruments, padded)
        self.project(x, both, projected)
        for number, (attention, rows) in enumerate(zip(both, projected.chunk(2), strict=True)):
            query, key, value = attention.split(rows)
            attend_in_time(query, key, value, attention.bias, (number + 1) * self.dilation, attention.heads(attended[number]))
        for part in _chunks(length):
            here = x[..., part].contiguous()
            near, far = (here + attention.output(said[..., part]) for attention, said in zip(both, attended, strict=True))
            x[..., part] = (near + far).div_(2).add_(self.perceive(torch.cat([near, far])))


class _InstrumentLayer(_Layer):
    def __init__(self) -> None:
        super().__init__(_FEATURES)
        self.attention = _Attention(2 * WINDOW - 1, 2 * WINDOW - 1)

    def forward(self, x: Tensor, space: _Workspace) -> None:
        """Changes x in place."""
        _, instruments, length = x.shape
        # Four instruments are fewer than the window: the published network pads them, and attends to those too.
        padded = max(length, WINDOW)
        projected = space.projections(3 * _FEATURES, WINDOW, padded)
        attended = space.attentions(_FEATURES, instruments, padded)
        self.project(x, [self.attention], projected)
        query, key, value = self.attention.split(projected)
        attend_among_instruments(query[:, :, :instruments], key, value, self.attention.bias, self.attention.heads(attended))
        for part in _chunks(length):
            here = x[..., part] + self.attention.output(attended[..., part])
            x[..., part] = self.perceive(here).add_(here)


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

    def forward(self, x: Tensor) -> Tensor:
        return _linear(self.dense.weight, self.dense.bias, x)


class _Head(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(len(INSTRUMENTS) * _FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: (instruments * features, frames). Returns (classes, frames)."""
        return self.classifier.weight @ x + self.classifier.bias[:, None]


def _chunks(length: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, length)) for start in range(0, length, _CHUNK))


def _linear(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """A linear layer over the first axis."""
    return (weight @ x.flatten(1)).add_(bias[:, None]).view(-1, *x.shape[1:])


def _norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    """Layer norm over the features, the first axis."""
    centred = x - x.mean(dim=0)
    scale = torch.rsqrt(centred.square().mean(dim=0) + layer.eps)
    return centred.mul_(scale).mul_(layer.weight[:, None, None]).add_(layer.bias[:, None, None])
