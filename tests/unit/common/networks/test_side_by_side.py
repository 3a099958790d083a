"""Networks at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tasks.common.networks import side_by_side as module
from tasks.common.networks.side_by_side import compute_on_one_thread, side_by_side


def test_a_thread_of_a_pool_computes_alone_and_others_do_not() -> None:
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1, initializer=compute_on_one_thread) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == before
    assert torch.get_num_threads() == before


def test_networks_run_at_once_and_answer_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "threads", lambda: 2)
    both = threading.Barrier(2, timeout=30)

    def network(factor: int) -> object:
        def run(x: torch.Tensor) -> tuple[int, bool]:
            both.wait()  # passes only while two run
            return int(x.sum()) * factor, torch.is_inference_mode_enabled()

        return run

    assert list(side_by_side([network(n) for n in range(4)], torch.ones(3), "cpu")) == [(3 * n, True) for n in range(4)]  # type: ignore[misc]


def test_on_a_gpu_they_run_one_after_the_other_in_the_callers_thread() -> None:
    names = list(side_by_side([lambda _: threading.current_thread().name] * 3, None, "cuda"))
    assert names == [threading.current_thread().name] * 3
