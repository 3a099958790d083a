"""Dilated neighbourhood attention over time, and attention among instruments, with plain tensor operations.

Neighbourhood attention (Hassani et al., "Neighborhood Attention Transformer", CVPR 2023; dilated: Hassani and Shi 2022): each position
attends to the `WINDOW` nearest positions of its own residue class modulo the dilation; at the ends the window is shifted inwards, not
padded. A learned bias depends on the distance, counted in steps of the dilation. Here time is the last axis, so that every operation runs
along contiguous memory: the window's j-th neighbours of all positions are slices of the sequence put together, nothing is gathered.

Shapes: H heads, D features of a head, I instruments, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.common.networks.tensor_buffers import TensorBuffers

#: Positions that each position attends to.
WINDOW = 5
_REACH = WINDOW // 2
#: Positions whose attention in time is computed as one: what lies between the operations stays in the processor's cache.
_SPAN = 512
#: Positions in time whose attention among instruments is computed as one product, and how many such products at a time.
_BLOCK = 8
_BLOCKS = 64


def attend_in_time(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, dilation: int, attended: Tensor, buffers: TensorBuffers
) -> None:
    """Neighbourhood attention along the last axis, which is contiguous.

    query (scaled), key, value: (H, D, I, T), T >= WINDOW * dilation. bias: (H, 2 * WINDOW - 1), by distance. attended: (H, D, I, T), is
    filled.
    """
    for start, stop, first, offset in spans(query.shape[-1], dilation):
        keys, values = (_neighbours(x, first, dilation, stop - start) for x in (key, value))
        products = buffers.take("products", *keys.shape)
        # (H, I, WINDOW, positions)
        scores = torch.mul(query[..., None, start:stop], keys, out=products).sum(dim=1)
        scores += bias[:, None, offset : offset + WINDOW, None]
        torch.mul(scores.softmax(dim=2).unsqueeze(1), values, out=products)
        torch.sum(products, dim=-2, out=attended[..., start:stop])


def spans(length: int, dilation: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, stop, first, offset) of each span of positions that is computed as one: the neighbours of position `start` are first, first +
    dilation, ..., and those of each further position lie one further; the bias of the first neighbour has the index `offset`.

    The first and the last positions of a residue class share their neighbours with the next one inwards.
    """
    last = length - WINDOW * dilation
    begins = [(place * dilation, (place + 1) * dilation, 0, WINDOW - 1 - place) for place in range(_REACH)]
    inner = (_REACH * dilation, length - _REACH * dilation, 0, WINDOW - 1 - _REACH)
    ends = [(length - (place + 1) * dilation, length - place * dilation, last, place) for place in range(_REACH)]
    for start, stop, first, offset in (*begins, inner, *ends):
        for at in range(start, stop, _SPAN):
            yield at, min(at + _SPAN, stop), first + at - start, offset


def _neighbours(x: Tensor, first: int, dilation: int, positions: int) -> Tensor:
    """(H, D, I, WINDOW, positions): where they lie in x, (H, D, I, T); nothing is copied."""
    return x.as_strided((*x.shape[:-1], WINDOW, positions), (*x.stride()[:-1], dilation, 1), x.storage_offset() + first)


def attend_among_instruments(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, attended: Tensor, buffers: TensorBuffers) -> None:
    """Attention of each instrument to all instruments at the WINDOW nearest moments.

    query (scaled): (H, D, I, T). key, value: (H, D, WINDOW, T), of which the last instruments may be padding. bias: (H, 2 * WINDOW - 1,
    2 * WINDOW - 1), by distance of instrument and of time. T >= WINDOW. attended: (H, D, I, T), is filled.

    Computed in blocks of moments, each one product with a mask: cheaper than WINDOW * WINDOW element-wise products.
    """
    heads, _, instruments, length = query.shape
    blocks = -(-length // _BLOCK)
    # At the ends a moment attends to those up to twice the reach away.
    ends = [(block, block + 1, 2 * _REACH) for block in sorted({0, 1, blocks - 2, blocks - 1}) if 0 <= block < blocks]
    inner = [(start, min(start + _BLOCKS, blocks - 2), _REACH) for start in range(2, blocks - 2, _BLOCKS)]
    for start, stop, around in (*ends, *inner):
        if start <= 2 or around > _REACH:  # all inner blocks have the same mask
            mask = _mask(bias, instruments, length, start, around)
        asking = _in_blocks(query, start, stop, 0, buffers, "asking")
        asked = _in_blocks(key, start, stop, around, buffers, "asked")
        answers = _in_blocks(value, start, stop, around, buffers, "answers")
        count = (stop - start) * heads
        scores = torch.bmm(asking.transpose(-1, -2), asked, out=buffers.take("scores", count, *mask.shape[1:]))
        scores.view(-1, *mask.shape).add_(mask)
        weights = torch.softmax(scores, dim=-1, out=buffers.take("weights", *scores.shape))
        found = torch.bmm(answers, weights.transpose(-1, -2), out=buffers.take("found", *asking.shape))
        place = slice(start * _BLOCK, min(stop * _BLOCK, length))
        merged = found.view(stop - start, heads, -1, instruments, _BLOCK).permute(1, 2, 3, 0, 4)
        into = attended[..., place]
        if place.stop - place.start == (stop - start) * _BLOCK:
            into.view(*into.shape[:-1], -1, _BLOCK).copy_(merged)
        else:
            into.copy_(merged.flatten(3)[..., : place.stop - place.start])


def _in_blocks(x: Tensor, start: int, stop: int, around: int, buffers: TensorBuffers, name: str) -> Tensor:
    """(blocks * H, D, n * moments) of (H, D, n, T): the moments of each block and those around it. Beyond the ends there are zeros."""
    first, last, length = start * _BLOCK - around, stop * _BLOCK + around, x.shape[-1]
    inside = x[..., max(0, first) : min(last, length)]
    if first < 0 or last > length:
        inside = F.pad(inside, (max(0, -first), max(0, last - length)))
    blocks = inside.unfold(-1, _BLOCK + 2 * around, _BLOCK).permute(3, 0, 1, 2, 4)
    return buffers.take(name, *blocks.shape).copy_(blocks).flatten(3).flatten(0, 1)


def _mask(bias: Tensor, instruments: int, length: int, block: int, around: int) -> Tensor:
    """(H, I * _BLOCK, WINDOW * span): the bias of every pair in a block, -inf where one does not attend to the other."""
    span = _BLOCK + 2 * around
    asking = torch.arange(block * _BLOCK, (block + 1) * _BLOCK, device=bias.device)[:, None]
    asked = torch.arange(block * _BLOCK - around, (block + 1) * _BLOCK + around, device=bias.device)[None, :]
    # Moments after the end attend to the last ones: they are cut off later, and a row of -inf only would be NaN.
    place = asked - (asking - _REACH).clamp(0, length - WINDOW)
    later = (asked - asking + WINDOW - 1).clamp(0, 2 * WINDOW - 2)
    order = torch.arange(WINDOW, device=bias.device)
    between = order[None, :] - order[:instruments, None] + WINDOW - 1
    # (H, I, _BLOCK, WINDOW, span)
    table = bias[:, between[:, None, :, None], later[None, :, None, :]]
    table = table.masked_fill(((place < 0) | (place >= WINDOW))[None, None, :, None, :], float("-inf"))
    return table.reshape(bias.shape[0], instruments * _BLOCK, WINDOW * span)
