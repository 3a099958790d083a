"""Where the time of each step is: sampled with py-spy, as collapsed stacks, of which speedscope draws a flame graph, and as shares of our
functions.

Each step is run by itself in a new process, its engine's loading included. It hears what the steps before it found in a run beforehand, in
which the separation was Spleeter's. py-spy looks at all threads of Python, 50 times a second; native threads are seen as the call that
waits for them.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from schemas.steps import FINDING
from tasks.common.storage.atomic import atomic_write
from tests.performance.bench import samples
from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.kernels import run_kernels
from tests.performance.bench.processes import end_of, new_place, run, surroundings
from tests.performance.bench.request import Request
from tests.performance.bench.tables import table

_PER_SEC: Final = 50
_TOP: Final = 5
_ALLOW: Final = "Allow ptrace: for containers `--cap-add SYS_PTRACE`, on Linux `kernel.yama.ptrace_scope` up to 1, on macOS run it as root"


def refuse(_: Request) -> None:
    """Raises BenchmarkFailed where py-spy is missing or may not look into processes."""
    with new_place() as place:
        raw = place / "trial.raw"
        program = py_spy()
        try:
            run("A trial", [program, *_record(raw), sys.executable, "-c", "import time; time.sleep(0.5)"])
            seen = samples.read(raw.read_text(encoding="utf-8"))
        except (BenchmarkFailed, OSError) as error:
            raise BenchmarkFailed(f"py-spy may not trace processes here: {error}", _ALLOW) from error
        if not seen:
            raise BenchmarkFailed("py-spy sees nothing of the processes here", _ALLOW)


def py_spy() -> str:
    """The program. Raises BenchmarkFailed."""
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        raise BenchmarkFailed("py-spy is not installed", "Run `pip install 'performia[dev]'`")
    return found


def measure(request: Request) -> dict[str, Any]:
    """{"steps": {step: {"samples", "stacks", "top": {function: share}}}}. Raises BenchmarkFailed."""
    with new_place() as place:
        environment = surroundings(place)
        request.tell("profile: what each step hears of the others")
        results = place / "results.json"
        before = [*request.words, "--engine", "separation=spleeter", "--keep-results", results]
        run_kernels(request.song, before, environment)
        steps = {}
        for step in FINDING:
            request.tell(f"profile: {step}")
            stacks = sample(step, request.song, [*request.words, "--given-results", results], place, environment)
            kept = _kept(request.profiles, step, stacks)
            steps[step] = {"samples": sum(stacks.values()), "stacks": kept, "top": samples.shares(stacks, _TOP)}
    return {"song": request.song.stem, "samples_per_second": _PER_SEC, "steps": steps}


def sample(step: str, song: Path, words: Sequence[object], place: Path, environment: Mapping[str, str]) -> samples.Stacks:
    """The samples of one step in a new process. words: for tests.performance.bench.kernels. Raises BenchmarkFailed."""
    raw, found = place / f"{step}.raw", place / f"{step}.json"
    program = [sys.executable, "-m", "tests.performance.bench.kernels", song.resolve(), *words, "--steps", step, "--keep-results", found]
    ran = run(f"py-spy at {step}", [py_spy(), *_record(raw), *program], environment)
    # py-spy ends well also where the program does not.
    if not found.is_file():
        raise BenchmarkFailed(f"The step {step} failed under py-spy: {end_of(ran.log)}")
    return samples.of_step(samples.read(raw.read_text(encoding="utf-8")))


def _record(raw: Path) -> list[object]:
    # Idle threads too: one that waits for native code, such as CTranslate2's threads, counts as idle.
    return ["record", "--format", "raw", "--rate", _PER_SEC, "--idle", "--function", "-o", raw, "--"]


def _kept(folder: Path | None, step: str, stacks: samples.Stacks) -> str | None:
    """The name of the file, `folder/step.collapsed`; None without a folder or without a sample."""
    if folder is None or not stacks:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / f"{step}.collapsed", samples.collapsed(stacks).encode())
    return f"{folder.name}/{step}.collapsed"


def report(figures: Mapping[str, Any]) -> str:
    rows = [
        (step if first else "", row["samples"] if first else None, function, f"{share:.0%}")
        for step, row in figures["steps"].items()
        for first, (function, share) in ((number == 0, item) for number, item in enumerate(row["top"].items()))
    ]
    return table(("step", "samples", "our function, with what it calls in libraries", "share"), rows)
