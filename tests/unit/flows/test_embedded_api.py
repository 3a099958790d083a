from __future__ import annotations

import subprocess
import sys

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
