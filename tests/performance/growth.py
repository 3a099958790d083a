"""How time and memory grow with the length of a recording: the steps as plain functions on 1 to 60 minutes of the same music.

usage: python tests/performance/growth.py SONG [--minutes 1 3 10 30 60] [--engine step=name]... [-o RESULTS.json]

The recording is the song over and over, cut at the length. The exponent of a step is the slope of log seconds over log length between the
two longest recordings: what is constant (loading a model) weighs little there. 1 is linear.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from flows.bench_command import surroundings
from tasks.common.resources import hardware

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 3, 10, 30, 60])
    parser.add_argument("--engine", action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, help="write the figures to this JSON file")
    arguments = parser.parse_args()
    rows = [measure(arguments.song, minutes, arguments.engine) for minutes in sorted(arguments.minutes)]
    result = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "rows": rows, "exponents": exponents(rows)}
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print_report(rows, result["exponents"])
    return 0


def measure(song: Path, minutes: float, engines: list[str]) -> dict[str, Any]:
    """Seconds of every step, and the peak memory, of so many minutes."""
    print(f"{minutes:g} minutes", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="performia-growth-") as folder:
        recording = Path(folder) / "recording.flac"
        write_recording(song, recording, minutes)
        chosen = [word for engine in engines for word in ("--engine", engine)]
        command = [sys.executable, str(HERE / "kernels.py"), str(recording), *chosen]
        run = subprocess.run(command, env=surroundings(Path(folder)), stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(run.stdout)
    return {"minutes": minutes, "seconds": figures["cold"], "peak_mib": figures["peak_mib"]}


def write_recording(song: Path, recording: Path, minutes: float) -> None:
    samples, rate = soundfile.read(song, dtype="int16", always_2d=True)
    wanted = round(60 * minutes * rate)
    with soundfile.SoundFile(recording, "w", samplerate=rate, channels=samples.shape[1]) as out:
        while out.frames < wanted:
            out.write(np.ascontiguousarray(samples[: wanted - out.frames]))


def exponents(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of every step and of all together."""
    if len(rows) < 2:
        return {}
    shorter, longer = rows[-2:]
    longer_by = math.log(longer["minutes"] / shorter["minutes"])

    def slope(before: float, after: float) -> float:
        return round(math.log(after / before) / longer_by, 3)

    steps = {step: slope(shorter["seconds"][step], longer["seconds"][step]) for step in longer["seconds"]}
    return {**steps, "all": slope(sum(shorter["seconds"].values()), sum(longer["seconds"].values()))}


def print_report(rows: list[dict[str, Any]], found: dict[str, float]) -> None:
    steps = list(rows[0]["seconds"])
    print("| minutes | all | " + " | ".join(steps) + " | peak MiB |")
    print("|" + " --- |" * (len(steps) + 3))
    for row in rows:
        seconds = row["seconds"]
        print(
            f"| {row['minutes']:g} | {sum(seconds.values()):.1f} | "
            + " | ".join(f"{seconds[step]:.1f}" for step in steps)
            + f" | {row['peak_mib']} |"
        )
    print(f"| exponent | {found.get('all', '')} | " + " | ".join(str(found.get(step, "")) for step in steps) + " | |")


if __name__ == "__main__":
    sys.exit(main())
