"""The artifact store: content-addressed, whole or not at all."""

from __future__ import annotations

import datetime
import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest

from schemas.results import AudioRef
from tasks.common.audio import WavWriter, read_stereo
from tasks.common.errors import ArtifactMissing, StorageError
from tasks.common.storage import atomic
from tasks.common.storage.artifacts import ArtifactStore, sweep_scratch
from tasks.common.storage.remote import open_store

SAMPLES = np.linspace(-0.5, 0.5, 2000, dtype=np.float32).reshape(2, 1000)


def put(store: ArtifactStore, samples: np.ndarray = SAMPLES) -> AudioRef:
    with store.temporary_dir() as folder:
        with WavWriter(folder / "a.wav") as out:
            out.write(samples)
        return store.add(out.path, out.ref())


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}"
    return ArtifactStore(url, tmp_path / "scratch")


def test_what_is_added_is_found_by_its_content(store: ArtifactStore) -> None:
    ref = put(store)
    assert store.exists(ref)
    np.testing.assert_array_equal(read_stereo(store.path(ref)), SAMPLES)
    assert (ref.frames, ref.channels, ref.sample_rate) == (1000, 2, 44100)


def test_the_same_sound_is_kept_once(store: ArtifactStore, tmp_path: Path) -> None:
    assert put(store) == put(store)
    assert put(store) != put(store, SAMPLES * 0.5)
    assert list((tmp_path / "scratch").glob("*-*")) == []


def age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def test_what_is_stored_again_is_as_young_as_a_new_file(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "scratch")
    path = store.path(put(store))
    os.utime(path, (1.0, 1.0))
    put(store)
    assert age(path) < 60


def test_an_old_object_of_a_remote_store_is_uploaded_again(tmp_path: Path) -> None:
    store = ArtifactStore(f"memory://{tmp_path.name}-old", tmp_path / "scratch")
    fs, base = open_store(store.url)
    object_ = f"{base}/{store.key(put(store))}"
    uploaded = fs.store[object_].created
    put(store)
    assert fs.store[object_].created == uploaded
    fs.store[object_].created = uploaded - datetime.timedelta(days=2)
    put(store)
    assert fs.store[object_].created >= uploaded


def test_a_local_copy_that_is_read_is_as_young_as_its_last_use(tmp_path: Path) -> None:
    store = ArtifactStore(f"memory://{tmp_path.name}-copy", tmp_path / "scratch")
    ref = put(store)
    os.utime(store.path(ref), (1.0, 1.0))
    assert age(store.path(ref)) < 60


def test_what_is_not_there_is_a_named_error(store: ArtifactStore) -> None:
    missing = AudioRef(sha256="0" * 64, sample_rate=44100, channels=2, frames=10)
    assert not store.exists(missing)
    with pytest.raises(ArtifactMissing):
        store.path(missing)


def test_a_failing_disk_is_a_transient_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "scratch")
    monkeypatch.setattr(atomic.os, "rename", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="No space left on device") as caught:
        put(store)
    assert caught.value.transient
    assert not list((tmp_path / "store").rglob("*.wav"))


def test_a_move_to_another_disk_that_breaks_off_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "rename", lambda *args: (_ for _ in ()).throw(OSError(errno.EXDEV, "Another disk")))
    monkeypatch.setattr(atomic.shutil, "copy2", break_off)
    with pytest.raises(StorageError):
        put(ArtifactStore(str(tmp_path / "store"), tmp_path / "scratch"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_upload_that_broke_off_counts_as_missing_and_is_done_again(tmp_path: Path) -> None:
    store = ArtifactStore(f"memory://{tmp_path.name}-half", tmp_path / "scratch")
    ref = put(store)
    fs, base = open_store(store.url)
    fs.pipe_file(f"{base}/{store.key(ref)}", b"RIFF")
    assert not store.exists(ref)
    put(store)
    assert store.exists(ref)
    np.testing.assert_array_equal(read_stereo(store.path(ref)), SAMPLES)


def test_a_file_url_is_a_directory(tmp_path: Path) -> None:
    store = ArtifactStore(f"file://{tmp_path}/store", tmp_path / "scratch")
    assert store.path(put(store)).is_relative_to(tmp_path / "store")


@pytest.mark.parametrize("call", ["info", "get_file", "put_file"])
def test_a_remote_store_that_fails_is_a_transient_named_error(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(f"memory://{tmp_path.name}-{call}", tmp_path / "scratch")
    ref = put(store)
    store.path(ref).unlink()  # the local copy
    fs, _ = open_store(store.url)
    monkeypatch.setattr(type(fs), call, lambda *args, **options: (_ for _ in ()).throw(ConnectionError("gone")))
    with pytest.raises(StorageError, match="gone") as caught:
        {"info": lambda: store.exists(ref), "get_file": lambda: store.path(ref), "put_file": lambda: put(store, SAMPLES * 0.3)}[call]()
    assert caught.value.transient
    assert not isinstance(caught.value, ArtifactMissing)
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file() and path.name != ".last-use.lock"] == []


def test_scratch_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "scratch").touch()
    with pytest.raises(StorageError), ArtifactStore(str(tmp_path / "store"), tmp_path / "scratch").temporary_dir():
        pass


def test_a_temporary_directory_goes_with_its_block_whatever_happens(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "scratch")

    def fail_inside() -> None:
        with store.temporary_dir() as folder:
            (folder / "half.wav").touch()
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail_inside()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_leavings_of_dead_processes_are_swept_and_those_of_living_ones_kept(tmp_path: Path) -> None:
    dead, living, other = tmp_path / "999999999-a", tmp_path / f"{os.getpid()}-b", tmp_path / "copies-c"
    for folder in (dead, living, other):
        folder.mkdir()
    sweep_scratch(tmp_path)
    assert not dead.exists()
    assert living.exists()
    assert other.exists()


# --- what was made of audio ------------------------------------------------------------------------------------------------------------


def made(store: ArtifactStore, name: str, content: bytes = b"small") -> Path:
    with store.temporary_dir() as folder:
        (folder / "made").write_bytes(content)
        return store.add_derived(folder / "made", name)


def test_what_was_made_of_audio_is_found_on_every_machine(store: ArtifactStore, tmp_path: Path) -> None:
    name = f"{'a' * 64}.mp3"
    assert store.derived(name) is None
    assert made(store, name).read_bytes() == b"small"
    elsewhere = ArtifactStore(store.url, tmp_path / "another machine")
    found = elsewhere.derived(name)
    assert found is not None
    assert found.read_bytes() == b"small"


def test_audio_is_removed_with_what_was_made_of_it(store: ArtifactStore) -> None:
    ref = put(store)
    made(store, f"{ref.sha256}.mp3")
    made(store, f"{'b' * 64}.mp3")
    assert store.remove(ref.sha256, before=time.time() - 60) == 0
    assert store.remove(ref.sha256, before=time.time() + 60) == 2
    assert not store.exists(ref)
    assert store.derived(f"{ref.sha256}.mp3") is None
    assert store.derived(f"{'b' * 64}.mp3") is not None
    assert store.remove("c" * 64, before=time.time() + 60) == 0


def test_asking_again_and_again_counts_as_one_use(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "scratch")
    path = made(store, f"{'a' * 64}.mp3")
    recently, long_ago = time.time() - 60, time.time() - 86400
    os.utime(path, (recently, recently))
    store.derived(path.name)
    assert age(path) > 30
    os.utime(path, (long_ago, long_ago))
    store.derived(path.name)
    assert age(path) < 30
