"""One song's steps on the workers of real Dask and Ray clusters, with real engines: same flow, same map, other processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tasks.packager.validation import validate_file

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.scale_out, pytest.mark.usefixtures("prefect_api")]

#: The cheapest real engine of each step. A script with a main guard, as the workers of a local cluster import it too.
ANALYSIS = """
import json, os, sys
from pathlib import Path

if __name__ == "__main__":
    from flows import analyze_song
    from flows.folder_analysis.flow import analyze_folder
    from schemas.options import AnalysisOptions
    from schemas.steps import Step

    engines = {Step.separation: "dsp", Step.asr: "faster-whisper:tiny.en", Step.beats_key: "librosa", Step.chords: "templates"}
    options = AnalysisOptions(engines=engines)
    song, out = Path(sys.argv[1]), Path(sys.argv[2])
    runs = []
    for number in (1, 2):
        song_map = analyze_song(song, options, out / str(number))
        steps = {name: [step.status, step.cached] for name, step in song_map.steps}
        runs.append({"status": song_map.status, "steps": steps, "map": str(song_map.folder / "song_map.json"), "id": song_map.id})
    heavy = "faster_whisper" in sys.modules or "librosa" in sys.modules
    folder = analyze_folder(song.parent, options, out / "folder")
    print(json.dumps({"pid": os.getpid(), "heavy": heavy, "runs": runs, "folder": folder.model_dump()}))
"""

#: Writes down which process runs which step; see `sitecustomize` in Python's manual.
WITNESS = """
import importlib.machinery, os, sys

