"""The models: which there are (`registry`), where their files are (`store`), which packages carry them (`wheels`), getting them
(`downloads`)."""

from tasks.common.models.store import (
    Found,
    Origin,
    all_models,
    cache_folder,
    expected_use,
    fetch,
    find,
    find_unchecked,
    get,
    load_once,
    obtain,
    obtainable,
    unload_all,
    verify,
)

__all__ = [
    "Found",
    "Origin",
    "all_models",
    "cache_folder",
    "expected_use",
    "fetch",
    "find",
    "find_unchecked",
    "get",
    "load_once",
    "obtain",
    "obtainable",
    "unload_all",
    "verify",
]
