"""Dilated neighbourhood attention over time, and attention among instruments, with plain tensor operations.

Neighbourhood attention (Hassani et al., "Neighborhood Attention Transformer", CVPR 2023; dilated: Hassani and Shi 2022): each position
attends to the `WINDOW` nearest positions of its own residue class modulo the dilation; at the ends the window is shifted inwards, not
padded. A learned bias depends on the distance, counted in steps of the dilation. Here time is the last axis, so that every operation runs
along contiguous memory: the window's j-th neighbours of all positions are slices of the sequence put together, nothing is gathered.

Shapes: H heads, D features of a head, I instruments, T positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Positions that each position attends to.
WINDOW = 5
_REACH = WINDOW // 2
#: Positions in time whose attention among instruments is computed as one product.
_BLOCK = 16
#: Moments around a block that its own may attend to: the last one attends to those up to twice the reach before it.
_AROUND = 2 * _REACH


def attend_in_time(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Neighbourhood attention along the last axis.

    query (scaled), key, value: (H, D, I, T), T >= WINDOW * dilation. bias: (H, 2 * WINDOW - 1), by distance. Returns (H, D, I, T).
    """
    length = query.shape[-1]
    scores = torch.stack(
        [
            (query * neighbour(key, j, dilation)).sum(dim=1) + bias[:, None, bias_indices(j, length, dilation, bias.device)]
            for j in range(WINDOW)
        ]
    )
    weights = scores.softmax(dim=0).unsqueeze(2)
    attended = weights[0] * neighbour(value, 0, dilation)
    for j in range(1, WINDOW):
        attended.addcmul_(weights[j], neighbour(value, j, dilation))
    return attended


def neighbour(x: Tensor, j: int, dilation: int) -> Tensor:
    """(…, T): at each position, the j-th of its WINDOW neighbours, in ascending order."""
    length = x.shape[-1]
    first = x[..., j * dilation : (j + 1) * dilation]
    inner = x[..., j * dilation : length - (WINDOW - 1 - j) * dilation]
    last = x[..., length - (WINDOW - j) * dilation : length - (WINDOW - 1 - j) * dilation]
    # The first and the last positions of a residue class share their neighbours with the next one inwards.
    return torch.cat([first] * _REACH + [inner] + [last] * _REACH, dim=-1)


def bias_indices(j: int, length: int, dilation: int, device: torch.device) -> Tensor:
    """(T,) index into the bias table for the j-th neighbour of each position: its distance, plus WINDOW - 1."""
    inner = length - 2 * _REACH * dilation
    counts = torch.tensor([dilation] * _REACH + [inner] + [dilation] * _REACH, device=device)
    # A class's first position stands _REACH steps left of its window's middle, the next one step less, and so on.
    offsets = torch.arange(_REACH, -_REACH - 1, -1, device=device)
    return torch.repeat_interleave(j - _REACH + offsets + WINDOW - 1, counts)


def attend_among_instruments(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention of each instrument to all instruments at the WINDOW nearest moments.

    query (scaled): (H, D, I, T). key, value: (H, D, WINDOW, T), of which the last instruments may be padding. bias: (H, 2 * WINDOW - 1,
    2 * WINDOW - 1), by distance of instrument and of time. T >= WINDOW. Returns (H, D, I, T).

    Computed in blocks of moments, each one product with a mask: cheaper than WINDOW * WINDOW element-wise products.
    """
    heads, size, instruments, length = query.shape
    blocks = -(-length // _BLOCK)
    missing = blocks * _BLOCK - length
    span = _BLOCK + 2 * _AROUND

    def by_block(x: Tensor) -> Tensor:
        """(H, D, n, blocks, moments) to (blocks, H, n * moments, D)."""
        return x.permute(3, 0, 2, 4, 1).reshape(blocks, heads, -1, size)

    queries = by_block(F.pad(query, (0, missing)).view(heads, size, instruments, blocks, _BLOCK))
    keys, values = (by_block(F.pad(x, (_AROUND, missing + _AROUND)).unfold(-1, span, _BLOCK)) for x in (key, value))
    attended = torch.empty_like(queries)
    # All blocks but those at the ends have the same mask.
    for part in (slice(0, 1), slice(1, max(1, blocks - 2)), slice(max(1, blocks - 2), blocks)):
        numbers = range(*part.indices(blocks))
        if numbers:
            masks = [_mask(bias, instruments, length, n) for n in (numbers[:1] if part.start == 1 and len(numbers) > 2 else numbers)]
            mask = torch.stack(masks).expand(len(numbers), -1, -1, -1)
            attended[part] = F.scaled_dot_product_attention(queries[part], keys[part], values[part], attn_mask=mask, scale=1.0)
    attended = attended.view(blocks, heads, instruments, _BLOCK, size).permute(1, 4, 2, 0, 3)
    return attended.reshape(heads, size, instruments, blocks * _BLOCK)[..., :length]


def _mask(bias: Tensor, instruments: int, length: int, block: int) -> Tensor:
    """(H, I * _BLOCK, WINDOW * span): the bias of every pair in a block, -inf where one does not attend to the other."""
    span = _BLOCK + 2 * _AROUND
    asking = torch.arange(block * _BLOCK, (block + 1) * _BLOCK, device=bias.device)[:, None]
    asked = torch.arange(block * _BLOCK - _AROUND, (block + 1) * _BLOCK + _AROUND, device=bias.device)[None, :]
    # Moments after the end attend to the last ones: they are cut off later, and a row of -inf only would be NaN.
    place = asked - (asking - _REACH).clamp(0, length - WINDOW)
    later = (asked - asking + WINDOW - 1).clamp(0, 2 * WINDOW - 2)
    order = torch.arange(WINDOW, device=bias.device)
    between = order[None, :] - order[:instruments, None] + WINDOW - 1
    # (H, I, _BLOCK, WINDOW, span)
    table = bias[:, between[:, None, :, None], later[None, :, None, :]]
    table = table.masked_fill(((place < 0) | (place >= WINDOW))[None, None, :, None, :], float("-inf"))
    return table.reshape(bias.shape[0], instruments * _BLOCK, WINDOW * span)
