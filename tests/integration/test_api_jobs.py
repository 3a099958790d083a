"""Jobs at the HTTP API, against a real Prefect server, with engines that answer at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import light_engines as light
import numpy as np
import pytest
import soundfile
from api_service import ApiService, numbers, serving
from prefect.client.orchestration import SyncPrefectClient, get_client
from service import tones

pytestmark = pytest.mark.usefixtures("prefect_api")

CHORDS = "tasks.chords.recognize.recognize_chords"


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def deployment(client: SyncPrefectClient) -> Iterator[None]:
    from flows import analyze_song

    made = analyze_song.to_deployment("analyze-song").apply()
    yield
    client.delete_deployment(made)


@pytest.fixture
def api(deployment: None) -> Iterator[ApiService]:
    with serving() as service:
        yield service


def song(folder: Path, pitch: float, name: str = "a song.wav") -> Path:
    """A song of a sound that no other test has."""
    return tones(folder / name, pitch, seconds=4.0)


def test_a_song_is_sent_followed_and_done(
    api: ApiService, light_engines: dict[str, Callable[..., Any]], tmp_path: Path, data_dir: Path
) -> None:
    wave = song(tmp_path, 211.0)
    told, seen = threading.Event(), threading.Event()

    def chords(source: Any, plan: Any, ctx: Any) -> Any:
        ctx.progress(0.4, "listening")
        told.set()
        seen.wait(60)
        return light.chords(source, plan, ctx)

    light_engines[CHORDS] = chords
    sent = api.send(wave, {"quality": "fast"}, name="Böse/../Artist - Title.wav")
    job = sent.json()["id"]
    assert (sent.status_code, sent.headers["location"]) == (202, f"/v1/jobs/{job}")
    assert int(sent.headers["retry-after"]) > 0
    assert (sent.json()["state"], sent.json()["name"], sent.json()["options"]["quality"]) == ("queued", "Artist - Title.wav", "fast")
    assert sent.json()["wait"]["place"] == 1
    again = api.send(wave, {"quality": "fast"}, name="copy.wav")
    assert (again.status_code, again.json()["id"]) == (200, job)
    assert api.send(wave).json()["id"] != job

    heard: list[dict[str, Any]] = []

    def hear() -> None:
        heard.extend(api.events(job))

    hearing = threading.Thread(target=hear)
    hearing.start()
    working = api.work(job)
    assert told.wait(120)
    began = time.monotonic()
    while not any(step["message"] == "listening" for step in api.job(job)["steps"]):
        assert time.monotonic() - began < 30  # half a second where the machine has time
        time.sleep(0.05)
    seen.set()
    first = api.events(job, most=4)
    working.join(120)
    hearing.join(60)

    whole = api.job(job)
    assert (whole["state"], whole["progress"], whole["problem"]) == ("completed", 1.0, None)
    assert {step["name"]: step["state"] for step in whole["steps"]} == dict.fromkeys((step["name"] for step in whole["steps"]), "done")
    assert whole["song_id"]
    assert whole["links"]["song"] == f"/v1/songs/{whole['song_id']}"
    assert whole["duration_sec"] == pytest.approx(4.0)
    assert (data_dir / "songs" / "Artist - Title" / "song_map.json").is_file()

    ids = numbers(heard)
    assert ids == sorted(set(ids))
    assert (heard[0]["type"], heard[-1]["type"], heard[-1]["job"]["state"]) == ("queued", "ended", "completed")
    assert all(event["line_event"] == event["type"] for event in heard)
    assert [event["step"]["progress"] for event in heard if event["step"] and event["step"]["message"] == "listening"] == [0.4]
    rest = api.events(job, after=first[-1]["line_id"] or str(numbers(first)[-1]))
    assert numbers(first) + numbers(rest) == ids  # none missed, none twice
    assert api.client.get(f"/v1/jobs/{job}/events", headers={"last-event-id": str(ids[-1])}).status_code == 204
    assert numbers(_by_socket(api, job)) == ids

    assert [found["id"] for found in api.client.get("/v1/jobs", params={"state": "completed", "q": "Artist"}).json()["jobs"]] == [job]
    assert api.send(wave, {"quality": "fast"}).json()["id"] == job
    _is_put_right(api, wave, whole["song_id"], job)
    assert api.client.delete(f"/v1/songs/{whole['song_id']}").status_code == 204
    anew = api.send(wave, {"quality": "fast"})
    assert (anew.status_code, anew.json()["state"]) == (202, "queued")
    assert anew.json()["id"] != job
    assert api.client.delete(f"/v1/jobs/{job}").status_code == 204
    assert api.client.get(f"/v1/jobs/{job}").json()["code"] == "JOB_UNKNOWN"
    assert not (data_dir / "songs" / "Artist - Title").exists()


def _is_put_right(api: ApiService, wave: Path, song_id: str, job: str) -> None:
    """The same song with corrections is another job, and the same one as often as it is sent with these."""
    change = {"kind": "title", "title": "Put right"}
    operation = {"id": "a" * 12, "author": "me", "time": "2026-01-01T00:00:00Z", "song": song_id, "change": change}
    corrections = {"schema_version": "1.0", "song": song_id, "operations": [operation]}
    sent = api.send(wave, {"quality": "fast"}, corrections=corrections)
    assert (sent.status_code, sent.json()["id"] != job) == (202, True), sent.text
    api.work(sent.json()["id"]).join(120)
    assert api.client.get(f"/v1/songs/{song_id}").json()["title"] == "Put right"
    assert api.send(wave, {"quality": "fast"}, corrections=corrections).json()["id"] == sent.json()["id"]
    bad = api.send(wave, corrections={**corrections, "operations": [{**operation, "change": {"kind": "none"}}]})
    assert (bad.status_code, bad.json()["code"]) == (422, "REQUEST_INVALID")


def _by_socket(api: ApiService, job: str) -> list[dict[str, Any]]:
    import json

    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    found = []
    with connect(f"{api.url.replace('http', 'ws')}/v1/jobs/{job}/events") as socket:
        try:
            while True:
                found.append(json.loads(socket.recv(timeout=30)))
        except ConnectionClosed:
            return found


def test_what_cannot_be_analysed_is_refused_before_a_run(api: ApiService, tmp_path: Path, data_dir: Path) -> None:
    before = len(api.client.get("/v1/jobs").json()["jobs"])
    rate = 8000

    def wave(name: str, samples: Any) -> Path:
        soundfile.write(tmp_path / name, samples, rate)
        return tmp_path / name

    (tmp_path / "text.mp3").write_bytes(b"this is no song\n" * 40_000)
    (tmp_path / "zip.wav").write_bytes(b"PK\x03\x04" + bytes(300_000))
    (tmp_path / "empty.wav").touch()
    cases = {
        "AUDIO_NOT_AUDIO": [tmp_path / "text.mp3", tmp_path / "zip.wav"],
        "AUDIO_EMPTY": [tmp_path / "empty.wav"],
        "AUDIO_SILENT": [wave("silent.wav", np.zeros(3 * rate))],
        "AUDIO_TOO_SHORT": [wave("short.wav", 0.1 * np.ones(rate // 2))],
        "AUDIO_TOO_LONG": [wave("long.wav", 0.1 * np.ones(1801 * rate))],
    }
    for code, files in cases.items():
        for file in files:
            refused = api.send(file)
            assert (refused.json()["code"], refused.headers["content-type"]) == (code, "application/problem+json"), refused.text
            assert refused.status_code == refused.json()["status"]
            assert str(tmp_path) not in refused.text
            assert file.name in refused.json()["detail"]
    good = song(tmp_path, 222.0)
    assert api.send(good, {"quality": "perfect"}).json()["errors"][0]["where"] == "options.quality"
    assert api.send(good, {"min_bpm": 200, "max_bpm": 100}).json()["code"] == "OPTION_INVALID"
    assert api.client.post("/v1/jobs", data={"options": "{}"}).json()["code"] == "REQUEST_INVALID"
    assert api.client.post("/v1/jobs", files={"file": good.read_bytes(), "more": b"x"}).json()["code"] == "REQUEST_INVALID"
    assert len(api.client.get("/v1/jobs").json()["jobs"]) == before
    assert [path for path in (data_dir / "uploads").rglob("*") if path.is_file()] == []
    with serving(api_max_upload_gib=1e-4) as small:
        assert small.send(good).status_code == 413


def test_an_idempotency_key_stands_for_one_request(api: ApiService, tmp_path: Path) -> None:
    one, other = song(tmp_path, 233.0, "one.wav"), song(tmp_path, 244.0, "other.wav")
    key = {"idempotency-key": "k-1"}
    job = api.send(one, **key).json()["id"]
    assert (api.send(one, **key).status_code, api.send(one, **key).json()["id"]) == (200, job)
    assert (api.send(other, **key).status_code, api.send(other, **key).json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")

    arrived = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        time.sleep(0.5)
        arrived.set()
        time.sleep(3)
        yield other.read_bytes() + b"\r\n--x--\r\n"

    answers: list[Any] = []

    def send_slowly() -> None:
        headers = {"content-type": "multipart/form-data; boundary=x", "idempotency-key": "k-2"}
        answers.append(api.client.post("/v1/jobs", content=slowly(), headers=headers))

    sending = threading.Thread(target=send_slowly)
    sending.start()
    arrived.wait(30)
    busy = api.send(other, **{"idempotency-key": "k-2"})
    sending.join(60)
    assert (busy.status_code, busy.json()["code"]) == (409, "IDEMPOTENCY_KEY_BUSY")
    assert answers[0].status_code == 202


def test_a_job_is_cancelled_tried_again_and_fails_without_telling_paths(
    api: ApiService, light_engines: dict[str, Callable[..., Any]], tmp_path: Path, data_dir: Path
) -> None:
    wave = song(tmp_path, 255.0)
    job = api.send(wave).json()["id"]
    assert api.client.post(f"/v1/jobs/{job}/retry").json()["code"] == "JOB_UNDER_WAY"
    assert api.client.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert [event["type"] for event in api.events(job)] == ["queued", "ended"]
    retried = api.client.post(f"/v1/jobs/{job}/retry")
    assert (retried.status_code, retried.json()["state"], retried.json()["attempt"]) == (202, "queued", 2)
    assert api.client.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    sent = api.send(wave)  # what came to nothing is tried again
    assert (sent.status_code, sent.json()["id"], sent.json()["attempt"]) == (202, job, 3)

    def beats(*inputs: Any) -> Any:
        raise RuntimeError(f"{data_dir}/secret is full")

    light_engines["tasks.beats_key.track_beats.track_beats_and_key"] = beats
    api.work(job).join(120)
    events = api.events(job, after="999999")
    failed = api.job(job)
    assert failed["state"] == "failed"
    assert failed["problem"]["code"] == "REQUIRED_STEP_FAILED"
    assert "secret" in failed["problem"]["detail"]
    assert str(tmp_path) not in str(failed)
    assert str(tmp_path) not in str(events)
    assert events[-1]["type"] == "ended"
    assert {step["name"]: step["state"] for step in failed["steps"]}["package"] in ("failed", "skipped")
    assert api.client.delete(f"/v1/jobs/{job}").status_code == 204
    assert [path for path in (data_dir / "uploads").rglob("*.wav") if path.is_file()] == []


def test_a_list_goes_on_where_it_stopped(api: ApiService, tmp_path: Path) -> None:
    jobs = [api.send(song(tmp_path, 300.0 + number, f"listed {number}.wav")).json()["id"] for number in range(5)]
    found: list[str] = []
    cursor = None
    for _ in range(10):
        page = api.client.get("/v1/jobs", params={"q": "listed", "limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        found += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == jobs[::-1]
    assert api.client.get("/v1/jobs", params={"cursor": "x"}).json()["code"] == "REQUEST_INVALID"


def test_keys_scopes_and_limits(deployment: None, tmp_path: Path) -> None:
    from deployments.api.keys import add_key, revoke_key
    from tasks.common.settings import get_settings

    reader, writer = add_key(get_settings(), "reader", ["read"]), add_key(get_settings(), "writer", ["write"])
    with serving(api_jobs_queued=1, api_requests_per_minute=8) as api:
        assert (api.client.get("/v1/jobs").status_code, api.client.get("/v1/jobs").headers["www-authenticate"][:6]) == (401, "Bearer")
        assert api.client.get("/v1/jobs", headers={"authorization": "Bearer performia_wrong"}).json()["code"] == "API_KEY_MISSING"
        assert api.client.get("/v1/jobs", headers={"authorization": f"Bearer {reader}"}).status_code == 200
        wave = song(tmp_path, 266.0)
        assert api.send(wave, authorization=f"Bearer {reader}").json()["code"] == "SCOPE_MISSING"
        assert api.send(wave, **{"x-api-key": writer}).status_code == 202
        full = api.send(song(tmp_path, 277.0, "b.wav"), **{"x-api-key": writer})
        assert (full.status_code, int(full.headers["retry-after"]) > 0) == (429, True)
        revoke_key(get_settings(), "reader")
        assert api.client.get("/v1/jobs", headers={"authorization": f"Bearer {reader}"}).status_code == 401
        codes = [api.client.get("/v1/jobs", headers={"x-api-key": writer}).status_code for _ in range(9)]
        assert codes[-1] == 429
