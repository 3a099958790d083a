"""From the server's records to what a client sees. No server: runs are made here."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import numpy as np
import pytest
import soundfile
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Pending, Running, Scheduled, State
from starlette.testclient import TestClient

from deployments.api.desk import reason_of
from deployments.api.estimate import Took, seconds_left, whole_sec
from deployments.api.job_view import ATTEMPT_STRIDE, Snapshot, ended_event, history_events, job_of, queued_event
from deployments.api.jobs import Cursor, as_sse
from deployments.api.problems import ProblemError
from deployments.api.runs import MOST_CRASHES, Records, Wanted, has_ended, sound_tag
from flows.run.progress_log import Entry, History
from schemas.api.jobs import JobState, StepState, WaitReason
from schemas.steps import FINDING, STEPS
from tasks.common.settings import get_settings

NOW = datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC)


def run(state: State[Any], **fields: Any) -> FlowRun:
    made = {
        "id": uuid4(),
        "flow_id": uuid4(),
        "state": state,
        "created": NOW,
        "expected_start_time": NOW,
        "parameters": {"song": "/data/uploads/ab/abcd/Artist - Title.wav", "options": {"quality": "fast"}},
        **fields,
    }
    return FlowRun.model_validate(made)


def history(*entries: tuple[Any, ...], closed: bool = False) -> Records:
    made = [Entry(number, NOW.timestamp() + number, *rest) for number, rest in enumerate(entries, start=1)]
    return Records(History(tuple(made), closed), "a" * 16)


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (Scheduled(), JobState.queued),
        (Scheduled(name="AwaitingConcurrencySlot"), JobState.queued),
        (Pending(), JobState.queued),
        (Running(), JobState.running),
        (Cancelling(), JobState.running),
        (Completed(), JobState.completed),
        (Completed(name="Partial"), JobState.partial),
        (Failed(message="AUDIO_SILENT: /data/uploads/ab/abcd/Artist - Title.wav is silent. Check"), JobState.failed),
        (Crashed(), JobState.failed),
        (Cancelled(), JobState.cancelled),
    ],
)
def test_a_run_of_any_state_is_a_job(state: State[Any], shown: JobState) -> None:
    job = job_of(Snapshot(run(state), history()))
    assert job.state is shown
    assert job.name == "Artist - Title.wav"
    assert UUID(job.id)
    assert (job.problem is not None) == (shown is JobState.failed)
    assert (job.song_id is not None) == (shown in (JobState.completed, JobState.partial))
    assert "/data" not in job.model_dump_json()
    if state.is_failed():
        assert job.problem is not None
        assert (job.problem.code, job.problem.detail) == ("AUDIO_SILENT", "Artist - Title.wav is silent. Check")


def test_a_job_whose_process_died_waits_to_be_taken_up_until_it_has_died_too_often() -> None:
    def died(*tags: str) -> FlowRun:
        return run(Crashed(), tags=list(tags), deployment_id=uuid4())

    assert not has_ended(died("api", f"api-crashes:{MOST_CRASHES - 1}"))
    assert job_of(Snapshot(died("api"), history())).state is JobState.queued
    assert job_of(Snapshot(died("api"), history())).problem is None
    assert reason_of(died("api"), 1, 0, False, 2, NOW).reason is WaitReason.starting
    given_up = job_of(Snapshot(died("api", f"api-crashes:{MOST_CRASHES}"), history()))
    assert given_up.state is JobState.failed
    assert given_up.problem is not None
    assert has_ended(died())  # of the watched inbox, which looks after its own
    assert not has_ended(run(Running()))


def test_steps_are_where_their_last_entry_says() -> None:
    records = history(
        ("", "began", 0.0),
        ("ingest", "done", 1.0),
        ("separation", "works", 0.5, "segment 9 of 18"),
        ("asr", "waits", 0.0, "waiting for a slot (gpu)"),
        ("chords", "cached", 1.0),
        ("melody", "failed", 0.2, "no memory in /data/x/y"),
    )
    job = job_of(Snapshot(run(Running()), records))
    steps = {step.name: step for step in job.steps}
    assert list(steps) == [*FINDING, "package"]
    with_lyrics = history(("", "began", 0.0), ("align", "works", 0.5))
    assert [step.name for step in job_of(Snapshot(run(Running()), with_lyrics)).steps] == list(STEPS)
    assert steps["separation"].progress == 0.5
    assert {name: step.state.value for name, step in steps.items() if name != "package"} == {
        "ingest": "done",
        "separation": "running",
        "asr": "queued",
        "chords": "cached",
        "melody": "failed",
        "beats_key": "queued",
        "bass": "queued",
        "structure": "queued",
    }
    assert "/data" not in steps["melody"].message
    shares = STEPS["ingest"].share + 0.5 * STEPS["separation"].share + STEPS["chords"].share + STEPS["melody"].share
    assert job.progress == pytest.approx(shares, abs=1e-3)
    ended = {step.name: step.state for step in job_of(Snapshot(run(Cancelled()), records)).steps}
    assert (ended["separation"], ended["bass"]) == (StepState.skipped, StepState.skipped)
    failed = {step.name: step.state for step in job_of(Snapshot(run(Failed()), records)).steps}
    assert (failed["separation"], failed["bass"]) == (StepState.failed, StepState.skipped)


def test_events_are_numbered_the_same_whoever_makes_them_and_by_attempt() -> None:
    snapshot = Snapshot(run(Running()), history(("", "began", 0.0), ("ingest", "works", 0.0), ("ingest", "done", 1.0)))
    events = [queued_event(snapshot), *history_events(snapshot, 0), ended_event(snapshot)]
    assert [event.id for event in events] == [0, 1, 2, 3, ATTEMPT_STRIDE - 1]
    assert [event.type for event in events] == ["queued", "started", "step", "step", "ended"]
    assert [event.id for event in history_events(snapshot, 2)] == [3]
    again = Snapshot(run(Running(), tags=["performia-attempt:2"]), history(("", "began", 0.0)))
    assert [event.id for event in history_events(again, ATTEMPT_STRIDE - 1)] == [ATTEMPT_STRIDE + 1]
    lines = as_sse(events[2]).split("\n")
    assert (lines[0], lines[1], lines[2][:6], lines[3:]) == ("id: 2", "event: step", "data: ", ["", ""])
    assert "\n" not in lines[2]


def test_how_long_it_takes_is_read_off_songs_of_that_length() -> None:
    past = [Took(200.0, 100.0, "fast"), Took(200.0, 2.0, "fast"), Took(210.0, 110.0, "fast"), Took(200.0, 900.0, "best")]
    assert whole_sec(past, 400.0, "fast") == pytest.approx(210, abs=10)  # the cached one does not count
    assert whole_sec(past, None, "fast") is None
    assert whole_sec([], 200.0, "fast") is None
    assert seconds_left(None, 0.0, 0.0) is None
    assert seconds_left(None, 0.25, 10.0) == pytest.approx(30.0)
    assert seconds_left(100.0, 0.0, 0.0) == 100.0
    assert seconds_left(100.0, 0.9, 180.0) == pytest.approx(0.1 * 10 + 0.9 * 20)


def test_why_a_job_waits() -> None:
    def reason(state: State[Any], under_way: int = 0, paused: bool = False, limit: int | None = 2, waited: float = 1.0) -> WaitReason:
        later = NOW + datetime.timedelta(seconds=waited)
        return reason_of(run(state), 1, under_way, paused, limit, later).reason

    assert reason(Scheduled()) is WaitReason.soon
    assert reason(Pending()) is WaitReason.starting
    assert reason(Scheduled(), under_way=2) is WaitReason.places_taken
    assert reason(Scheduled(), paused=True) is WaitReason.paused
    assert reason(Scheduled(), waited=60.0) is WaitReason.nobody_takes_it


def test_a_cursor_leaves_out_what_was_shown_at_the_same_moment() -> None:
    first = [run(Scheduled()) for _ in range(2)]
    cursor = Cursor.after(first, Cursor(None, ()))
    back = Cursor.of(cursor.text())
    assert (back.before, set(back.seen)) == (NOW, {one.id.hex for one in first})
    more = Cursor.after([run(Scheduled())], back)
    assert len(more.seen) == 3
    for wrong in ("", "x", "WzFd", "bnVsbA=="):
        with pytest.raises(ProblemError):
            Cursor.of(wrong)


def test_the_same_sound_with_other_options_is_another_job() -> None:
    def tag(digest: str) -> str:
        return sound_tag(Wanted("/a", "f" * 64, "e" * 64, "a", {}, digest, None, "anybody"))

    assert tag("1") != tag("2")


def test_what_is_longer_than_a_run_may_have_is_refused_before_the_song_is_kept(client: TestClient, tmp_path: Path) -> None:
    async def none_waits(*_: Any, **__: Any) -> int:
        return 0

    cast(Any, client.app).state.desk = SimpleNamespace(runs=SimpleNamespace(count=none_waits))
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(np.arange(44100) / 9), 44100)
    sent = {"files": {"file": (tmp_path / "a.wav").open("rb")}, "data": {"lyrics": "слово" * 19_000}}
    answer = client.post("/v1/jobs", **sent)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (422, "REQUEST_INVALID")
    assert "570," in answer.json()["detail"]
    assert "PATCH /v1/songs/" in answer.json()["todo"]
    assert list(get_settings().uploads.rglob("*.wav")) == []
