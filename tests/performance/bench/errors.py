"""What goes wrong while measuring."""

from __future__ import annotations

from tasks.common.errors import PerformiaError


class BenchmarkFailed(PerformiaError):
    code = "BENCHMARK_FAILED"
    todo = "Run `performia analyze` on the song and see"
