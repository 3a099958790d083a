"""librosa, for the engines that need it, with numba's cache of what it compiles made safe for processes side by side.

For each function numba keeps an index and numbered files of machine code, and locks neither. Two processes that compile one function for
different types at once both call theirs number 1: the index of one then names the code of the other, and every process that loads it from
there on crashes, until somebody empties the cache. In a fresh environment, two songs analysed at once are enough.

Private in numba: `IndexDataCacheFile`. Gone when numba locks its cache, which `tests/unit/common/test_numba_cache.py` tells.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tasks.common.locks import hold


@functools.cache
def import_librosa() -> Any:
    """The module. Nothing that numba compiled for it is read or written without a lock from then on."""
    from numba.core.caching import IndexDataCacheFile

    lock_cache(IndexDataCacheFile)
    import librosa

    return librosa


def lock_cache(files: type[Any]) -> None:
    """Let one process at a time read or write the cache of a function. files: numba's class, or one like it."""
    for name in ("load", "save"):
        setattr(files, name, _alone(getattr(files, name)))


def _alone(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def alone(cache: Any, *inputs: Any) -> Any:
        with _lock(Path(f"{cache._index_path}.lock")):  # noqa: SLF001 (numba's)
            return method(cache, *inputs)

    return alone


def _lock(path: Path) -> AbstractContextManager[object]:
    try:
        return hold(path)
    except OSError:  # a cache that cannot be written changes under nobody
        return nullcontext()
