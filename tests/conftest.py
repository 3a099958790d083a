"""What all tests share: nothing they do reaches the network or the user's home, and each has a data directory of its own."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# Started in the background, a shell lets its children ignore Ctrl-C, and so would the commands that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Prefect reads its settings when it is imported, so its home is set before any test module is.
_HOME = tempfile.TemporaryDirectory(prefix="performia-tests-")
os.environ["PREFECT_HOME"] = f"{_HOME.name}/prefect"
os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] = f"{_HOME.name}/prefect-results"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ.pop("PREFECT_API_URL", None)
for name in [name for name in os.environ if name.startswith("PERFORMIA_")]:
    del os.environ[name]
# Functions are compiled once for all processes of the tests: half a minute of a core. A worker of pytest-xdist inherits the folder.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = f"{_HOME.name}/numba"
# Threads that wait for each other sleep. By default they turn in a loop, the longer the more processes share the cores: on a busy machine
# that was nine tenths of what the networks of tests/integration/test_placement.py took. libgomp reads it when torch is imported.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["PERFORMIA_OFFLINE"] = "1"
os.environ["PERFORMIA_DATA_DIR"] = f"{_HOME.name}/data"
os.environ["HF_HUB_OFFLINE"] = "1"

DEMO = Path(__file__).parent / "demo_song"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory for this test alone."""
    from tasks.common.settings import reset_settings

    folder = tmp_path / "performia-data"
    monkeypatch.setenv("PERFORMIA_DATA_DIR", str(folder))
    reset_settings()
    yield folder
    reset_settings()


@pytest.fixture(scope="module", autouse=True)
def loaded_models() -> Iterator[None]:
    """Networks that the tests of a module loaded are dropped after it: with those of all modules a process would hold gigabytes."""
    yield
    if "tasks.common.models" in sys.modules:
        from tasks.common import models
        from tasks.common.memory import return_free_memory

        models.unload_all()
        gc.collect()
        return_free_memory()


@pytest.fixture
def ctx(data_dir: Path) -> Iterator[Any]:
    """A step's context on this test's data directory."""
    from tasks.common.step import local_context

    with local_context() as context:
        yield context


@pytest.fixture(scope="session")
def prefect_api_home(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the test session's Prefect API, for it alone."""
    home = tmp_path_factory.mktemp("prefect-api") / "prefect"
    shutil.copytree(prefect_database, home)
    return home


@pytest.fixture(scope="session")
def prefect_api(prefect_api_home: Path) -> Iterator[None]:
    """A Prefect API for this test session: the server that our commands run with."""
    from prefect.context import _temporary_global_settings_context, get_settings_context

    from deployments.server.embedded_api import EmbeddedApi

    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PREFECT_HOME", str(prefect_api_home))
            stack.enter_context(EmbeddedApi(prefect_api_home / "api.log"))
        # As Prefect's own test harness does: threads that tests start have no context, and read the settings here.
        stack.enter_context(_temporary_global_settings_context(get_settings_context()))
        yield


@pytest.fixture
def api_environment(prefect_api: None) -> dict[str, str]:
    """What a process of its own needs to use the test session's API."""
    from prefect.settings import get_current_settings

    api = get_current_settings().api
    password = {"PREFECT_API_AUTH_STRING": api.auth_string.get_secret_value()} if api.auth_string else {}
    return {"PREFECT_API_URL": str(api.url), **password}


@pytest.fixture(scope="session")
def source_from() -> Any:
    """source_from(ref): an ingested song whose decode is `ref`, with nothing known of its file."""
    from schemas.results import AudioRef, Loudness, SongSource, StepReport, Tags

    def make(ref: AudioRef) -> SongSource:
        return SongSource(
            report=StepReport(step="ingest"),
            song_id=ref.sha256[:16],
            audio=ref,
            duration_sec=ref.duration_sec,
            tags=Tags(),
            loudness=Loudness(integrated_lufs=-14.0, peak_dbfs=-1.0),
            file_sha256="f" * 64,
            file_bytes=1000,
            container="wav",
            codec="pcm_f32le",
            decoder="test",
            original_sample_rate=44100,
            original_channels=2,
        )

    return make


@pytest.fixture(scope="session")
def demo_song() -> Path:
    return DEMO / "demo_song.ogg"


@pytest.fixture(scope="session")
def demo_truth() -> dict[str, Any]:
    """The demo song's exact annotations."""
    truth: dict[str, Any] = json.loads((DEMO / "demo_song.json").read_text(encoding="utf-8"))
    return truth


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Prefect home whose database is made: a first start takes long to make it. Copied, never used; one for all workers."""
    from tasks.common.locks import hold

    own = tmp_path_factory.getbasetemp()
    place = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    home, half_made = place / "prefect-database", place / "prefect-database.half"
    with hold(place / "prefect-database.lock"):
        if not home.exists():
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
            subprocess.run(command, env={**os.environ, "PREFECT_HOME": str(half_made)}, check=True, capture_output=True)
            half_made.rename(home)
    return home


@pytest.fixture
def prefect_home(tmp_path: Path, prefect_database: Path) -> Path:
    """A Prefect home of this test's own, with a database."""
    shutil.copytree(prefect_database, tmp_path / "prefect")
    return tmp_path / "prefect"
