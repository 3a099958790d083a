"""The settings of an installation. Each is an environment variable `PERFORMIA_<NAME>`; nothing is read before it is needed.

Settings say where things are and what this machine allows. What a person chooses per song is in `schemas.options`.

The table in tasks/common/README.md is made of the descriptions (`make docs`). Where the default is worked out elsewhere (None, an empty
tuple, a function), the description ends with `Default: …`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.common.errors import SettingInvalid


def is_remote(url: str) -> bool:
    """Whether a store is behind an fsspec URL, and not a directory."""
    return "://" in local_path(url)


def local_path(url: str) -> str:
    return url.removeprefix("file://")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PERFORMIA_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("performia", appauthor=False)),
        description="Everything Performia keeps: cache, artifacts, models. Default: the user's data directory.",
    )
    artifact_store: str | None = Field(
        default=None, description="Directory or fsspec URL of decoded songs and stems. Default: `artifacts` in the data directory."
    )
    results_store: str | None = Field(
        default=None,
        description="Directory or fsspec URL of the step cache. "
        "Default: `results` in a remote artifact store, else `cache/results` in the data directory.",
    )
    store_secret: str | None = Field(
        default=None,
        description="Name of a Prefect Secret block with fsspec options (JSON) for remote stores. "
        "Default: the environment, such as `AWS_ACCESS_KEY_ID`.",
    )
    copies_gib: float = Field(
        default=20.0, ge=0, description="Local copies of remote audio take no more (GiB); the least recently used go first."
    )
    task_runner: Literal["threads", "dask", "ray"] = Field(
        default="threads", description="What runs the steps of a song: `threads`, `dask`, `ray`."
    )
    task_runner_address: str | None = Field(
        default=None, description="Address of a Dask or Ray cluster. Default: one of this machine, started when it is needed."
    )
    output_dir: Path | None = Field(
        default=None, description="Where songs are written when nothing else is said (Python, UI). Default: `songs` in the data directory."
    )
    output_url: str | None = Field(
        default=None,
        description="Where the output folder is read from over HTTP, for links in the UI. Default: none; `performia serve`: its own.",
    )
    inbox_dir: Path | None = Field(default=None, description="The watched folder. Default: `inbox` in the data directory.")
    models_dir: Path | None = Field(
        default=None, description="A folder with model files of your own, `<model>/<file>`, looked into first. Default: none."
    )
    offline: bool = Field(default=False, description="Never ask the network for anything.")
    hub_timeout_sec: float = Field(default=3.0, gt=0, description="After how long an unreachable model hub is given up, once a run.")
    device: str | None = Field(
        default=None, pattern=r"^(cpu|mps|cuda(:\d+)?)$", description="`cuda`, `cuda:1`, `mps` or `cpu`. Default: the best there is."
    )
    threads: int | None = Field(default=None, ge=1, description="Threads per heavy step. Default: the cores the process may use.")
    min_duration_sec: float = Field(default=1.0, gt=0, description="A shorter song is refused.")
    max_duration_sec: float = Field(default=1800.0, gt=0, description="A longer song is refused.")
    retention_days: float = Field(default=7.0, ge=0, description="`performia prune` deletes what nobody has used for so many days.")
    input_roots: tuple[Path, ...] = Field(
        default=(), description="JSON list of folders; if set, only files inside them are read. Default: none; served runs: the inbox."
    )

    evaluation_data: Path | None = Field(
        default=None, description="Folder with the annotated songs that `performia evaluate` scores. Default: none."
    )
    pending_limit_sec: float = Field(
        default=120.0, gt=0, description="After how long a run that was to start, and did not, counts as dead."
    )

    output_roots: tuple[Path, ...] = Field(
        default=(), description="JSON list of folders that served runs may write into. Default: the output folder."
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="JSON list of names, without port, under which `performia serve` is reached besides `127.0.0.1`, `localhost` "
        "and `[::1]`. Default: none.",
    )

    api_host: str = Field(default="127.0.0.1", description="Where the HTTP API listens. Beyond this machine it needs keys.")
    api_port: int = Field(default=8000, ge=0, le=65535, description="The HTTP API's port. 0: `performia serve` runs none.")
    api_origins: tuple[str, ...] = Field(
        default=(),
        description="JSON list of the origins of pages that may use the HTTP API, such as `http://localhost:5001`. Default: none.",
    )
    api_keys: str | None = Field(
        default=None,
        repr=False,
        description="JSON list of the HTTP API's keys, each `{name, sha256, scopes}`, besides those that `performia api keys add` keeps. "
        "Default: none.",
    )
    api_key: str | None = Field(
        default=None, repr=False, description="The key that `performia analyze --server` sends to a service's HTTP API. Default: none."
    )
    api_max_upload_gib: float = Field(default=1.0, gt=0, description="A larger upload is refused (GiB).")
    api_requests_per_minute: int = Field(
        default=600, ge=1, description="So many requests a minute may a key send to one process of the API."
    )
    api_uploads_at_once: int = Field(default=4, ge=1, description="So many uploads of a key may arrive at once at one process of the API.")
    api_jobs_queued: int = Field(default=100, ge=1, description="So many jobs of a key may wait to be started.")
    api_first_front_end: bool = Field(
        default=True, description="Whether the HTTP API answers the first front end too, at `/api` and `/ws`."
    )
    api_callback_hosts: tuple[str, ...] = Field(
        default=(),
        description="JSON list of the hosts (`name`, or `name:port`) that may be called when a job ends. Default: none.",
    )
    api_callback_secret: str | None = Field(
        default=None, repr=False, description="What such calls are signed with: `whsec_` and random bytes in Base64. Default: none."
    )
    uploads_dir: Path | None = Field(
        default=None, description="What arrives at the HTTP API; served runs may read it. Default: `uploads` in the data directory."
    )

    @property
    def artifacts_url(self) -> str:
        return self.artifact_store or str(self.data_dir / "artifacts")

    @property
    def results_url(self) -> str:
        """Where the step cache is: on a remote artifact store, so that every machine that has the audio has the results too."""
        if self.results_store is None and is_remote(self.artifacts_url):
            return f"{self.artifacts_url.rstrip('/')}/results"
        return self.results_store or str(self.data_dir / "cache" / "results")

    @property
    def results_dir(self) -> Path:
        """The step cache of this machine, also where the results are kept elsewhere."""
        return self.data_dir / "cache" / "results" if is_remote(self.results_url) else Path(local_path(self.results_url))

    @property
    def corrections_url(self) -> str:
        """Where what persons put right is kept, by song id: on a remote artifact store, so that every machine that has the song has it."""
        return f"{self.artifacts_url.rstrip('/')}/corrections" if is_remote(self.artifacts_url) else str(self.data_dir / "corrections")

    @property
    def locks_dir(self) -> Path:
        return self.data_dir / "cache" / "locks"

    @property
    def models_cache_dir(self) -> Path:
        return self.data_dir / "models"

    @property
    def scratch_dir(self) -> Path:
        return self.data_dir / "scratch"

    @property
    def inbox(self) -> Path:
        return self.inbox_dir or self.data_dir / "inbox"

    @property
    def uploads(self) -> Path:
        return self.uploads_dir or self.data_dir / "uploads"

    @property
    def songs_dir(self) -> Path:
        return self.output_dir or self.data_dir / "songs"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read from the environment on first use. Raises SettingInvalid."""
    try:
        return Settings()
    except ValidationError as error:
        # Names only: a value may be a secret that landed in the wrong variable.
        names = sorted({"PERFORMIA_" + "_".join(str(part) for part in item["loc"]).upper() for item in error.errors()})
        raise SettingInvalid(f"Not understood: {', '.join(names)}") from None


def reset_settings() -> None:
    """Forget what was read, so that the environment is read again (tests, long-lived services)."""
    get_settings.cache_clear()
