"""The service as a person runs it: `performia serve` in its own process, its own server, light engines; driven from outside."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import light_engines
import psutil
import pytest
import soundfile
from api_service import ApiService
from service import ROOT, Service, free_port, kill, tones

from schemas.song_map import SongMap
from tasks.packager.validation import validate_file

ENGINES_ON_GPU = light_engines.using_gpu()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    shutil.copytree(prefect_database, folder / "prefect")
    # `cuda` makes the light engines ask for the slot of a GPU.
    found = Service(folder, folder / "prefect", LIGHT_SECONDS="0.4", PERFORMIA_DEVICE="cuda", PERFORMIA_API_PORT=str(free_port()))
    try:
        found.start("--at-once", "8")
        found.pause_schedule("watch-folder/watch-folder")
        yield found
        found.stop()
        assert list(found.pids()) == []
    finally:
        found.kill_all()


def test_a_song_dropped_into_the_inbox_becomes_a_song_map_once(service: Service) -> None:
    name = "año $(touch owned) 'quoted'; 夜.wav"
    song = tones(service.inbox / "band & co" / name, 220)
    looked = service.look()
    assert looked["state_type"] == "COMPLETED", looked
    song_map = service.songs / "band & co" / Path(name).stem / "song_map.json"
    service.wait(song_map.exists, 60, "no Song Map")
    assert validate_file(song_map) == []
    runs = service.runs("analyze-song")
    assert [run["name"] for run in runs] == [name]
    service.ended(runs[0]["id"])
    song.rename(service.inbox / "renamed.wav")
    shutil.copy(service.inbox / "renamed.wav", service.inbox / "copied.wav")
    assert "1 done" in service.look()["state"]["message"]
    assert len(service.runs("analyze-song")) == 1
    assert not list(Path.cwd().rglob("owned"))
    assert not list(service.folder.rglob("owned"))


def test_a_song_that_fails_is_moved_beside_a_report_and_stops_no_other(service: Service) -> None:
    bad = service.inbox / "broken.wav"
    bad.write_bytes(b"RIFF but no music" * 50)
    tones(service.inbox / "good.wav", 300, 410)
    rules = {"attempts": 1, "settle_sec": 1}
    service.look(rules=rules)
    service.wait((service.songs / "good" / "song_map.json").exists, 60, "no Song Map")
    service.wait(lambda: not service.runs("analyze-song", "RUNNING", "PENDING", "SCHEDULED"), 30, "runs go on")
    service.look(rules=rules)
    assert not bad.exists()
    report = (service.inbox / "failed" / "broken.wav.report.txt").read_text(encoding="utf-8")
    assert "AUDIO_" in report


def test_only_one_step_at_once_has_the_gpu_and_it_is_not_left_idle(service: Service) -> None:
    before = len(service.executions())
    for number in range(8):
        tones(service.inbox / "many" / f"{number}.wav", 500 + 20 * number)
    service.look()
    service.wait(lambda: len(list((service.songs / "many").rglob("song_map.json"))) == 8, 200, "not every song has a Song Map")
    events = sorted(event for event in service.executions()[before:] if event[2] in ENGINES_ON_GPU)
    executions = 8 * len(ENGINES_ON_GPU)
    assert executions
    assert [kind for _, kind, *_ in events] == ["start", "end"] * executions
    waits = [start[0] - end[0] for end, start in zip(events[1:-1:2], events[2::2], strict=True)]
    # Idle only counts while somebody waits: the last songs' own start takes longer than a slot's hand-over.
    assert sorted(waits)[len(waits) // 2] < 1.5


def test_a_cached_step_waits_for_no_slot(service: Service) -> None:
    song = tones(service.inbox / "again.wav", 777)
    first = service.ended(service.run("analyze-song/analyze-song", song=str(song)))
    assert first["state_type"] == "COMPLETED"
    lease = service.post("v2/concurrency_limits/increment-with-lease", {"names": ["gpu"], "slots": 1, "lease_duration": 300})
    try:
        cached = service.ended(service.run("analyze-song/analyze-song", song=str(song)), 60)
        assert cached["state_type"] == "COMPLETED"
    finally:
        service.post("v2/concurrency_limits/decrement-with-lease", {"lease_id": lease["lease_id"]})
    song_map = SongMap.model_validate_json((service.songs / "again" / "song_map.json").read_text(encoding="utf-8"))
    assert {step.cached for _, step in song_map.steps} == {True}


def test_a_served_run_reads_and_writes_in_the_allowed_folders_only(service: Service, tmp_path: Path) -> None:
    outside = tones(tmp_path / "outside.wav", 220)
    (service.inbox / "link.wav").symlink_to(outside)
    for song in (outside, service.inbox / "link.wav", service.inbox / ".." / "data" / "x.wav", Path("/etc/passwd")):
        run = service.ended(service.run("analyze-song/analyze-song", song=str(song)))
        assert run["state_type"] == "FAILED"
        assert "AUDIO_PATH_REFUSED" in run["state"]["message"]
    inside = tones(service.inbox / "inside.wav", 900)
    run = service.ended(service.run("analyze-song/analyze-song", song=str(inside), output_dir=str(tmp_path / "out")))
    assert "OUTPUT_PATH_REFUSED" in run["state"]["message"]
    assert not (tmp_path / "out").exists()
    for parameters in ({"inbox": str(tmp_path)}, {"outbox": str(tmp_path)}):
        assert "PATH_REFUSED" in service.look(**parameters)["state"]["message"]
    folder = service.ended(service.run("analyze-folder/analyze-folder", folder=str(tmp_path)))
    assert "PATH_REFUSED" in folder["state"]["message"]
    (service.inbox / "link.wav").unlink()


def test_servers_listen_on_loopback_only(service: Service) -> None:
    listening = {
        connection.laddr.ip
        for pid in service.pids()
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def api_of(service: Service) -> ApiService:
    """The HTTP API of the service, once it is ready."""
    api = ApiService(f"http://127.0.0.1:{service.environment['PERFORMIA_API_PORT']}")

    def ready() -> bool:
        try:
            return api.client.get("/readyz").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    service.wait(ready, 90, "the HTTP API is not ready")
    return api


def test_a_client_of_the_api_misses_nothing_while_the_api_dies(service: Service, tmp_path: Path) -> None:
    api = api_of(service)
    song = tones(tmp_path / "sent.wav", 1234)
    sent = api.send(song)
    assert sent.status_code == 202, sent.text
    job, seen, killed = sent.json()["id"], [], 0
    while not seen or seen[-1]["type"] != "ended":
        number = next((str(event["id"]) for event in reversed(seen) if event["id"] is not None), None)
        try:
            for event in api.each_event(job, after=number):
                seen.append(event)
                if event["type"] == "step" and killed < 2:
                    killed += 1
                    for pid in list(service.pids("performia api")):
                        kill(pid)
        except httpx.HTTPError:
            api_of(service)
    assert killed == 2
    numbers = [event["id"] for event in seen if event["id"] is not None]
    told: list[dict[str, Any]] = []

    def tells_again() -> bool:
        """What was killed may have sent the end before, and answers nothing until it is started again."""
        try:
            told[:] = api.events(job)
        except httpx.HTTPError:
            return False
        return True

    service.wait(tells_again, 90, "the HTTP API was not started again")
    assert numbers == [event["id"] for event in told if event["id"] is not None]
    assert seen[-1]["job"]["state"] == "completed"
    assert validate_file(service.songs / "sent" / "song_map.json") == []


def test_a_song_that_comes_through_both_doors_is_analysed_once(service: Service, tmp_path: Path) -> None:
    api = api_of(service)
    song = tones(tmp_path / "both.wav", 1357)
    first = api.send(song).json()["id"]
    shutil.copy(song, service.inbox / "both again.wav")
    looked = service.look(rules={"settle_sec": 0})
    assert looked["state_type"] == "COMPLETED", looked
    other = tones(service.inbox / "inbox first.wav", 1468)
    service.look(rules={"settle_sec": 0})

    def names() -> list[str]:
        """Of this test's runs: the service has others'."""
        return [
            run["name"] for run in service.runs("analyze-song") if any(word in run["name"] for word in ("both", "inbox first", "sent too"))
        ]

    assert sorted(names()) == ["both.wav", "inbox first.wav"]
    second = api.send(other, name="sent too.wav").json()
    assert second["name"] == "inbox first.wav"
    for job in (first, second["id"]):
        service.ended(job)
    service.look(rules={"settle_sec": 0})
    assert sorted(names()) == ["both.wav", "inbox first.wav"]


def test_a_job_that_runs_is_cancelled_within_fifteen_seconds(service: Service, tmp_path: Path) -> None:
    api = api_of(service)
    lease = service.post("v2/concurrency_limits/increment-with-lease", {"names": ["gpu"], "slots": 1, "lease_duration": 300})
    try:
        job = api.send(tones(tmp_path / "cancelled.wav", 1579)).json()["id"]
        service.wait(lambda: api.job(job)["state"] == "running", 60, "the job does not begin")
        pid = service.run_pid(service.get(f"flow_runs/{job}")["id"])
        assert api.client.post(f"/v1/jobs/{job}/cancel").status_code == 202
        service.wait(lambda: api.job(job)["state"] == "cancelled", 15, "the job is not cancelled")
        service.wait(lambda: not psutil.pid_exists(pid), 5, "its process lives")
    finally:
        service.post("v2/concurrency_limits/decrement-with-lease", {"lease_id": lease["lease_id"]})


def test_a_second_service_of_the_same_data_is_refused(service: Service) -> None:
    command = [sys.executable, "-m", "deployments.cli.main", "serve", "--port", str(service.port)]
    second = subprocess.run(command, env=service.environment, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "ALREADY_SERVING" in second.stderr
    assert "Traceback" not in second.stderr


def test_other_commands_find_the_service(service: Service, tmp_path: Path) -> None:
    song = tones(tmp_path / "from the command.wav", 640)
    command = [sys.executable, "-m", "deployments.cli.main", "analyze", str(song), "-o", str(tmp_path / "out"), "--json"]
    done = subprocess.run(command, env=service.environment, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout)[0]["song_map"], done.stderr
    assert "from the command.wav" in [run["name"] for run in service.runs("analyze-song")]


def test_a_cancelled_run_stops_within_seconds_and_leaves_nothing(tmp_path: Path, prefect_home: Path) -> None:
    service = Service(tmp_path, prefect_home, LIGHT_SECONDS="120")
    try:
        service.start()
        song = tones(service.inbox / "long.wav", 220)
        run = service.run("analyze-song/analyze-song", song=str(song))
        service.wait(lambda: bool(service.executions()), 60, "no step starts")
        worker = service.executions()[0][4]
        service.cancel(run)
        service.wait(lambda: service.get(f"flow_runs/{run}")["state_type"] == "CANCELLED", 15, "the run is not cancelled")
        assert not psutil.pid_exists(worker)
        assert not list(service.data.rglob("*.tmp"))
        assert not list((service.data / "scratch").glob("*"))
        assert not (service.songs / "long").exists()
        service.wait(
            lambda: (
                not [
                    limit
                    for limit in service.post("v2/concurrency_limits/filter", {})
                    if limit["name"] == "cpu-heavy" and limit["active_slots"]
                ]
            ),
            15,
            "a slot stays taken",
        )
        service.wait(lambda: not list((service.data / "runs").glob(f"{run}*")), 15, "a lock stays")
    finally:
        service.kill_all()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_stopped_while_it_starts_ends_in_order(ending: signal.Signals, tmp_path: Path, prefect_home: Path) -> None:
    service = Service(tmp_path, prefect_home)
    (log := service.data / "logs").mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "deployments.cli.main",
        "serve",
        "--inbox",
        str(service.inbox),
        "-o",
        str(service.songs),
        "--port",
        str(service.port),
    ]
    process = subprocess.Popen(command, env=service.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        service.wait((log / "prefect-server.log").exists, 60, "the API is not started")
        process.send_signal(ending)
        said, _ = process.communicate(timeout=150)
        assert process.returncode == 0, said
        assert "Stopped." in said
        assert "Traceback" not in said
        service.wait(lambda: list(service.pids()) == [], 15, "something is left of the service")
        assert not (service.data / "serve.json").exists()
    finally:
        service.kill_all()
        process.kill()


def test_with_an_auth_string_nothing_is_told_without_it_and_it_is_written_nowhere(tmp_path: Path, prefect_home: Path) -> None:
    secret = "admin:s3cret-0f-the-band"
    service = Service(tmp_path, prefect_home, PREFECT_SERVER_API_AUTH_STRING=secret)
    import base64

    service.headers = {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}
    try:
        service.start()
        for path in ("deployments/name/prune/prune", "admin/settings", "csrf-token?client=stranger"):
            assert httpx.get(f"{service.url}/{path}", timeout=10).status_code == 401
        for path in ("deployments/filter", "flow_runs/filter", "block_documents/filter"):
            # Nobody without the password has a token against forged requests, which is asked for first.
            assert httpx.post(f"{service.url}/{path}", json={}, timeout=10).status_code in (401, 403)
        tones(service.inbox / "a.wav", 220)
        service.wait((service.songs / "a" / "song_map.json").exists, 90, "no Song Map")
        service.stop()
        written = [path for path in service.folder.rglob("*") if path.is_file() and secret.split(":")[1].encode() in path.read_bytes()]
        assert written == []
    finally:
        service.kill_all()


def test_the_deployments_resolve_on_a_server_with_a_worker(tmp_path: Path, prefect_home: Path) -> None:
    """What a person does who runs a Prefect server of their own: setup, deploy, worker."""
    service = Service(tmp_path, prefect_home)
    try:
        service.start()  # only for its server
        environment = {**service.environment, "PREFECT_API_URL": service.url, "PERFORMIA_INBOX_DIR": str(service.inbox)}
        environment["PERFORMIA_OUTPUT_DIR"] = str(service.songs)

        def run(*command: str) -> str:
            done = subprocess.run([sys.executable, "-m", *command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        assert run("deployments.cli.main", "setup") == "made automation 'Performia: watch the inbox again'\n"
        assert run("deployments.cli.main", "setup") == "nothing to do: everything is there\n"
        assert "made limit gpu: 3" in run("deployments.cli.main", "setup", "--limit", "gpu=3")
        run("prefect", "--no-prompt", "deploy", "--all")
        found = {deployment["name"]: deployment for deployment in service.post("deployments/filter", {})}
        assert set(found) == {"analyze-song", "analyze-folder", "watch-folder", "prune"}
        assert {deployment["work_pool_name"] for deployment in found.values()} == {"performia"}
        assert found["watch-folder"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        assert all(deployment["description"] and deployment["tags"] for deployment in found.values())
        song = tones(service.inbox / "by a worker.wav", 333)
        run_id = service.run("analyze-song/analyze-song", song=str(song))
        run("prefect", "worker", "start", "--pool", "performia", "--run-once")
        assert service.ended(run_id)["state_type"] == "COMPLETED"
        assert soundfile.info(service.songs / "by a worker" / "stems" / "vocals.flac").frames
    finally:
        service.kill_all()
