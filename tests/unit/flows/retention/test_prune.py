"""What a prune deletes and what it keeps, file by file."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from flows.retention.places import Folder, LockFolder, RecordFolder, RemoteFolder, StoredFile, place_at
from flows.retention.prune import DAY_SEC, Pruned, PruneReport, Retention
from schemas.results import AudioRef
from tasks.common.audio import WavWriter
from tasks.common.orchestration.caching import KernelLockManager
from tasks.common.settings import Settings, get_settings, reset_settings
from tasks.common.storage.artifacts import ArtifactStore
from tasks.common.storage.last_use import modified, remove_unused, touch
from tasks.common.storage.remote import open_store

ROOT = Path(__file__).resolve().parents[4]
KEY = "chords-v1-" + "a" * 40


def put(samples: float = 0.1, days: float = 0.0) -> AudioRef:
    """An artifact of this test's store, last used so long ago."""
    settings = get_settings()
    store = ArtifactStore(settings.artifacts_url, settings.scratch_dir)
    with store.temporary_dir() as folder:
        with WavWriter(folder / "a.wav") as out:
            out.write(np.full((2, 1000), samples, np.float32))
        ref = store.add(out.path, out.ref())
    make_old(store.path(ref), days)
    return ref


def make_old(path: Path, days: float) -> Path:
    then = time.time() - days * DAY_SEC
    os.utime(path, (then, then))
    return path


