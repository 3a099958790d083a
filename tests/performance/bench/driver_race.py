"""The command `performia`, where the steps after the separation read given stems: for a separation with random weights, which gives noise.

    python -m tests.performance.bench.driver_race STEMS.json ARGUMENT...

The arguments are those of `performia`; STEMS.json is as `tests.performance.bench.kernels` keeps it.

The separation does its whole work; only its answer is exchanged.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from deployments.cli.main import main as performia
from schemas.results import StemSet
from tasks.separation import separate_stems


def main() -> None:
    given = StemSet.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    separate_song = separate_stems.body

    def separate_and_exchange(*inputs: Any) -> StemSet:
        return given.model_copy(update={"report": separate_song(*inputs).report})

    separate_stems.body = separate_and_exchange
    sys.argv[1:] = sys.argv[2:]
    performia()


if __name__ == "__main__":
    main()
