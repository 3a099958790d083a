"""The songs' folders over HTTP: what is served, and what is not."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from deployments.server.output_server import serving_outputs
from flows.run.live_progress import LiveProgress
from tasks.common.progress import StepEvent, publish


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    (out / "a song").mkdir(parents=True)
    (out / "a song" / "song_map.json").write_text('{"id": 1}')
    (out / "a song" / "timeline.svg").write_text("<svg/>")
    (out / ".hidden").write_text("no")
    (tmp_path / "secret.txt").write_text("no")
    (out / "link.txt").symlink_to(tmp_path / "secret.txt")
    return out


def test_files_are_served_as_what_they_are(folder: Path) -> None:
    with serving_outputs(folder) as url:
        assert url.startswith("http://127.0.0.1:")
        song_map = httpx.get(f"{url}/a%20song/song_map.json")
        assert song_map.json() == {"id": 1}
        picture = httpx.get(f"{url}/a%20song/timeline.svg")
        assert picture.headers["content-type"].startswith("image/svg+xml")
        assert "sandbox" in picture.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["", "a%20song", "a%20song/", ".hidden", "../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "link.txt", "none"]
)
def test_nothing_else_is(folder: Path, path: str) -> None:
    with serving_outputs(folder) as url:
        answer = httpx.get(f"{url}/{path}")
        assert answer.status_code == 404
        assert "no" not in answer.text
        assert httpx.post(f"{url}/a%20song/song_map.json").status_code == 405


def test_where_the_api_has_a_password_the_files_have_it_too(folder: Path) -> None:
    with serving_outputs(folder, auth="user:word") as url:
        asked = httpx.get(f"{url}/a%20song/song_map.json")
        assert (asked.status_code, asked.text) == (401, "")
        assert httpx.get(f"{url}/a%20song/song_map.json", auth=("user", "wrong")).status_code == 401
        assert httpx.get(f"{url}/a%20song/song_map.json", auth=("user", "word")).status_code == 200


def test_progress_is_the_share_of_the_work_that_is_done_and_never_fails_a_run() -> None:
    live = LiveProgress("no run's id", "song")  # so no artifact can be made of it
    with live:
        assert live.percent() == 0.0
        publish(StepEvent("another run", "separation", "finished", 1.0))
        assert live.percent() == 0.0
        publish(StepEvent("no run's id", "separation", "progress", 0.5))
        halfway = live.percent()
        publish(StepEvent("no run's id", "separation", "finished", 1.0))
        assert 0.0 < halfway < live.percent()
        for step in ("ingest", "beats_key", "asr", "chords", "melody", "bass", "structure", "package"):
            publish(StepEvent("no run's id", step, "failed"))
        assert live.percent() == pytest.approx(100.0)
        time.sleep(0.01)
