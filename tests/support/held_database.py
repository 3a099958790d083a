"""The database of a Prefect server in other hands for a while: SQLite lets one connection write, and it is not the server's."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def held(database: Path, seconds: float) -> Iterator[threading.Event]:
    """Nobody else writes for so long from here on, however long the block takes. Gives what is set when it is over."""
    over = threading.Event()
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")

        def let_go() -> None:
            connection.execute("ROLLBACK")
            over.set()

        timer = threading.Timer(seconds, let_go)
        timer.start()
        try:
            yield over
        finally:
            timer.join()
