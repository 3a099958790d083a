"""A cluster that a run starts on this machine is for this run alone: Dask and Ray run any code that whoever reaches them sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.scale_out]

#: Starts a cluster as a run does, lets a stranger try, and tells who listens where.
_CLUSTER = """
import json, os, subprocess, sys
import psutil

if __name__ == "__main__":
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from tasks.common.orchestration import task_runners
    from tasks.common.settings import Settings

    kind, stranger, home = sys.argv[1:]
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        task_runners.make_task_runner(Settings(task_runner=kind))
    if kind == "dask":
        address = task_runners._dask_cluster.scheduler_address
    else:
        import ray
        address = ray.get_runtime_context().gcs_address
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = sorted({
        connection.laddr.ip for process in ours for connection in process.net_connections("inet") if connection.status == psutil.CONN_LISTEN
    })
    token = os.environ.get("RAY_AUTH_TOKEN")
    told = [process.pid for process in ours if token and token in " ".join(process.cmdline())]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"HOME": home}
    try:
        command = [sys.executable, "-c", stranger, address]
        tried = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30).stdout
    except subprocess.TimeoutExpired:  # Ray asks again for a while
        tried = ""
    print(json.dumps({"listening": listening, "told": told, "tried": tried}))
    task_runners.close_clusters()
"""

_STRANGER = {
    "dask": "import os, sys, distributed; print('ran', distributed.Client(sys.argv[1], timeout=10).submit(os.getpid).result(timeout=10))",
    "ray": "import os, sys, ray; ray.init(sys.argv[1]); print('ran', ray.get(ray.remote(os.getpid).remote(), timeout=20))",
}


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_stranger_has_nothing_run_by_the_cluster_of_a_run(kind: str, tmp_path: Path) -> None:
    pytest.importorskip(f"prefect_{kind}", reason=f"pip install 'performia[{kind}]'")
    (tmp_path / "cluster.py").write_text(_CLUSTER)
    (tmp_path / "home").mkdir()
    # The user's home is readable by all, with a token for Ray in it, as Ray leaves it there.
    (tmp_path / "home" / ".ray").mkdir()
    (tmp_path / "home" / ".ray" / "auth_token").write_text("0" * 64)
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "RAY_TMPDIR": "/tmp"}
    command = [sys.executable, str(tmp_path / "cluster.py"), kind, _STRANGER[kind], str(tmp_path / "home")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    assert set(found["listening"]) <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert found["told"] == []
    assert "ran" not in found["tried"]
