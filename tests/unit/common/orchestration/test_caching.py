"""The step cache's keys, locks and staleness."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.results import ResultStore

from schemas.corrections import GridOperation, TempoHalved
from schemas.plan import EngineChoice, StepPlan
from schemas.results import AudioRef, Loudness, ModelUse, SongSource, StepReport, Tags
from tasks.common.orchestration.caching import KernelLockManager, RecordStorage, StepCache
from tasks.common.orchestration.keys import is_kept, step_key
from tasks.common.settings import get_settings
from tasks.common.storage import result_records

ROOT = Path(__file__).resolve().parents[4]


def a_source(sha: str = "a" * 64, title: str | None = None, file_sha: str = "f" * 64, seconds: float = 1.0) -> SongSource:
    return SongSource(
        report=StepReport(step="ingest", seconds=seconds, flow_run=f"run-{seconds}"),
        song_id=sha[:16],
        audio=AudioRef(sha256=sha, sample_rate=44100, channels=2, frames=441000),
        duration_sec=10.0,
        tags=Tags(title=title),
        loudness=Loudness(integrated_lufs=-14.0, peak_dbfs=-1.0),
        file_sha256=file_sha,
        file_bytes=1000,
        container="ogg",
        codec="vorbis",
        decoder="test",
        original_sample_rate=44100,
        original_channels=2,
    )


def a_plan(engine: str = "good", digest: str = "d1", **options: float | str | None) -> StepPlan:
    model = ModelUse(name="m", digest=digest, licence="MIT")
    return StepPlan(step="chords", chain=(EngineChoice(engine=engine, models=(model,)), EngineChoice(engine="fallback")), options=options)


hashes = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(hashes, st.text(max_size=20), hashes, st.floats(0, 1e6))
def test_a_retagged_copy_has_the_same_key(sha: str, title: str, file_sha: str, seconds: float) -> None:
    original, retagged = a_source(sha), a_source(sha, title, file_sha, seconds)
    assert step_key("chords", 1, {"plan": a_plan(), "source": original}) == step_key("chords", 1, {"plan": a_plan(), "source": retagged})


@given(hashes, hashes, st.integers(1, 50), st.floats(0, 1), st.text("abc", min_size=1, max_size=3))
@settings(max_examples=50)
def test_a_changed_input_version_option_engine_or_weight_misses(sha: str, other: str, version: int, overlap: float, engine: str) -> None:
    base = step_key("chords", version, {"plan": a_plan(), "source": a_source(sha)})
    if other != sha:
        assert base != step_key("chords", version, {"plan": a_plan(), "source": a_source(other)})
    assert base != step_key("chords", version + 1, {"plan": a_plan(), "source": a_source(sha)})
    assert base != step_key("chords", version, {"plan": a_plan(overlap=overlap), "source": a_source(sha)})
    assert base != step_key("chords", version, {"plan": a_plan(engine=engine), "source": a_source(sha)})
    assert base != step_key("chords", version, {"plan": a_plan(digest="d2"), "source": a_source(sha)})
    assert base != step_key("asr", version, {"plan": a_plan(), "source": a_source(sha)})


def test_what_a_song_lacks_of_later_inputs_leaves_its_keys_as_they_were() -> None:
    before = step_key("structure", 1, {"plan": a_plan(), "stems": None})
    assert step_key("structure", 1, {"plan": a_plan(), "stems": None, "corrections": None}) == before
    of_beats = GridOperation(song="0" * 16, near=(), change=TempoHalved(bpm=120.0))
    assert step_key("structure", 1, {"plan": a_plan(), "stems": None, "corrections": of_beats}) != before


def test_a_key_is_the_same_in_another_process() -> None:
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]; from importlib.util import spec_from_file_location as s, module_from_spec as m\n"
        "spec = s('t', sys.argv[2]); t = m(spec); spec.loader.exec_module(t)\n"
        "print(t.step_key('chords', 1, {'plan': t.a_plan(overlap=0.25), 'source': t.a_source()}))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code, str(ROOT), __file__],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert keys == {step_key("chords", 1, {"plan": a_plan(overlap=0.25), "source": a_source()})}


def test_fallbacks_and_paths_do_not_change_the_key_and_failed_inputs_count_as_absent() -> None:
    plan = a_plan()
    shorter = plan.model_copy(update={"chain": plan.chain[:1], "degraded_because": ("why",)})
    assert step_key("chords", 1, {"plan": plan}) == step_key("chords", 1, {"plan": shorter})
    assert step_key("ingest", 1, {"song": Path("/a.mp3"), "identity": "x"}) == step_key(
        "ingest", 1, {"song": Path("/b.mp3"), "identity": "x"}
    )
    assert step_key("chords", 1, {"stems": None}) == step_key("chords", 1, {"stems": ValueError("broken")})


# --- stale records -----------------------------------------------------------------------------------------------------------------------


def write_record(result: dict[str, object], kind: str = "SongSource") -> Path:
    record = get_settings().results_dir / "chords-v1-abc"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(
        json.dumps(
            {
                "metadata": {"serializer": {"type": "json"}},
                "result": json.dumps({"__class__": f"schemas.results.{kind}", "data": result}),
            }
        )
    )
    return record


def found(record: Path) -> bool:
    """Whether Prefect finds the record when it looks into the cache."""
    return ResultStore(result_storage=RecordStorage(url=str(record.parent))).exists(record.name)


def test_a_record_whose_audio_is_gone_is_not_found() -> None:
    assert not found(write_record(a_source().model_dump(mode="json")))


def test_a_record_whose_audio_is_there_is_found() -> None:
    ref = a_source().audio
    stored = Path(get_settings().artifacts_url) / f"audio/{ref.sha256[:2]}/{ref.sha256}.wav"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"RIFF")
    assert found(write_record(a_source().model_dump(mode="json")))


@pytest.mark.parametrize(("provisional", "again"), [(True, False), (False, True)])
def test_a_lesser_result_is_found_again_where_the_better_engine_would_fail_again(provisional: bool, again: bool) -> None:
    report = {"step": "chords", "engine": "fallback", "degraded_because": ["good: it fails"], "provisional": provisional}
    assert found(write_record({"report": report, "chords": []}, "Chords")) is again


@pytest.mark.parametrize(("days", "again"), [(0.0, True), (1.1, False)])
def test_what_an_engine_that_took_over_made_is_found_again_for_a_day(days: float, again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    report = {"step": "chords", "engine": "templates", "fallen_back": True}
    written = write_record({"report": report, "chords": []}, "Chords")
    storage = RecordStorage(url=str(written.parent))
    monkeypatch.setattr(result_records, "_now", lambda: datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days))
    storage.write_path(str(written), written.read_bytes())
    storage.read_path(str(written))  # to use it makes it no younger
    assert found(written) is again


def test_a_run_reads_its_own_provisional_result() -> None:
    record = write_record({"report": {"step": "chords", "engine": "fallback", "provisional": True}, "chords": []}, "Chords")
    assert json.loads(RecordStorage(url=str(record.parent)).read_path(str(record)))["result"]


def test_a_record_that_is_used_is_as_young_as_its_last_use() -> None:
    record = write_record({"report": {"step": "chords", "engine": "good"}, "chords": []}, "Chords")
    os.utime(record, (1.0, 1.0))
    assert found(record)
    assert record.stat().st_mtime > time.time() - 60


def test_to_ask_for_a_key_changes_nothing() -> None:
    record = write_record(a_source().model_dump(mode="json"))
    os.utime(record, (1.0, 1.0))
    StepCache(step="chords", version=1).compute_key(None, {"plan": a_plan()}, {})  # type: ignore[arg-type]
    assert record.stat().st_mtime == 1.0


@pytest.mark.parametrize("content", [b"", b"{", b'{"result": 3}', b"\xff\xfe", b"[]"])
def test_an_unreadable_record_is_not_found(content: bytes) -> None:
    record = get_settings().results_dir / "chords-v1-abc"
    record.parent.mkdir(parents=True)
    record.write_bytes(content)
    assert not found(record)


# --- locks -------------------------------------------------------------------------------------------------------------------------------

HOLD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tasks.common.orchestration.caching import KernelLockManager
assert KernelLockManager().acquire_lock("key", "child")
print("held", flush=True)
time.sleep(60)
"""


