"""The first front end against the API: its client's calls, played one after the other, with engines that answer at once."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_service import ApiService, serving
from prefect.client.orchestration import get_client
from service import tones
from websockets.sync.client import connect

from schemas.first_view import REQUIRED

pytestmark = pytest.mark.usefixtures("prefect_api")

ORIGIN = "http://localhost:5001"


@pytest.fixture
def api() -> Iterator[ApiService]:
    from flows import analyze_song

    made = analyze_song.to_deployment("analyze-song").apply()
    with serving(api_origins=(ORIGIN,)) as service:
        service.client.headers["origin"] = ORIGIN
        yield service
    with get_client(sync_client=True) as client:
        client.delete_deployment(made)


def upload(client: httpx.Client, song: Path) -> dict[str, Any]:
    with song.open("rb") as file:
        answer = client.post("/api/analyze", files={"file": (song.name, file)})
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def poll(client: httpx.Client, job: str) -> dict[str, Any]:
    """Ask until it has ended, as that client does."""
    until = time.monotonic() + 120
    while True:
        status: dict[str, Any] = client.get(f"/api/status/{job}").json()
        if status["status"] in ("complete", "error"):
            return status
        assert time.monotonic() < until
        time.sleep(0.2)


def test_the_client_plays_a_song(api: ApiService, light_engines: dict[str, Callable[..., Any]], tmp_path: Path, data_dir: Path) -> None:
    client = api.client
    song = tones(tmp_path / "Artist - Title.wav", 307.0, seconds=4.0)
    sent = upload(client, song)
    job = sent["job_id"]
    assert (len(job), sent["status"]) == (32, "pending")
    assert upload(client, song)["job_id"] == job  # it sends every file twice
    waiting = client.get(f"/api/status/{job}").json()
    assert {name: waiting[name] for name in ("job_id", "status", "progress", "error_message", "started_at", "completed_at")} == {
        "job_id": job,
        "status": "pending",
        "progress": 0.0,
        "error_message": None,
        "started_at": None,
        "completed_at": None,
    }
    assert client.get(f"/api/songmap/{job}").status_code == 202
    assert client.get(f"/api/audio/{job}/original").content == song.read_bytes()  # also while it waits
    assert client.get(f"/api/audio/{job}/stem/vocals").status_code == 404

    api.work(job).join(120)
    status = poll(client, job)
    assert (status["status"], status["progress"]) == ("complete", 1.0)
    assert datetime.datetime.fromisoformat(status["completed_at"]) >= datetime.datetime.fromisoformat(status["created_at"])
    found = client.get(f"/api/songmap/{job}")
    assert found.status_code == 200, found.text
    answer = found.json()
    assert (answer["job_id"], answer["elapsed"]) == (job, pytest.approx(status["elapsed"]))
    assert set(REQUIRED) == set(answer["song_map"])
    assert answer["song_map"]["provenance"]["source_path"] == "Artist - Title.wav"
    listed = client.get("/api/jobs").json()
    assert (listed["count"], listed["jobs"][0]["job_id"]) == (len(listed["jobs"]), job)

    for path, size in ((f"/api/audio/{job}/original", song.stat().st_size), (f"/api/audio/{job}/stem/instrumental", None)):
        head = client.head(path)
        assert (head.status_code, head.headers["accept-ranges"]) == (200, "bytes")
        assert size is None or int(head.headers["content-length"]) == size
        part = client.get(path, headers={"range": "bytes=4-11"})
        assert (part.status_code, len(part.content)) == (206, 8)
        assert part.headers["access-control-allow-origin"] == ORIGIN
    bad = client.get(f"/api/audio/{job}/stem/kazoo")
    assert (bad.status_code, "vocals" in bad.json()["detail"]) == (400, True)

    with connect(f"{api.url.replace('http', 'ws')}/ws/analyze/{job}", origin=ORIGIN) as socket:  # type: ignore[arg-type]
        said = [json.loads(message) for message in socket]
    assert (said[0]["type"], said[-1]["type"], said[-1]["progress"]) == ("connected", "complete", 1.0)
    assert {message["service"] for message in said if message["type"] == "service_complete"} >= {"ingest", "chords", "beats_key"}
    assert all(set(message) == {"type", "job_id", "service", "status", "progress", "message"} for message in said)

    deleted = client.delete(f"/api/jobs/{job}")
    assert (deleted.status_code, deleted.json()["job_id"]) == (200, job)
    for path in (
        f"/api/status/{job}",
        f"/api/songmap/{job}",
        f"/api/audio/{job}/original",
        "/api/status/00000000",
        "/api/status/..%2f..%2fx",
    ):
        gone = client.get(path)
        assert (gone.status_code, "detail" in gone.json()) == (404, True)
    assert not (data_dir / "songs" / "Artist - Title").exists()
    assert list((data_dir / "uploads").rglob("*.wav")) == []


def test_an_analysis_that_fails_says_why(api: ApiService, light_engines: dict[str, Callable[..., Any]], tmp_path: Path) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError(f"broken at {tmp_path}/secret")

    light_engines["tasks.beats_key.track_beats.track_beats_and_key"] = fail
    job = upload(api.client, tones(tmp_path / "a.wav", 311.0, seconds=4.0))["job_id"]
    api.work(job).join(120)
    status = poll(api.client, job)
    assert status["status"] == "error"
    assert status["error_message"]
    answer = api.client.get(f"/api/songmap/{job}")
    assert (answer.status_code, answer.json()["detail"]) == (500, status["error_message"])
    assert "Traceback" not in answer.text
    assert str(tmp_path) not in answer.text


def test_old_jobs_are_cleaned_up_and_their_songs_stay(
    api: ApiService, light_engines: dict[str, Callable[..., Any]], tmp_path: Path, data_dir: Path
) -> None:
    job = upload(api.client, tones(tmp_path / "kept.wav", 313.0, seconds=4.0))["job_id"]
    waiting = upload(api.client, tones(tmp_path / "waiting.wav", 317.0, seconds=4.0))["job_id"]
    api.work(job).join(120)
    poll(api.client, job)
    assert api.client.delete("/api/jobs/cleanup", params={"days": 7}).json()["deleted_count"] == 0
    answer = api.client.delete("/api/jobs/cleanup", params={"days": 0})
    assert answer.status_code == 200
    assert (answer.json()["deleted_count"] >= 1, answer.json()["retention_days"]) == (True, 0)
    assert api.client.get(f"/api/status/{job}").status_code == 404
    assert api.client.get(f"/api/status/{waiting}").json()["status"] == "pending"
    assert (data_dir / "songs" / "kept" / "song_map.json").is_file()
    api.client.delete(f"/api/jobs/{waiting}")


def test_it_greets_its_own_page_and_no_other(api: ApiService) -> None:
    assert api.client.get("/").json()["status"] == "operational"
    health = api.client.get("/health").json()
    assert (health["status"], isinstance(health["jobs_count"], int)) == ("healthy", True)
    asked = {"access-control-request-method": "DELETE", "access-control-request-headers": "content-type"}
    allowed = api.client.options("/api/jobs/cleanup", headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    refused = api.client.options("/api/jobs/cleanup", headers={**asked, "origin": "http://evil.example"})
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


def test_a_setting_leaves_it_out() -> None:
    with serving(api_first_front_end=False) as service:
        for path in ("/", "/health", "/api/jobs", "/api/status/00000000"):
            assert service.client.get(path).status_code == 404
