"""What Prefect adds to one song, and how long the same song takes again: in a warm process with a running server, and in a new process."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any, Final

from tests.performance.bench.processes import analyse, child, new_place, surroundings
from tests.performance.bench.request import Request
from tests.performance.bench.tables import table

_NEW_PROCESSES: Final = 3
_SHOWN: Final = {
    "steps_at_once_sec": "a run whose steps answer at once",
    "plain_functions_sec": "the same steps and packaging as plain functions",
    "prefect_share_sec": "the difference: what Prefect adds",
    "cached_running_server_sec": "the same song again, warm process, running server",
    "cached_into_another_folder_sec": "the same, into a folder without it",
    "cached_new_process_sec": "the same song again, new process, API of its own",
}


def measure(request: Request) -> dict[str, Any]:
    """Medians, as tests/performance/bench/driver_prefect.py says. Raises BenchmarkFailed."""
    song = request.song
    with new_place() as place:
        environment = surroundings(place)
        request.tell(f"prefect: {song.name} once as it is, then with steps that answer at once")
        words = [song.resolve(), place / "warm", *request.words]
        figures = child("tests.performance.bench.driver_prefect", f"The warm process with {song.name}", words, environment)
        request.tell(f"prefect: {song.name} from the cache, in new processes")
        again = [analyse(song, place, environment, request.words)[0].wall_sec for _ in range(_NEW_PROCESSES)]
    return {
        "song": song.stem,
        **figures,
        "new_processes": _NEW_PROCESSES,
        "cached_new_process_sec": round(statistics.median(again), 3),
    }


def report(figures: Mapping[str, Any]) -> str:
    return table((f"{figures['song']}, median", "s"), [(what, figures[name]) for name, what in _SHOWN.items()])
