"""The HTTP API of a service: a process of its own, so that neither can take the other with it, started again where it died."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO, Final

from tasks.common.settings import get_settings

_STOP_SEC: Final = 10.0


class HttpApi:
    """with HttpApi(port): it runs while the block does, and ends when this process does, however that ends."""

    def __init__(self, port: int):
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> HttpApi:
        log = get_settings().data_dir / "logs" / "http-api.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("ab")
        self._launch()
        return self

    def revive(self) -> bool:
        """Start it again if it has died. Returns whether it had."""
        if self._process is None or self._process.poll() is None:
            return False
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
