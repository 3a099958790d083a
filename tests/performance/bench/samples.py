"""The samples of a profiler: which stacks are of the step, and in which of our functions the time is.

A stack is a sequence of frames, outermost first, each `name (file:line)` as py-spy writes it. Counts are samples of one thread.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

Stack = tuple[str, ...]
Stacks = Mapping[Stack, int]

#: What calls a step's function in tests/performance/bench/kernels.py; below it lies the step.
_CALL: Final = re.compile(r"\bcall \(tests/performance/bench/kernels\.py:")
_THREAD: Final = re.compile(r"_bootstrap \(threading\.py:")
_OWN: Final = re.compile(r"^(?P<name>.*) \((?P<file>tasks/.*\.py):\d+\)$")
_IMPORTING: Final = "(<frozen importlib."
#: A thread whose innermost frame lies here waits for another one.
_WAITING: Final = re.compile(r"\((threading|queue|selectors|concurrent/futures/\w+)\.py:\d+\)$")
_THREADS: Final = "other threads of the step"


def read(raw: str) -> Counter[Stack]:
    """py-spy's raw format: a line a stack, frames separated by semicolons, then a space and the count."""
    stacks: Counter[Stack] = Counter()
    for line in raw.splitlines():
        frames, _, count = line.rpartition(" ")
        stacks[tuple(frames.split(";"))] += int(count)
    return stacks


def collapsed(stacks: Stacks) -> str:
    """The same as text, the largest first: collapsed stacks, which speedscope and flamegraph.pl read."""
    return "".join(f"{';'.join(stack)} {count}\n" for stack, count in sorted(stacks.items(), key=lambda item: (-item[1], item[0])))


def of_step(stacks: Stacks) -> Counter[Stack]:
    """Those within the step's function, cut down to it, and those of the threads it started; nothing of what only waits for another thread.

    Frames of the import machinery are left out: each import has five.
    """
    found: Counter[Stack] = Counter()
    for stack, count in stacks.items():
        below = () if _WAITING.search(stack[-1]) else _below(stack)
        if below:
            found[tuple(frame for frame in below if _IMPORTING not in frame)] += count
    return found


def _below(stack: Stack) -> Stack:
    for index, frame in enumerate(stack):
        if _CALL.search(frame):
            return stack[index + 1 :]
    if _THREAD.search(stack[0]):
        own = next((index for index, frame in enumerate(stack) if _OWN.match(frame)), None)
        return () if own is None else (_THREADS, *stack[own:])
    return ()


def shares(stacks: Stacks, count: int) -> dict[str, float]:
    """{"tasks/asr/timing.py:sharpened": share of the samples}, the largest `count`. A sample belongs to the innermost of our functions on
    its stack, with all that this calls in libraries; the execution of a module is `(import)`.
    """
    total = sum(stacks.values())
    by_function: Counter[str] = Counter()
    for stack, samples in stacks.items():
        by_function[_innermost(stack)] += samples
    return {name: round(samples / total, 3) for name, samples in by_function.most_common(count)}


def _innermost(stack: Stack) -> str:
    own = next((found for found in map(_OWN.match, reversed(stack)) if found), None)
    if own is None:
        return "elsewhere"
    return f"{own['file']}:{own['name'].replace('<module>', '(import)')}"
