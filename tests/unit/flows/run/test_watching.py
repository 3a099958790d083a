"""Whether anybody can look at a run."""

from __future__ import annotations

import contextvars

from flows.run.watching import is_watched, unwatched


def test_runs_are_watched_unless_their_server_is_private() -> None:
    def look() -> tuple[bool, bool, bool]:
        before = is_watched()
        with unwatched():
            # The songs of a folder are analysed in threads, in copies of the context.
            during = contextvars.copy_context().run(is_watched)
        return before, during, is_watched()

    assert contextvars.Context().run(look) == (True, False, True)
