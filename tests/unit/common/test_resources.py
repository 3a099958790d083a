"""The device policy, and what counts as out of memory."""

import pytest

from tasks.common import resources
from tasks.common.settings import reset_settings


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), True),
        (ValueError("shape mismatch"), False),
    ],
)
def test_out_of_memory_is_recognised_by_kind_and_by_text(error: Exception, expected: bool) -> None:
    assert resources.is_out_of_memory(error) is expected


def test_the_cause_of_an_error_counts() -> None:
    error = ValueError("wrapped")
    error.__cause__ = MemoryError()
    assert resources.is_out_of_memory(error)


def test_the_settings_choose_device_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_DEVICE", "cuda:1")
    monkeypatch.setenv("PERFORMIA_THREADS", "3")
    reset_settings()
    assert resources.best_device() == "cuda:1"
    assert resources.may_have_cuda()
    assert resources.threads() == 3


def test_without_settings_there_is_a_device_and_a_thread() -> None:
    assert resources.best_device().split(":")[0] in {"cpu", "cuda", "mps"}
    assert resources.threads() == resources.available_cores() >= 1


def test_autocast_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(resources, "cpu_has_bfloat16", lambda: True)
    assert resources.autocast_dtype("cpu") is torch.bfloat16
    monkeypatch.setattr(resources, "cpu_has_bfloat16", lambda: False)
    assert resources.autocast_dtype("cpu") is None
    assert resources.autocast_dtype("mps") is None
