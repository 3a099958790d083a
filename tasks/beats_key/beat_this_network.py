"""The network of Beat This: Foscarin, Schlüter and Widmer, "Beat this! Accurate beat tracking without DBN postprocessing", ISMIR 2024,
section 3.

A convolutional front end halves the mel bands three times and attends among the bands and along time before each time; transformer layers
with rotary positions (Su et al. 2021) attend along time; one linear layer reads beats and downbeats, and a beat's logit is the sum of both.
Parameters bear the names of the published checkpoints (CPJKU/beat_this, MIT), so that these load as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Halvings of the bands in the front end, after its stem has quartered them.
_BLOCKS = 3
_STEM_BANDS = 4
_ROTARY_BASE = 10000.0


class BeatThis(nn.Module):
    """The defaults are those of the published `final` models; the small ones have `transformer_dim` 128."""

    def __init__(
        self,
        spect_dim: int = 128,
        transformer_dim: int = 512,
        ff_mult: int = 4,
        n_layers: int = 6,
        head_dim: int = 32,
        stem_dim: int = 32,
        sum_head: bool = True,
        partial_transformers: bool = True,
    ) -> None:
        super().__init__()
        rotary = _Rotary(head_dim)
        width = stem_dim * 2**_BLOCKS
        self.sum_head = sum_head
        self.frontend = nn.ModuleDict(
            {
                "stem": nn.Sequential(
                    OrderedDict(
                        bn1d=nn.BatchNorm1d(spect_dim),
                        add_channel=nn.Unflatten(1, (1, spect_dim)),
                        conv2d=nn.Conv2d(1, stem_dim, (_STEM_BANDS, 3), (_STEM_BANDS, 1), (0, 1), bias=False),
                        bn2d=nn.BatchNorm2d(stem_dim),
                        activation=nn.GELU(),
                    )
                ),
                "blocks": nn.Sequential(*(_FrontBlock(stem_dim * 2**i, head_dim, rotary, partial_transformers) for i in range(_BLOCKS))),
                "linear": nn.Linear(width * (spect_dim // _STEM_BANDS // 2**_BLOCKS), transformer_dim),
            }
        )
        layers = [_Layer(_Attention(transformer_dim, head_dim, rotary), _FeedForward(transformer_dim, ff_mult)) for _ in range(n_layers)]
        self.transformer_blocks = nn.ModuleDict({"layers": nn.Sequential(*layers), "norm": _RMSNorm(transformer_dim)})
        self.task_heads = nn.ModuleDict({"beat_downbeat_lin": nn.Linear(transformer_dim, 2)})

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Logits (frames, 2) of "beat, downbeat or not" and "downbeat", of a log mel spectrogram (frames, bands)."""
        seen = self.frontend["blocks"](self.frontend["stem"](spectrogram.T[None]))  # (1, channels, bands, frames)
        joined = self.frontend["linear"](seen[0].flatten(0, 1).T)
        heard = self.transformer_blocks["norm"](self.transformer_blocks["layers"](joined[None]))
        beat, downbeat = self.task_heads["beat_downbeat_lin"](heard)[0].unbind(-1)
        return torch.stack([beat + downbeat if self.sum_head else beat, downbeat], dim=-1)


def network_of(checkpoint: Mapping[str, Any]) -> BeatThis:
    """The network of a published checkpoint, a dictionary as Lightning writes it: `hyper_parameters`, and `state_dict` with `model.` names.

    Raises KeyError, TypeError or RuntimeError where it is something else.
    """
    given = checkpoint["hyper_parameters"]
    known = ("spect_dim", "transformer_dim", "ff_mult", "n_layers", "head_dim", "stem_dim", "sum_head", "partial_transformers")
    network = BeatThis(**{name: given[name] for name in known if name in given})
    # `_orig_mod.` is what torch.compile puts before the names of what it has compiled.
    named = {name.replace("_orig_mod.", ""): value for name, value in checkpoint["state_dict"].items()}
    network.load_state_dict({name.removeprefix("model."): value for name, value in named.items() if name.startswith("model.")})
    return network.eval()


class _FrontBlock(nn.Module):
    """(1, channels, bands, frames) to twice as many channels of half as many bands."""

    def __init__(self, channels: int, head_dim: int, rotary: _Rotary, attends: bool) -> None:
        super().__init__()
        self.partial = _BandsThenTime(channels, head_dim, rotary) if attends else nn.Identity()
        self.conv2d = nn.Conv2d(channels, 2 * channels, (2, 3), (2, 1), (0, 1), bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.gelu(self.norm(self.conv2d(self.partial(features))))


class _BandsThenTime(nn.Module):
    """Attention among the bands of each frame, then along time in each band."""

    def __init__(self, channels: int, head_dim: int, rotary: _Rotary) -> None:
        super().__init__()
        self.attnF = _Attention(channels, head_dim, rotary)
        self.ffF = _FeedForward(channels)
        self.attnT = _Attention(channels, head_dim, rotary)
        self.ffT = _FeedForward(channels)

    def forward(self, features: Tensor) -> Tensor:
        by_frame = features[0].permute(2, 1, 0)  # (frames, bands, channels)
        by_frame = by_frame + self.attnF(by_frame)
        by_frame = by_frame + self.ffF(by_frame)
        by_band: Tensor = by_frame.transpose(0, 1)
        by_band = by_band + self.attnT(by_band)
        by_band = by_band + self.ffT(by_band)
        return by_band.permute(2, 0, 1)[None]


class _Layer(nn.Sequential):
    """Attention and a feed-forward part, each added to what it reads."""

    def forward(self, features: Tensor) -> Tensor:
        for part in self:
            features = features + part(features)
        return features


class _Attention(nn.Module):
    """Self-attention over the last but one axis, each head's answer weighed by a gate that reads the frame."""

    def __init__(self, width: int, head_dim: int, rotary: _Rotary) -> None:
        super().__init__()
        self.heads = width // head_dim
        self.rotary_embed = rotary
        self.norm = _RMSNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_gates = nn.Linear(width, self.heads)
        self.to_out = nn.Sequential(nn.Linear(width, width, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        read = self.norm(features)
        query, key, value = self.to_qkv(read).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(self.rotary_embed(query), self.rotary_embed(key), value)
        gated = attended * self.to_gates(read).transpose(1, 2)[..., None].sigmoid()
        answer: Tensor = self.to_out(gated.transpose(1, 2).flatten(2))
        return answer


class _FeedForward(nn.Module):
    def __init__(self, width: int, mult: int = 4) -> None:
        super().__init__()
        inner = width * mult
        self.net = nn.ModuleDict({"0": _RMSNorm(width), "1": nn.Linear(width, inner), "4": nn.Linear(inner, width)})

    def forward(self, features: Tensor) -> Tensor:
        answer: Tensor = self.net["4"](F.gelu(self.net["1"](self.net["0"](features))))
        return answer


class _RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        scaled: Tensor = F.normalize(features, dim=-1) * len(self.gamma) ** 0.5 * self.gamma
        return scaled


class _Rotary(nn.Module):
    """Rotary positions: each pair of a vector's values turned by an angle that grows with the position. One for all layers."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.freqs = nn.Parameter(_ROTARY_BASE ** (-torch.arange(0, head_dim, 2).float() / head_dim), requires_grad=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors: (…, positions, head_dim)."""
        positions = torch.arange(vectors.shape[-2], device=vectors.device, dtype=self.freqs.dtype)
        angles = positions[:, None] * self.freqs
        cos, sin = angles.cos(), angles.sin()
        even, odd = vectors[..., ::2], vectors[..., 1::2]
        return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)
