"""How songs went: for `--json`, and for the exit code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from deployments.terminal import print_json, shown
from tasks.common.errors import PerformiaError


@dataclass(frozen=True)
class SongEnding:
    """How one song went, as `--json` prints it. exports: song, format, file, and code and error of what could not be written."""

    song: str
    status: str
    seconds: float
    song_map: str | None = None
    code: str | None = None
    error: str | None = None
    exports: tuple[dict[str, str | None], ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether the command's exit code is to say so: the song failed, or a file that was asked for could not be written."""
        return self.status == "failed" or any(row["code"] for row in self.exports)


def failed(song: str, error: PerformiaError, started: float) -> SongEnding:
    """The ending of a song that failed. started: of `time.monotonic`."""
    return SongEnding(song, "failed", round(time.monotonic() - started, 2), code=error.code, error=shown(error))


def as_named(error: Exception) -> PerformiaError:
    """An error of whatever kind, as one that can be told."""
    return error if isinstance(error, PerformiaError) else PerformiaError(f"{type(error).__name__}: {error}")


@contextmanager
def printed(endings: list[SongEnding], as_json: bool) -> Iterator[None]:
    """What is finished is printed, however the block ends."""
    try:
        yield
    finally:
        if as_json:
            print_json([asdict(ending) for ending in endings])
