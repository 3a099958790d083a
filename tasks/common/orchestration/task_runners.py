"""What runs the steps of a song, as the settings say when a run starts: threads of the flow's process, or workers of a Dask or Ray cluster.

A cluster's workers are other processes, maybe on other machines. They report to the same Prefect server and use the same stores. Without
an address, a cluster of this machine is started when the first run needs it and ends with the process; all its runs share it, so a worker
loads a model once.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import secrets
import sys
import threading
from pathlib import Path
from typing import Any, Final, Literal

from prefect.settings import PREFECT_API_URL
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.common.errors import TaskRunnerUnavailable
from tasks.common.orchestration.prefect_private import LateTaskRunner
from tasks.common.resources import available_cores
from tasks.common.settings import Settings, get_settings, is_remote, local_path, reset_settings

_CONNECT_SEC: Final = 15
#: A song never has more steps at once, and each worker holds models of its own.
_MOST_WORKERS: Final = 4
#: Results are small; audio goes through the artifact store.
_RAY_OBJECTS_BYTES: Final = 200_000_000

_guard = threading.Lock()
_dask_cluster: Any = None


class ChosenTaskRunner(LateTaskRunner):
    """Stands in a flow's decorator for the task runner that the settings name when a run starts."""

    def __init__(self, unavailable: TaskRunnerUnavailable | None = None):
        super().__init__()  # type: ignore[no-untyped-call]
        self.unavailable = unavailable

    def chosen(self) -> TaskRunner[Any]:
        try:
            return make_task_runner(get_settings())
        except TaskRunnerUnavailable as error:
            # An error here would leave the run pending for ever; its first step raises it, and the run fails as any other.
            return ChosenTaskRunner(error)

    def submit(self, *_inputs: Any, **_options: Any) -> Any:
        raise self.unavailable or RuntimeError("Only a run has a task runner")

    map = submit


def make_task_runner(settings: Settings) -> TaskRunner[Any]:
    """The task runner that the settings name. Raises TaskRunnerUnavailable."""
    if settings.task_runner == "threads":
        return ThreadPoolTaskRunner()
    if not PREFECT_API_URL.value():
        raise TaskRunnerUnavailable(
            f"The workers of {settings.task_runner} need a Prefect server that they can reach",
            "Start one (`performia serve` or `prefect server start`) and set PREFECT_API_URL",
        )
    return _dask(settings) if settings.task_runner == "dask" else _ray(settings)


def worker_environment(settings: Settings) -> dict[str, str]:
    """What the workers must agree on with this process; where their own data directory, models and device are is theirs."""
    found = {
        "PERFORMIA_TASK_RUNNER": "threads",  # a worker has no workers
        "PERFORMIA_ARTIFACT_STORE": _absolute(settings.artifacts_url),
        "PERFORMIA_RESULTS_STORE": _absolute(settings.results_url),
        "PERFORMIA_OFFLINE": str(int(settings.offline)),
    }
    return {**found, "PERFORMIA_STORE_SECRET": settings.store_secret} if settings.store_secret else found


def close_clusters() -> None:
    """End the clusters that this process has started."""
    global _dask_cluster
    with _guard:
        if _dask_cluster is not None:
            _dask_cluster.close()
            _dask_cluster = None
        if ray := sys.modules.get("ray"):
            ray.shutdown()


def _dask(settings: Settings) -> TaskRunner[Any]:
    distributed, prefect_dask = _installed("distributed", "dask"), _installed("prefect_dask", "dask")
    logging.getLogger("distributed").setLevel(logging.ERROR)
    address, security = (settings.task_runner_address, None) if settings.task_runner_address else _local_dask(distributed)
    try:
        with distributed.Client(address, timeout=_CONNECT_SEC, set_as_default=False, security=security) as client:
            client.register_plugin(_worker_settings(distributed, worker_environment(settings)), name="performia-settings")
    except (OSError, ValueError) as error:
        raise TaskRunnerUnavailable(f"No Dask scheduler answers at {address} ({error})") from error
    runner: TaskRunner[Any] = prefect_dask.DaskTaskRunner(address=address, client_kwargs={"security": security} if security else None)
    return runner


def _local_dask(distributed: Any) -> tuple[str, Any]:
    """The address of this process's own cluster, and what whoever connects to it must have."""
    global _dask_cluster
    with _guard:
        if _dask_cluster is None:
            # Of what Dask tells over HTTP, nothing.
            with importlib.import_module("dask").config.set({f"distributed.{part}.http.routes": [] for part in ("scheduler", "worker")}):
                _dask_cluster = distributed.LocalCluster(
                    n_workers=min(available_cores(), _MOST_WORKERS),
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                    memory_limit=0,  # engines that run out of memory say so, and the next one is tried; Dask would kill the worker
                    silence_logs=logging.ERROR,
                    # Certificates that only these processes have: whoever connects can have any code run.
                    security=True,
                )
            atexit.register(close_clusters)
        return _dask_cluster.scheduler_address, _dask_cluster.security


def _worker_settings(distributed: Any, environment: dict[str, str]) -> Any:
    """A Dask plugin that gives every worker, also later ones, the settings of this run."""

    class WorkerSettings(distributed.WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:  # noqa: ARG002 (Dask names it)
            os.environ.update(environment)
            reset_settings()

    return WorkerSettings()


def _ray(settings: Settings) -> TaskRunner[Any]:
    # Ray would tell its makers that it is used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not settings.task_runner_address:
        for name, value in _own_ray().items():
            os.environ.setdefault(name, value)
    ray, prefect_ray = _installed("ray", "ray"), _installed("prefect_ray", "ray")
    with _guard:
        if not ray.is_initialized():
            address = settings.task_runner_address
            here: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _RAY_OBJECTS_BYTES, "_node_ip_address": "127.0.0.1"}
            try:
                ray.init(
                    address or "local",
                    namespace="performia",
                    runtime_env={"env_vars": worker_environment(settings)},
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    **({} if address else here),
                )
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise TaskRunnerUnavailable(f"No Ray cluster answers at {address or 'this machine'} ({error})") from error
            atexit.register(close_clusters)
    runner: TaskRunner[Any] = prefect_ray.RayTaskRunner()
    return runner


def _own_ray() -> dict[str, str]:
    """What keeps a Ray cluster of this process to itself. Ray reads it when it is imported, and its processes inherit it."""
    return {
        # Without clusters of several machines, Ray listens on loopback; with them, on every address, whatever it is told.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        # Unsaid, Ray would take the token in the user's home, which other users may be able to read.
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


def _installed(module: str, extra: Literal["dask", "ray"]) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise TaskRunnerUnavailable(f"The task runner {extra} is not installed ({error})", f"pip install 'performia[{extra}]'") from error


def _absolute(url: str) -> str:
    return url if is_remote(url) else str(Path(local_path(url)).absolute())
