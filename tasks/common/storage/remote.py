"""Files behind an fsspec URL (S3, GCS, Azure, SFTP, ...): the one place that talks to a remote store.

Credentials come from the environment, as the store's own library reads it (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `FSSPEC_S3_...`), or
from the Prefect Secret block that the settings name. They are in no message. Every look goes to the store: what fsspec remembers of a
listing may be older than what another machine has done.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tasks.common.errors import StorageError
from tasks.common.settings import get_settings
from tasks.common.shown_url import shown_url
from tasks.common.storage.last_use import modified

_OBJECT_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oci", "oss", "memory"})

_read_secret: Callable[[str], Any] | None = None


class RemoteFiles:
    """The files below a URL. Every method raises StorageError where the store fails, and FileNotFoundError where a file is not there."""

    def __init__(self, url: str):
        self.url = url

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return int(self._info(name)["size"])

    def written(self, name: str) -> float | None:
        """When a file was uploaded (seconds since the epoch); None where the store does not say."""
        return modified(self._info(name))

    def read(self, name: str) -> bytes:
        with self._asking(name) as (fs, path):
            content: bytes = fs.cat_file(path)
            return content

    def write(self, name: str, content: bytes) -> None:
        """Upload a small file: whole or not at all where the store is an object store."""
        with self._asking(name) as (fs, path):
            _make_folder(fs, path)
            fs.pipe_file(path, content)

    def upload(self, file: Path, name: str) -> None:
        with self._asking(name) as (fs, path):
            _make_folder(fs, path)
            fs.put_file(str(file), path)

    def download(self, name: str, file: Path) -> None:
        with self._asking(name) as (fs, path):
            fs.get_file(path, str(file))

    def remove(self, name: str) -> None:
        with self._asking(name) as (fs, path):
            fs.rm_file(path)

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder; none where there is no such folder."""
        try:
            with self._asking(folder) as (fs, path):
                fs.invalidate_cache(path)
                found: list[str] = fs.ls(path, detail=False)
        except FileNotFoundError:
            return []
        return [name.rpartition("/")[2] for name in found]

    def _info(self, name: str) -> dict[str, Any]:
        with self._asking(name) as (fs, path):
            fs.invalidate_cache(path)
            found: dict[str, Any] = fs.info(path)
            if found.get("type") == "directory":
                raise FileNotFoundError(path)
            return found

    @contextmanager
    def _asking(self, name: str) -> Iterator[tuple[Any, str]]:
        """The file system and the path of a file in it, with the errors of any store's library translated."""
        try:
            fs, base = open_store(self.url)
            yield fs, f"{base}/{name}"
        except (FileNotFoundError, StorageError):
            raise
        except ImportError as error:
            raise StorageError(
                f"{shown_url(self.url)} needs a package: {error}", "Install it; for S3: pip install 'performia[s3]'"
            ) from error
        except Exception as error:  # each store's library has its own
            raise StorageError(f"{shown_url(self.url)}: {type(error).__name__}: {error} ({name})") from error


def open_store(url: str) -> tuple[Any, str]:
    """The fsspec file system that serves a URL, and the path of the URL in it."""
    import fsspec

    secret = get_settings().store_secret
    fs, _, paths = fsspec.get_fs_token_paths(url, storage_options=_options(secret) if secret else None)
    return fs, str(paths[0]).rstrip("/")


def read_secrets_with(reader: Callable[[str], Any]) -> None:
    """Say how the secret that the settings name is read. `tasks.common.orchestration` does, when it is imported: it is Prefect's."""
    global _read_secret
    _read_secret = reader
    _options.cache_clear()


@functools.lru_cache(maxsize=4)
def _options(secret: str) -> dict[str, Any]:
    """What the secret tells fsspec, such as {"key": ..., "secret": ..., "client_kwargs": {"endpoint_url": ...}}."""
    if _read_secret is None:
        raise StorageError(f"The Prefect Secret block {secret} is read in runs only", "Import tasks.common.orchestration first")
    try:
        options = _read_secret(secret)
    except Exception as error:
        raise StorageError(f"The Prefect Secret block {secret} cannot be read ({type(error).__name__})", "Make it in the UI") from error
    if not isinstance(options, dict):
        raise StorageError(f"The Prefect Secret block {secret} does not hold a JSON object", "Give it fsspec's options of the store")
    return options


def _make_folder(fs: Any, path: str) -> None:
    """Where the store has folders, a file needs one. Object stores have none, and their buckets are for a person to make."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if not protocols & _OBJECT_STORES:
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
