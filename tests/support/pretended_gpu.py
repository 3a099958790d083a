"""A GPU that is not there: what is asked for on it is written down, and done on the CPU.

torch's modules, tensors and checkpoints and CTranslate2's models are told another device before they see the one that was asked for. What
a GPU computes is not tested so, but which engines ask for one, and with what.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ctranslate2
import pytest
import torch

from tasks.common.settings import reset_settings

_GPU = re.compile(r"(cuda|mps)(:\d+)?")
#: Those of torch's functions that make a tensor on a device.
_FACTORIES = (
    *("tensor", "as_tensor", "zeros", "ones", "empty", "full", "arange", "linspace", "eye", "rand", "randn", "randint", "hann_window"),
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"),
)
_METHODS = ("to", "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor")


class PretendedGpu:
    """devices: those that torch and CTranslate2 were asked for; to be cleared between two engines. emptied: how often torch's cache was."""

    def __init__(self) -> None:
        self.devices: set[str] = set()
        self.emptied = 0

    def on_cpu(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with every device of a GPU among its arguments written down and exchanged."""

        @functools.wraps(function)
        def asked(*inputs: Any, **options: Any) -> Any:
            return function(*map(self._exchanged, inputs), **{name: self._exchanged(value) for name, value in options.items()})

        return asked

    def _exchanged(self, value: Any) -> Any:
        name = str(value) if isinstance(value, str | torch.device) else ""
        if not _GPU.fullmatch(name):
            return value
        self.devices.add(name)
        return "cpu"

    def moved(self, what: Any, device: int | str | None = None, *_: Any, **__: Any) -> Any:
        """`cuda()` of a tensor or a module: it stays where it is."""
        self.devices.add("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else str(device))
        return what

    def whisper(self, original: Any) -> Callable[..., Any]:
        """CTranslate2's class of Whisper models."""

        def load(path: str, device: str = "cpu", **options: Any) -> Any:
            if device == "cpu":
                return original(path, device=device, **options)
            assert options["compute_type"] == "float16"
            self.devices.add(f"{device}:{options['device_index']}" if options.get("device_index") else device)
            return original(path, device="cpu", **{**options, "compute_type": "int8", "device_index": 0})

        return load


@contextmanager
def pretended_gpu(device: str = "cuda") -> Iterator[PretendedGpu]:
    """Let the settings name this device, and torch and CTranslate2 have it."""
    gpu = PretendedGpu()

    def empty_cache() -> None:
        gpu.emptied += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFORMIA_DEVICE", device)
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: False)
        patch.setattr(torch.cuda, "empty_cache", empty_cache)
        for name in _FACTORIES:
            patch.setattr(torch, name, gpu.on_cpu(getattr(torch, name)))
        for name in _METHODS:
            patch.setattr(torch.Tensor, name, gpu.on_cpu(getattr(torch.Tensor, name)))
        patch.setattr(torch.nn.Module, "to", gpu.on_cpu(torch.nn.Module.to))
        patch.setattr(torch, "load", gpu.on_cpu(torch.load))
        for kind in (torch.Tensor, torch.nn.Module):
            patch.setattr(kind, "cuda", gpu.moved)
        patch.setattr(ctranslate2.models, "Whisper", gpu.whisper(ctranslate2.models.Whisper))
        reset_settings()
        yield gpu
    reset_settings()