def a_file(path: Path, days: float = 0.0, content: bytes = b"12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return make_old(path, days)


def a_record(name: str, days: float, *refs: AudioRef) -> Path:
    result = {"stems": [ref.model_dump() for ref in refs]}
    return a_file(get_settings().results_dir / name, days, json.dumps({"metadata": {}, "result": json.dumps(result)}).encode())


def a_map(folder: Path, source: AudioRef, **stems: tuple[AudioRef, str | None]) -> None:
    document = {"source": {"audio_sha256": source.sha256}, "stems": [{"sha256": ref.sha256, "path": path} for ref, path in stems.values()]}
    a_file(folder / "song_map.json", content=json.dumps(document).encode())


def prune(days: float = 7, **options: Any) -> Retention:
    retention = Retention(get_settings(), time.time() - days * DAY_SEC, **options)
    retention.gone = retention.prune()  # type: ignore[attr-defined]
    return retention


def kinds(retention: Any) -> list[str]:
    return [item.kind for item in retention.gone]


def stored() -> set[str]:
    return {path.stem for path in Path(get_settings().artifacts_url).rglob("*.wav")}


# --- ages --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "goes"), [(6.9, False), (7.1, True), (400, True)])
def test_what_is_older_than_the_limit_goes(days: float, goes: bool) -> None:
    record = a_record(KEY, days)
    ref = put(days=days)
    log = a_file(get_settings().data_dir / "logs" / "api.log", days)
    gone = kinds(prune())
    assert gone == (["record", "audio", "log"] if goes else [])
    assert (record.exists(), ref.sha256 in stored(), log.exists()) == (not goes,) * 3


def test_an_empty_installation_has_nothing_to_prune() -> None:
    assert kinds(prune()) == []
    assert not get_settings().data_dir.exists()


def test_an_item_says_what_it_was_how_large_and_when_it_was_last_used() -> None:
    log = a_file(get_settings().data_dir / "logs" / "api.log", 8)
    used = datetime.datetime.fromtimestamp(log.stat().st_mtime, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert prune().gone == [Pruned(kind="log", name="api.log", bytes=5, used=used)]  # type: ignore[attr-defined]


def test_audio_that_a_kept_record_names_stays_whatever_its_age() -> None:
    old, named = put(0.1, 100), put(0.2, 100)
    a_record(KEY, 1, named)
    assert kinds(prune()) == ["audio"]
    assert stored() == {named.sha256}
    assert old.sha256 not in stored()


def test_audio_goes_with_the_last_record_that_names_it() -> None:
    ref = put(days=8)
    a_record(KEY, 8, ref)
    assert kinds(prune()) == ["record", "audio"]
    assert stored() == set()


def test_an_unreadable_record_holds_nothing() -> None:
    put(days=8)
    a_file(get_settings().results_dir / KEY, 0, b'{"sha256": broken')
    assert kinds(prune()) == ["audio"]


def test_a_dry_run_finds_the_same_and_deletes_nothing(tmp_path: Path) -> None:
    a_record(KEY, 8, put(days=8))
    a_file(get_settings().locks_dir / f"{KEY}.lock", 8, b"")
    a_file(get_settings().locks_dir / f"asr-v1-{'b' * 40}.lock", 8, b"")
    a_file(get_settings().scratch_dir / "999999999-x" / "half.wav", 8)
    make_old(get_settings().scratch_dir / "999999999-x", 8)
    a_file(get_settings().scratch_dir / "copies" / "audio" / "ab" / "x.wav", 8)
    a_file(get_settings().data_dir / "logs" / "api.log", 8)
    before = sorted(path for path in get_settings().data_dir.rglob("*") if path.name[0] != ".")
    foreseen = prune(dry_run=True)
    assert sorted(path for path in get_settings().data_dir.rglob("*") if path.name[0] != ".") == before
    done = prune()
    assert foreseen.gone == done.gone  # type: ignore[attr-defined]
    assert kinds(done) == ["record", "audio", "copy", "scratch", "lock", "log"]
    assert [path for path in get_settings().data_dir.rglob("*") if path.is_file() and path.name[0] != "."] == []


def test_what_is_not_performias_stays() -> None:
    settings = get_settings()
    foreign = [
        a_file(Path(settings.artifacts_url) / "notes.txt", 100),
        a_file(Path(settings.artifacts_url) / "audio" / "mine.wav", 100),
        a_file(settings.data_dir / "models" / "weights.pt", 100),
        a_file(settings.locks_dir / "other.lock", 100),
        a_file(settings.scratch_dir / "my-notes" / "x", 100),
        a_file(settings.songs_dir / "song" / "stems" / "vocals.wav", 100),
        a_file(settings.inbox / "song.mp3", 100),
    ]
    assert kinds(prune()) == []
    assert all(path.exists() for path in foreign)


def test_links_are_neither_followed_nor_deleted(tmp_path: Path) -> None:
    outside = a_file(tmp_path / "outside" / "precious.log", 100)
    logs = get_settings().data_dir / "logs"
    logs.mkdir(parents=True)
    (logs / "link.log").symlink_to(outside)
    (logs / "folder").symlink_to(outside.parent)
    (logs / "loop").symlink_to(logs)
    assert kinds(prune()) == []
    assert outside.exists()


# --- kept Song Maps ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> tuple[AudioRef, AudioRef, Path]:
    """The decode and a stem of a kept map, both long unused, and the map's own copy of the stem."""
    source, stem = put(0.1, 100), put(0.2, 100)
    settings = get_settings()
    copy = settings.songs_dir / "song" / "stems" / "vocals.wav"
    a_file(copy, 100, ArtifactStore(settings.artifacts_url, settings.scratch_dir).path(stem).read_bytes())
    a_map(copy.parents[1], source, vocals=(stem, "stems/vocals.wav"))
    return source, stem, copy


def test_a_map_with_its_own_whole_copy_needs_no_second_one(kept: tuple[AudioRef, AudioRef, Path]) -> None:
    assert kinds(prune()) == ["audio", "audio"]
    assert kept[2].exists()


@pytest.mark.parametrize("harm", ["missing", "cut", "changed", "empty"])
def test_the_last_whole_copy_of_a_kept_maps_stem_stays(harm: str, kept: tuple[AudioRef, AudioRef, Path]) -> None:
    _, stem, copy = kept
    content = copy.read_bytes()
    {
        "missing": copy.unlink,
        "cut": lambda: copy.write_bytes(content[:-1000]),
        "changed": lambda: copy.write_bytes(content[:-4] + b"\0\0\0\0"),
        "empty": lambda: copy.write_bytes(b""),
    }[harm]()
    retention = prune()
    assert stored() == {stem.sha256}
    assert retention.notes == ["1 audio files stay: kept Song Maps refer to them"]


def test_each_map_that_names_a_stem_must_have_its_own_copy(kept: tuple[AudioRef, AudioRef, Path]) -> None:
    source, stem, _ = kept
    a_map(get_settings().songs_dir / "second", source, vocals=(stem, "stems/vocals.wav"))
    prune()
    assert stored() == {stem.sha256}


def test_a_map_that_names_a_stem_by_its_hash_alone_holds_it_only_if_asked_to(kept: tuple[AudioRef, AudioRef, Path], tmp_path: Path) -> None:
    source, stem, _ = kept
    other = put(0.3, 100)
    a_map(tmp_path / "elsewhere" / "x", other, vocals=(other, None))
    prune(outputs=[tmp_path / "elsewhere"], all_audio_of_maps=True)
    assert stored() == {source.sha256, stem.sha256, other.sha256}
    prune(outputs=[tmp_path / "elsewhere"])
    assert stored() == set()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"stems": 3}', b'{"stems": [{"sha256": 1}]}', b"\xff\xfe", b"[" * 100_000])
def test_what_only_looks_like_a_map_holds_nothing(content: bytes) -> None:
    put(days=100)
    a_file(get_settings().songs_dir / "x" / "song_map.json", content=content)
    assert kinds(prune()) == ["audio"]


def test_while_a_map_cannot_be_read_no_audio_goes() -> None:
    put(days=100)
    (get_settings().songs_dir / "x" / "song_map.json").mkdir(parents=True)
    looped = get_settings().songs_dir / "y" / "song_map.json"
    looped.parent.mkdir()
    looped.symlink_to(looped)
    retention = prune()
    assert kinds(retention) == []
    assert "cannot be read" in retention.notes[0]


# --- beside runs and other prunes --------------------------------------------------------------------------------------------------------


def test_a_record_whose_step_is_under_way_stays() -> None:
    record = a_record(KEY, 8)
    locks = KernelLockManager()
    assert locks.acquire_lock(KEY, "a run")
    assert kinds(prune()) == []
    assert record.exists()
    locks.release_lock(KEY, "a run")
    assert kinds(prune()) == ["record"]
    assert not (get_settings().locks_dir / f"{KEY}.lock").exists()


def test_a_record_that_is_used_between_the_look_and_the_deletion_stays() -> None:
    record = a_record(KEY, 8)
    place = RecordFolder(get_settings().results_dir, get_settings().locks_dir)
    seen = next(place.files())
    os.utime(record)
    assert seen.older_than(time.time() - 7 * DAY_SEC)
    assert not place.remove(seen.name, time.time() - 7 * DAY_SEC)
    assert record.exists()


def test_audio_that_a_run_stores_again_before_the_deletion_stays() -> None:
    ref = put(days=8)
    place = Folder(Path(get_settings().artifacts_url))
    seen = next(place.files())
    assert put() == ref
    assert not place.remove(seen.name, time.time() - 7 * DAY_SEC)
    assert stored() == {ref.sha256}


def test_a_file_that_was_found_in_use_is_there(tmp_path: Path) -> None:
    """Users and a remover of old files at full speed: no file that was found and counted as used is gone."""
    cutoff = time.time() - 100
    files = [tmp_path / f"{number}.wav" for number in range(300)]
    current = [files[0]]
    used: set[Path] = set()
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            path = current[0]
            if touch(path, tmp_path):
                used.add(path)

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    removed = set()
    for path in files:
        path.with_suffix(".new").write_bytes(b"x")
        os.utime(path.with_suffix(".new"), (1, 1))
        os.rename(path.with_suffix(".new"), path)
        current[0] = path
        if remove_unused(path, tmp_path, cutoff):
            removed.add(path)
    stop.set()
    for user in users:
        user.join()
    assert not removed & used
    assert {path for path in files if path.exists()} == set(files) - removed


def test_a_lock_that_somebody_holds_stays_and_an_unused_one_goes() -> None:
    held, free = KEY, f"asr-v1-{'b' * 40}"
    folder = get_settings().locks_dir
    lock = FileLock(a_file(folder / f"{held}.lock", 8, b""), thread_local=False)
    lock.acquire()
    make_old(folder / f"{held}.lock", 8)
    a_file(folder / f"{free}.lock", 8, b"")
    assert kinds(prune()) == ["lock"]
    assert [path.name for path in folder.iterdir()] == [f"{held}.lock"]
    lock.release()


def test_the_log_of_a_service_that_runs_stays() -> None:
    log = a_file(get_settings().data_dir / "logs" / "prefect-server.log", 100)
    serving = FileLock(get_settings().data_dir / "serve.lock", thread_local=False)
    with serving:
        assert kinds(prune()) == []
    assert kinds(prune()) == ["log"]
    assert not log.exists()


HAMMER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tasks.common.orchestration.caching import KernelLockManager
locks, inside = KernelLockManager(), Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(20):
    assert locks.acquire_lock(sys.argv[3], f"holder {turn}", acquire_timeout=60)
    inside.mkdir()  # fails if somebody else is inside
    time.sleep(0.01)
    inside.rmdir()
    locks.release_lock(sys.argv[3], f"holder {turn}")
print("ok")
"""


def test_removing_locks_never_lets_two_in(tmp_path: Path) -> None:
    """Two processes take turns with a lock whose file a third removes again and again."""
    folder = get_settings().locks_dir
    command = [sys.executable, "-c", HAMMER, str(ROOT), str(tmp_path / "inside"), KEY]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    assert [process.stdout.readline() for process in both if process.stdout] == ["ready\n", "ready\n"]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    removed = 0
    while any(process.poll() is None for process in both):
        removed += LockFolder(folder).remove(f"{KEY}.lock", time.time() + 60)
    assert [process.communicate()[0] for process in both] == ["ok\n", "ok\n"]
    assert removed > 0


def test_a_prune_that_is_killed_in_the_middle_leaves_what_the_next_one_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    refs = [put(share / 10, 8) for share in range(1, 6)]
    for number, ref in enumerate(refs):
        a_record(f"ingest-v1-{number}{'a' * 39}", 8, ref)
    original: Callable[..., bool] = Folder.remove
    turns = iter(range(3))

    def dies(self: Folder, name: str, before: float) -> bool:
        if next(turns, None) is None:
            raise KeyboardInterrupt
        return original(self, name, before)

    monkeypatch.setattr(Folder, "remove", dies)
    with pytest.raises(KeyboardInterrupt):
        prune()
    monkeypatch.undo()
    monkeypatch.setenv("PERFORMIA_DATA_DIR", str(Path(get_settings().data_dir)))
    reset_settings()
    assert list(get_settings().results_dir.iterdir()) == []  # no record names what is gone
    assert kinds(prune()) == ["audio", "audio"]


# --- leftovers ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lives", "days", "goes"), [(False, 0.01, False), (False, 0.1, True), (True, 6, False), (True, 8, True)])
def test_scratch_goes_an_hour_after_its_process_died_or_when_it_is_old(lives: bool, days: float, goes: bool) -> None:
    owner = os.getpid() if lives else 999999999
    folder = get_settings().scratch_dir / f"{owner}-abc"
    a_file(folder / "half.wav", days)
    make_old(folder, days)
    assert kinds(prune()) == (["scratch"] if goes else [])
    assert folder.exists() is not goes


def test_half_files_of_killed_processes_go_with_age() -> None:
    store = Path(get_settings().artifacts_url)
    old, young = a_file(store / "audio" / "ab" / ".x.wav.123.tmp", 8), a_file(store / "audio" / "ab" / ".y.wav.123.tmp", 1)
    assert kinds(prune()) == ["audio"]
    assert (old.exists(), young.exists()) == (False, True)


# --- remote stores -----------------------------------------------------------------------------------------------------------------------


def test_a_remote_store_is_pruned_by_the_time_of_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"memory://{tmp_path.name}-prune"
    monkeypatch.setenv("PERFORMIA_ARTIFACT_STORE", url)
    reset_settings()
    old, new, named = (put(share) for share in (0.1, 0.2, 0.3))
    a_record(KEY, 1, named)
    store = ArtifactStore(url, get_settings().scratch_dir)
    fs, base = open_store(url)
    for ref in (old, named):
        fs.store[f"{base}/{store.key(ref)}"].created -= datetime.timedelta(days=8)
    foreseen, done = prune(dry_run=True), prune()
    assert foreseen.gone == done.gone  # type: ignore[attr-defined]
    assert [(item.kind, item.name) for item in done.gone] == [("audio", store.key(old))]  # type: ignore[attr-defined]
    assert [store.exists(ref) for ref in (old, new, named)] == [False, True, True]
    copy = store.path(new)
    make_old(copy, 8)
    assert kinds(prune()) == ["copy"]


def test_records_in_a_results_store_go_and_hold_audio_as_those_here_do(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}-results"

    class Cluster(Settings):
        results_store: str = url

    held, free = put(0.1, 100), put(0.2, 100)
    place = RemoteFolder(url)
    for name, ref in (("ingest-v1-a", held), ("ingest-v1-b", free)):
        place.fs.pipe_file(f"{place.base}/{name}", a_record(name, 0, ref).read_bytes())
        (get_settings().results_dir / name).unlink()
    place.fs.store[f"{place.base}/ingest-v1-b"].created -= datetime.timedelta(days=8)
    gone = Retention(Cluster(), time.time() - 7 * DAY_SEC).prune()
    assert [(item.kind, item.name) for item in gone] == [("record", "ingest-v1-b"), ("audio", ArtifactStore.key(free))]
    assert stored() == {held.sha256}


@pytest.mark.parametrize(
    ("info", "when"),
    [
        ({}, None),
        ({"LastModified": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}, 1767225600.0),
        ({"last_modified": datetime.datetime(2026, 1, 1)}, 1767225600.0),
        ({"mtime": 5}, 5.0),
        ({"updated": "2026-01-01T00:00:00Z"}, 1767225600.0),
    ],
)
def test_stores_say_in_their_own_ways_when_an_object_was_written(info: dict[str, Any], when: float | None) -> None:
    assert modified(info) == when


def test_a_file_of_unknown_age_is_never_old() -> None:
    assert not StoredFile("x", 1, None).older_than(time.time() + 1)


def test_places_are_told_by_their_url(tmp_path: Path) -> None:
    assert isinstance(place_at(str(tmp_path)), Folder)
    assert isinstance(place_at(f"file://{tmp_path}"), Folder)
    assert isinstance(place_at("memory://x"), RemoteFolder)
    assert list(place_at("memory://nowhere-at-all").files()) == []
    assert list(place_at(str(tmp_path / "nowhere")).files()) == []


# --- the report --------------------------------------------------------------------------------------------------------------------------


def test_the_report_adds_up_and_survives_json() -> None:
    items = (Pruned(kind="audio", name="a", bytes=5), Pruned(kind="audio", name="b", bytes=6), Pruned(kind="run", name="r"))
    report = PruneReport(dry_run=True, older_than_days=7, used_before="2026-01-01T00:00:00Z", pruned=items)
    assert report.bytes == 11
    assert report.totals() == {"audio": (2, 11), "run": (1, 0)}
    assert PruneReport.model_validate_json(report.model_dump_json()) == report


def test_the_progress_reaches_the_end() -> None:
    a_record(KEY, 8, put(days=8))
    told: list[float] = []
    Retention(get_settings(), time.time()).prune(lambda fraction, message="": told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_default_age_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().retention_days == 7
    monkeypatch.setenv("PERFORMIA_RETENTION_DAYS", "2.5")
    assert Settings().retention_days == 2.5


@pytest.mark.parametrize(("days", "stays"), [(6.9, True), (7.1, False)])
def test_what_was_made_of_audio_goes_with_its_age(days: float, stays: bool) -> None:
    made = a_file(Path(get_settings().artifacts_url) / "derived" / "ab" / f"{'ab' * 32}.mp3", days)
    prune()
    assert made.exists() is stays