def hold_in_another_process() -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(ROOT)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_lock_held_by_another_process_excludes_and_is_freed_when_that_process_is_killed() -> None:
    locks = KernelLockManager()
    child = hold_in_another_process()
    try:
        assert locks.is_locked("key")
        assert not locks.acquire_lock("key", "me", acquire_timeout=0)
        assert not locks.wait_for_lock("key", timeout=0.1)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert locks.acquire_lock("key", "me", acquire_timeout=5)
        locks.release_lock("key", "me")
    finally:
        child.kill()
        child.wait()


def test_holders_in_one_process_exclude_each_other_and_a_holder_may_enter_twice() -> None:
    first, copy = KernelLockManager(), KernelLockManager()
    assert first.acquire_lock("key", "a")
    assert copy.acquire_lock("key", "a")
    assert copy.is_lock_holder("key", "a")
    assert not copy.acquire_lock("key", "b", acquire_timeout=0)
    with pytest.raises(ValueError, match="No lock held by b"):
        copy.release_lock("key", "b")
    copy.release_lock("key", "a")
    assert not first.is_locked("key")


def test_a_waiting_thread_gets_the_lock_when_it_is_released() -> None:
    locks = KernelLockManager()
    assert locks.acquire_lock("key", "a")
    got: list[bool] = []
    waiting = threading.Thread(target=lambda: got.append(locks.acquire_lock("key", "b")))
    waiting.start()
    time.sleep(0.1)
    assert got == []
    locks.release_lock("key", "a")
    waiting.join(5)
    assert got == [True]
    locks.release_lock("key", "b")


@pytest.mark.anyio
async def test_the_async_calls_do_the_same() -> None:
    locks = KernelLockManager()
    assert await locks.aacquire_lock("key", "a")
    assert not await locks.await_for_lock("key", timeout=0.01)
    locks.release_lock("key", "a")
    assert await locks.await_for_lock("key")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_whether_a_step_was_computed_for_these_inputs_is_known_before_it_runs() -> None:
    assert not is_kept("ingest", 1, identity="a" * 64)
    written = write_record(a_source().model_dump(mode="json"))
    written.rename(written.with_name(step_key("ingest", 1, {"identity": "a" * 64})))
    assert is_kept("ingest", 1, identity="a" * 64)
    assert not is_kept("ingest", 1, identity="b" * 64)
