from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from service import tones

from flows.run.unreachable import named, refuse_unreachable
from tasks.common.errors import ApiUnreachable

NOBODY = "http://127.0.0.1:1/api"


def answered(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", f"{NOBODY}/task_runs/")
    try:
        httpx.Response(status, request=request).raise_for_status()
    except httpx.HTTPStatusError as error:
        return error
    raise AssertionError(status)


@pytest.mark.parametrize("error", [answered(503), answered(500), httpx.ConnectError("refused"), httpx.ReadTimeout("no answer")])
def test_what_the_client_raises_after_asking_in_vain_has_a_name(error: Exception) -> None:
    found = named(error)
    assert isinstance(found, ApiUnreachable)
    assert found.__cause__ is error
    assert "PREFECT_API_URL" in str(found)
    assert "://" not in str(found)


@pytest.mark.parametrize("error", [answered(404), ValueError("a bug"), ApiUnreachable("known")])
def test_any_other_error_stays_as_it_is(error: Exception) -> None:
    assert named(error) is error


@contextmanager
def server(status: int) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/api"
    finally:
        running.shutdown()
        running.server_close()


@pytest.mark.parametrize("status", [200, 404])
def test_a_server_that_answers_is_there(status: int) -> None:
    with server(status) as url, temporary_settings({PREFECT_API_URL: url}):
        refuse_unreachable(url)


def test_a_server_that_is_not_there_is_named() -> None:
    with temporary_settings({PREFECT_API_URL: NOBODY}), pytest.raises(ApiUnreachable, match=r"127\.0\.0\.1:1"):
        refuse_unreachable(NOBODY)


def test_the_password_of_an_address_is_not_told() -> None:
    url = "http://ann:secret@127.0.0.1:1/api"
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ApiUnreachable, match=r"at http://127\.0\.0\.1:1/api does") as caught:
        refuse_unreachable(url)
    assert "secret" not in str(caught.value)


_GOES_AWAY = """
import atexit, sys
from contextlib import nullcontext
from pathlib import Path
import httpx
from flows import song_analysis
from deployments.cli import analyze as analyze_command
from schemas.options import AnalysisOptions

class Api(nullcontext):
    of_settings = classmethod(lambda cls: cls())
    def begin(self): ...

def analyze_song(*_, **__):
    raise httpx.ConnectError("refused")

analyze_command.EmbeddedApi = Api
song_analysis.analyze_song = analyze_song
atexit.register(print, "what is queued for the server was tried")
sys.exit(analyze_command.analyze_songs([Path(sys.argv[1])], Path("out"), AnalysisOptions(), as_json=True, debug=False))
"""


def test_a_command_whose_server_goes_away_says_so_and_ends_without_trying_to_send_the_rest(short: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _GOES_AWAY, str(short)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert done.returncode == 1, done.stderr
    assert [song["code"] for song in json.loads(done.stdout)] == ["API_UNREACHABLE"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["analyze", "analyze-folder"])
def test_a_command_whose_server_is_not_there_says_so(verb: str, short: Path, tmp_path: Path) -> None:
    given = short if verb == "analyze" else short.parent
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli.main", verb, str(given), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PREFECT_API_URL": NOBODY, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert done.returncode == 1
    assert "API_UNREACHABLE" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def short(tmp_path: Path) -> Path:
    return tones(tmp_path / "songs" / "short.wav", 440)
