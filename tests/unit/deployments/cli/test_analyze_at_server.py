"""`performia analyze --server`: songs at a service, shown, told and written as without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.api.client import Client, Sent
from deployments.cli import main as cli
from schemas.api.jobs import Job, JobEvent
from schemas.corrections import Corrections
from schemas.options import AnalysisOptions, Quality
from schemas.song_map import SongMap
from tasks.common.errors import ApiUnreachable, AudioSilent, OptionInvalid
from tasks.common.progress import Progress

GOLDEN = Path(__file__).parents[2] / "packager" / "golden" / "song_map.json"
RUNNER = CliRunner()
LINKS = {"self": "", "events": "", "cancel": "", "retry": ""}
PROBLEM = {"type": "", "title": "", "status": 500, "detail": "no beats", "code": "ENGINE_FAILED", "todo": "Wait", "instance": ""}


def job(name: str, state: str, **facts: Any) -> Job:
    usual = {"id": "0" * 32, "state": state, "name": name, "options": {}, "progress": 0, "attempt": 1, "seconds": 0, "links": LINKS}
    return Job.model_validate({**usual, "created_at": "2026-11-29T00:00:00Z", **facts})


class Service:
    """Stands for the client. What a song is called says how it goes."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, AnalysisOptions]] = []
        self.corrections: list[Corrections | None] = []
        self.cancelled: list[str] = []

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None: ...

    def send(self, song: Path, options: AnalysisOptions, progress: Progress, corrections: Corrections | None) -> Sent:
        self.sent.append((song.name, options))
        self.corrections.append(corrections)
        if song.stem == "silent":
            raise AudioSilent("silent.wav is silent")
        if song.stem == "away":
            raise ApiUnreachable("No Performia service answers")
        progress(1.0)
        return Sent(job(song.name, "queued"), new=song.stem != "known")

    def events(self, job_id: str) -> Iterator[JobEvent]:
        name = self.sent[-1][0]

        def event(number: int, kind: str, **facts: Any) -> JobEvent:
            usual = {"id": number, "type": kind, "job_id": job_id, "at": "2026-11-29T00:00:00Z", "state": "running", "progress": 0}
            return JobEvent.model_validate({**usual, **facts})

        def step(state: str, progress: float) -> dict[str, Any]:
            return {"name": "chords", "title": "", "state": state, "progress": progress}

        yield event(0, "queued")
        yield event(1, "step", step=step("running", 0.5))
        if name in ("stop.wav", "known.wav"):
            raise KeyboardInterrupt
        yield event(2, "step", step=step("cached", 1.0))
        good = {"state": "completed", "song_id": "5eb63bbbe01eeed0"}
        yield event(3, "ended", job=job(name, **({"state": "failed", "problem": PROBLEM} if name == "bad.wav" else good)))

    def download(self, song_id: str, output: Path, file_name: str, progress: Progress) -> SongMap:
        progress(1.0)
        return SongMap.from_json(GOLDEN.read_bytes()).written_to(output / Path(file_name).stem)

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    found = Service()
    monkeypatch.setattr("deployments.api.client.Client", lambda url: found if url == "http://nas:8000" else Client(url))
    return found


@pytest.fixture
def analyze(service: Service, tmp_path: Path) -> Callable[..., Any]:
    def run(*arguments: str) -> Any:
        return RUNNER.invoke(cli.app, ["analyze", "--server", "http://nas:8000", "--json", "-o", str(tmp_path / "out"), *arguments])

    return run


def test_songs_go_there_one_after_the_other_and_a_bad_one_stops_no_other(
    service: Service, analyze: Callable[..., Any], tmp_path: Path
) -> None:
    result = analyze("a.wav", "silent.wav", "bad.wav", "b.wav", "--quality", "fast", "--no-stems", "--min-bpm", "70")
    assert result.exit_code == 1
    endings = {ending["song"]: ending for ending in json.loads(result.stdout)}
    assert {name: ending["code"] for name, ending in endings.items()} == {
        "a.wav": None,
        "silent.wav": "AUDIO_SILENT",
        "bad.wav": "ENGINE_FAILED",
        "b.wav": None,
    }
    assert endings["a.wav"]["status"] == "complete"
    assert endings["a.wav"]["song_map"] == str(tmp_path / "out" / "a" / "song_map.json")
    assert [options for _, options in service.sent] == [AnalysisOptions(quality=Quality.fast, stems=False, min_bpm=70)] * 4
    assert all(text in result.stderr for text in ("upload: done", "chords: cached", "download: done", "ENGINE_FAILED", "no beats. Wait."))
    assert analyze("a.wav").exit_code == 0


def test_what_was_put_right_goes_along_with_its_song(service: Service, analyze: Callable[..., Any], tmp_path: Path) -> None:
    corrections = Corrections(song="40d84da9975e3569")
    (tmp_path / "corrections.json").write_text(corrections.to_json(), encoding="utf-8")
    assert analyze("a.wav", "--corrections", str(tmp_path / "corrections.json")).exit_code == 0
    assert service.corrections == [corrections]
    refused = analyze("a.wav", "b.wav", "--corrections", str(tmp_path / "corrections.json"))
    assert isinstance(refused.exception, OptionInvalid)
    assert len(service.corrections) == 1


def test_a_service_that_is_away_is_asked_once(service: Service, analyze: Callable[..., Any]) -> None:
    result = analyze("away.wav", "b.wav")
    assert result.exit_code == 1
    assert [(ending["song"], ending["code"]) for ending in json.loads(result.stdout)] == [
        ("away.wav", "API_UNREACHABLE"),
        ("b.wav", "API_UNREACHABLE"),
    ]
    assert [name for name, _ in service.sent] == ["away.wav"]


def test_stopped_it_cancels_the_job_it_has_begun(service: Service, analyze: Callable[..., Any]) -> None:
    result = analyze("a.wav", "stop.wav", "b.wav")
    assert result.exit_code == 130
    assert service.cancelled == ["0" * 32]
    assert [ending["song"] for ending in json.loads(result.stdout)] == ["a.wav"]
    assert "cancelled at the service" in result.stderr


def test_stopped_it_leaves_a_job_that_was_there_before(service: Service, analyze: Callable[..., Any]) -> None:
    assert analyze("known.wav").exit_code == 130
    assert service.cancelled == []
