"""Buffers for a network's intermediate tensors, kept from one operation to the next.

Memory that is allocated anew for each operation costs more time than the operation itself: the system hands out fresh pages.
"""

from __future__ import annotations

import math
import queue
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor


class TensorBuffers:
    """The buffers of one network, or of several one after the other; of the type and on the device of `like`."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._kept: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """An uninitialised tensor of this shape. It is valid until the next one of this name is taken."""
        size = math.prod(shape)
        if name not in self._kept or len(self._kept[name]) < size:
            self._kept[name] = self._like.new_empty(size)
        return self._kept[name][:size].view(shape)


class BufferPool:
    """The buffers of networks that run side by side: each takes those that one that is done has left."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._free: queue.SimpleQueue[TensorBuffers] = queue.SimpleQueue()

    @contextmanager
    def one(self) -> Iterator[TensorBuffers]:
        try:
            buffers = self._free.get_nowait()
        except queue.Empty:
            buffers = TensorBuffers(self._like)
        yield buffers
        self._free.put(buffers)
