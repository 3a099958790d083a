"""The HTTP API of a service: a process of its own, so that neither can take the other with it, started again where it died."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import IO, Final

from tasks.common.settings import get_settings

_STOP_SEC: Final = 10.0
#: One that ends sooner after its start may end as soon again: the port is taken, or a setting is wrong.
SHORT_LIFE_SEC: Final = 120.0
_PAUSES_SEC: Final = (0.0, 5.0, 20.0, 60.0)


class HttpApi:
    """with HttpApi(port): it runs while the block does, and ends when this process does, however that ends."""

    def __init__(self, port: int):
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._launched_at = float("-inf")
        self._short_lives = 0

    def __enter__(self) -> HttpApi:
        log = get_settings().data_dir / "logs" / "http-api.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("ab")
        self._launch()
        return self

    def revive(self) -> bool:
        """Start it again if it has died; later and later where it dies at once. Returns whether it was started."""
        if self._process is None or self._process.poll() is None:
            return False
        lived = time.monotonic() - self._launched_at
        if lived >= SHORT_LIFE_SEC:
            self._short_lives = 0
        elif lived < _PAUSES_SEC[min(self._short_lives, len(_PAUSES_SEC) - 1)]:
            return False
        self._short_lives += lived < SHORT_LIFE_SEC
        self._launch()
        return True

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_STOP_SEC)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()

    def _launch(self) -> None:
        self._launched_at = time.monotonic()
        self._process = subprocess.Popen(
            command(self.port),
            stdin=subprocess.PIPE,  # closed when this process ends
            stdout=self._log,
            stderr=self._log,
            env=dict(os.environ),
            start_new_session=True,  # Ctrl-C is for the service, which then stops it
        )


def command(port: int) -> list[str]:
    """What runs the API on a port until its standard input closes."""
    return [sys.executable, "-m", "performia", "api", "--port", str(port), "--with-parent"]