class Witness:
    def find_spec(self, name, path=None, target=None):
        if name != "tasks.common.step":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            run_chain = module.run_chain

            def seen(plan, *inputs):
                with open(os.environ["STEP_LOG"], "a") as log:
                    log.write(f"{plan.step} {os.getpid()}\\n")
                return run_chain(plan, *inputs)

            module.run_chain = seen

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Witness())
"""


@pytest.fixture
def excerpt(demo_song: Path, tmp_path: Path) -> Path:
    """Twenty seconds of the demo song: a verse and the start of a chorus."""
    samples, rate = soundfile.read(demo_song)
    path = tmp_path / "songs" / "excerpt.wav"
    path.parent.mkdir()
    soundfile.write(path, samples[9 * rate : 29 * rate], rate)
    return path


@pytest.fixture
def environment(tmp_path: Path, short_folder: Path, api_environment: dict[str, str]) -> dict[str, str]:
    """The environment of every process of a test: the flow's, and those that the test starts as workers."""
    for name, content in (("analysis.py", ANALYSIS), ("sitecustomize.py", WITNESS)):
        (tmp_path / name).write_text(content)
    (tmp_path / "home").mkdir()
    return {
        **os.environ,
        "HOME": str(tmp_path / "home"),  # Ray keeps the token of its clusters there
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "STEP_LOG": str(tmp_path / "steps.log"),
        **api_environment,
        "PERFORMIA_DATA_DIR": str(tmp_path / "flow-data"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(short_folder),
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """start(command, environment): a process of a cluster; it and its children are gone at the end of the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (tmp_path / f"cluster-{len(started)}.log").open("wb") as log:
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
        return started[-1]

    yield run
    for process in reversed(started):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    for process in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise TimeoutError(f"nothing listens on {port}")


def analyze_twice(song: Path, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, str(folder / "analysis.py"), str(song), str(folder / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def assert_done_elsewhere(answer: dict[str, Any], folder: Path) -> None:
    """A valid map by steps that ran in other processes than the flow's, more than one of them; then a run and a batch from the cache."""
    first, second = answer["runs"]
    assert first["status"] == second["status"] == "complete", first["steps"]
    assert not any(cached for _, cached in first["steps"].values())
    assert all(cached for _, cached in second["steps"].values())
    assert first["id"] == second["id"]
    assert validate_file(Path(first["map"])) == []
    ran = [line.split() for line in (folder / "steps.log").read_text().splitlines()]
    assert sorted(step for step, _ in ran) == sorted(set(first["steps"]) - {"ingest"})
    assert str(answer["pid"]) not in {pid for _, pid in ran}
    assert len({pid for _, pid in ran}) >= 2
    assert not answer["heavy"]
    assert (answer["folder"]["songs"], answer["folder"]["cached"]) == (1, 1)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Where Ray may keep its sockets, whose paths must be short."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def shared_folder(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Stores that all machines mount, and nothing else in common."""
    return {
        **environment,
        "PERFORMIA_ARTIFACT_STORE": str(tmp_path / "shared/artifacts"),
        "PERFORMIA_RESULTS_STORE": str(tmp_path / "shared/r"),
    }


def test_dask_on_this_machine(excerpt: Path, environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("prefect_dask", reason="pip install 'performia[dask]'")
    answer = analyze_twice(excerpt, tmp_path, {**environment, "PERFORMIA_TASK_RUNNER": "dask"})
    assert_done_elsewhere(answer, tmp_path)


def test_dask_workers_that_share_only_a_bucket(
    excerpt: Path, environment: dict[str, str], start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """The song is on the flow's machine alone, and the workers know nothing of the stores: the flow tells them."""
    pytest.importorskip("prefect_dask", reason="pip install 'performia[dask]'")
    pytest.importorskip("s3fs", reason="pip install 'performia[s3]'")
    moto = pytest.importorskip("moto.server", reason="pip install 'moto[server]'")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        s3_url = "http://{}:{}".format(*server.get_host_and_port())
        credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
        everywhere = {**environment, **credentials, "AWS_ENDPOINT_URL": s3_url}
        make_bucket = "import s3fs; s3fs.S3FileSystem().mkdir('songs')"
        subprocess.run([sys.executable, "-c", make_bucket], env=everywhere, check=True)
        port = free_port()
        distributed = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        start([*distributed, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], everywhere)
        wait_for_port(port)
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-dashboard"]
        for number in (1, 2):
            own = {"PERFORMIA_DATA_DIR": str(tmp_path / f"worker-{number}")}
            start([*worker, "--local-directory", str(tmp_path)], {**everywhere, **own})
        flow = {
            **everywhere,
            "PERFORMIA_TASK_RUNNER": "dask",
            "PERFORMIA_TASK_RUNNER_ADDRESS": f"tcp://127.0.0.1:{port}",
            "PERFORMIA_ARTIFACT_STORE": "s3://songs/performia",
        }
        assert_done_elsewhere(analyze_twice(excerpt, tmp_path, flow), tmp_path)
    finally:
        server.stop()
    assert {path.parent.name for path in tmp_path.glob("*/scratch")} == {"flow-data", "worker-1", "worker-2"}


def test_ray_on_this_machine(excerpt: Path, environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("prefect_ray", reason="pip install 'performia[ray]'")
    answer = analyze_twice(excerpt, tmp_path, {**environment, "PERFORMIA_TASK_RUNNER": "ray"})
    assert_done_elsewhere(answer, tmp_path)


def test_a_ray_cluster_that_runs_already(
    excerpt: Path,
    shared_folder: dict[str, str],
    environment: dict[str, str],
    short_folder: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    pytest.importorskip("prefect_ray", reason="pip install 'performia[ray]'")
    port, client_port = free_port(), free_port()
    head = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2", "--include-dashboard=false"]
    ports = [f"--port={port}", f"--ray-client-server-port={client_port}", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000"]
    own = {"PERFORMIA_DATA_DIR": str(tmp_path / "worker-data")}
    start([*head, *ports, f"--temp-dir={short_folder}"], {**environment, **own})
    wait_for_port(client_port)
    flow = {**shared_folder, "PERFORMIA_TASK_RUNNER": "ray", "PERFORMIA_TASK_RUNNER_ADDRESS": f"ray://127.0.0.1:{client_port}"}
    assert_done_elsewhere(analyze_twice(excerpt, tmp_path, flow), tmp_path)
    assert (tmp_path / "shared" / "artifacts" / "audio").is_dir()
