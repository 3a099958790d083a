"""The newest supported Python that runs here, other than this one: an environment of it, imports, `performia --help`, a short song.

    make check-newer-python

Where no other Python is installed, it says so and checks nothing: none can be fetched from a package index.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from check_package import ROOT, say, short_song

NEWEST_FIRST = ("python3.13", "python3.12")


def main() -> None:
    python = newest()
    if python is None:
        say(f"no other supported Python than {sys.version_info.major}.{sys.version_info.minor} runs here: nothing is checked")
        return
    say(python)
    with tempfile.TemporaryDirectory(prefix="performia-python-") as name:
        folder = Path(name)
        subprocess.run([python, str(ROOT / "deployments" / "environment.py"), "demo", str(folder / "environment")], check=True)
        performia = folder / "environment" / "bin" / "performia"
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PERFORMIA_OFFLINE": "1"}
        run = [[str(performia), "--help"], [str(performia), "analyze", str(short_song(folder)), "-o", str(folder / "out")]]
        for command in [[str(performia.with_name("python")), "-c", "from flows import analyze_song"], *run]:
            say(" ".join(command[:2]))
            subprocess.run(command, cwd=folder, env=environment, check=True)
    print(f"{Path(python).name} works", flush=True)


def newest() -> str | None:
    """The path of the newest Python that is not of this one's version."""
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in NEWEST_FIRST:
        done = subprocess.run(["sh", str(ROOT / "deployments" / "find_python.sh"), name], capture_output=True, text=True, check=False)
        if name != own and done.returncode == 0:
            return done.stdout.splitlines()[0]
    return None


if __name__ == "__main__":
    main()
