from __future__ import annotations

import http.server
import subprocess
import sys
import threading

import pytest

from flows.embedded_api import refuse_without_password
from tasks.common.errors import ApiUnreachable

_PROGRAM = """
import threading, time
from flows import embedded_api

embedded_api._collect_garbage_apart()
collected_by = []

class Knot:
    def __init__(self):
        self.itself = self
    def __del__(self):
        collected_by.append(threading.current_thread().name)

for _ in range(20_000):  # by far enough for the collector to start by itself
    Knot()
assert not collected_by, collected_by[:3]
deadline = time.monotonic() + 60
while len(collected_by) < 20_000 and time.monotonic() < deadline:
    time.sleep(0.1)
print(len(collected_by), set(collected_by))
"""


def test_garbage_is_never_collected_by_the_event_loop() -> None:
    """Freeing a cursor of SQLite there stops the server for a minute: see `_collect_garbage_apart`."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "20000 {'garbage'}\n", done.stderr


def test_a_service_that_wants_a_password_is_not_asked_without_it() -> None:
    from prefect.settings import PREFECT_API_AUTH_STRING, temporary_settings

    class Guarded(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers.get("Authorization") == "Basic dXNlcjpzZWNyZXQ=" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api"
    try:
        with pytest.raises(ApiUnreachable, match="password"):
            refuse_without_password(url)
        with temporary_settings({PREFECT_API_AUTH_STRING: "user:secret"}):
            refuse_without_password(url)
    finally:
        server.shutdown()
        server.server_close()
