"""`performia serve` before it serves: what it refuses, and what it tells its runs. The rest is in `tests/integration/test_service.py`."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from deployments.server import discovery
from deployments.server import serve as serve_command
from deployments.server.serve import ServeOptions, deployments
from tasks.common.confinement import is_inside, refuse_input, refuse_output
from tasks.common.errors import AlreadyServing, AudioPathRefused, OutputPathRefused, PortTaken
from tasks.common.orchestration import prefect_private
from tasks.common.orchestration.client_settings import CLIENT_SETTINGS
from tasks.common.settings import Settings, get_settings, reset_settings


def test_what_is_said_on_the_command_line_reaches_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = "user:word"
    os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "3"  # what a person has set stays
    os.environ.pop("PREFECT_CLIENT_RETRY_EXTRA_CODES", None)
    monkeypatch.chdir(tmp_path)
    serve_command._set_environment(ServeOptions(inbox=Path("in"), output=Path("out"), roots=(Path("music"),)))
    assert os.environ["PERFORMIA_INBOX_DIR"] == str(tmp_path / "in")
    assert os.environ["PERFORMIA_OUTPUT_DIR"] == str(tmp_path / "out")
    assert json.loads(os.environ["PERFORMIA_INPUT_ROOTS"]) == [str(tmp_path / "in"), str(tmp_path / "music")]
    assert os.environ["PREFECT_API_AUTH_STRING"] == "user:word"
    assert Path(os.environ["PERFORMIA_DATA_DIR"]).is_absolute()
    assert {name: os.environ[name] for name in CLIENT_SETTINGS} == {**CLIENT_SETTINGS, "PREFECT_CLIENT_MAX_RETRIES": "3"}


def test_a_taken_port_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortTaken, match="PORT_TAKEN"):
            serve_command._refuse_taken_port(other.getsockname()[1])


def test_the_usual_port_of_the_http_api_may_be_another_programs_and_one_that_was_asked_for_may_not() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        console = Console(record=True, width=200)
        usual = Settings.model_construct(_fields_set=set(), api_port=port)
        assert serve_command._free_api_port(usual, console) == 0
        assert f"Port {port}" in console.export_text()
        with pytest.raises(PortTaken, match="--api-port"):
            serve_command._free_api_port(Settings(api_port=port), console)
    assert serve_command._free_api_port(Settings(api_port=0), console) == 0


def test_two_services_of_one_data_directory_are_refused(data_dir: Path) -> None:
    with serve_command._only_one(data_dir / "serve.lock"), pytest.raises(AlreadyServing), serve_command._only_one(data_dir / "serve.lock"):
        pass
    with serve_command._only_one(data_dir / "serve.lock"):
        pass


def test_a_running_service_is_found_and_a_dead_one_is_not(data_dir: Path) -> None:
    assert discovery.serving_url() is None
    data_dir.mkdir()
    discovery.serving_file().write_text('{"api_url": "http://127.0.0.1:1/api"}')
    assert discovery.serving_url() is None
    with FileLock(data_dir / "serve.lock"):
        assert discovery.serving_url() == "http://127.0.0.1:1/api"
        discovery.serving_file().write_text("broken")
        assert discovery.serving_url() is None


def test_how_many_songs_at_once_is_the_limit_of_one_deployment() -> None:
    served = {deployment.name: deployment for deployment in deployments(5)}
    assert served["analyze-song"].concurrency_limit == 5
    assert served["watch-folder"].concurrency_limit == 1
    assert served["watch-folder"].concurrency_options.collision_strategy.value == "CANCEL_NEW"
    assert [len(deployment.schedules) for deployment in served.values()] == [0, 0, 1, 1]
    assert served["analyze-song"].entrypoint == "flows.song_analysis.analyze_song"


def test_a_served_run_may_read_in_the_inbox_or_the_roots_that_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_INBOX_DIR", str(tmp_path / "in"))
    reset_settings()
    refuse_input(tmp_path / "in" / "deep" / "a.wav", get_settings())
    refuse_input(None, get_settings())
    for path in (tmp_path / "in.wav", tmp_path / "in" / ".." / "a.wav", Path("/etc/passwd")):
        with pytest.raises(AudioPathRefused, match="PERFORMIA_INPUT_ROOTS"):
            refuse_input(path, get_settings())
    monkeypatch.setenv("PERFORMIA_INPUT_ROOTS", json.dumps([str(tmp_path / "music")]))
    reset_settings()
    refuse_input(tmp_path / "music" / "a.wav", get_settings())
    with pytest.raises(AudioPathRefused):
        refuse_input(tmp_path / "in" / "a.wav", get_settings())


def test_a_served_run_may_write_in_the_output_folder_or_the_roots_that_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_OUTPUT_DIR", str(tmp_path / "out"))
    reset_settings()
    refuse_output(tmp_path / "out" / "x", get_settings())
    refuse_output(None, get_settings())
    with pytest.raises(OutputPathRefused, match="PERFORMIA_OUTPUT_ROOTS"):
        refuse_output(tmp_path, get_settings())
    monkeypatch.setenv("PERFORMIA_OUTPUT_ROOTS", json.dumps([str(tmp_path)]))
    reset_settings()
    refuse_output(tmp_path / "elsewhere", get_settings())


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in" / "loop")
    assert is_inside(tmp_path / "in" / "x", (tmp_path / "in",))
    assert not is_inside(tmp_path / "in" / "link", (tmp_path / "in",))
    assert not is_inside(Path("a\0b"), (tmp_path,))
    assert not is_inside(tmp_path / "inside", (tmp_path / "in",))


def test_folders_are_made_and_named_and_what_cannot_be_one_is_refused(tmp_path: Path) -> None:
    from deployments.server.serve import make_folders
    from tasks.common.errors import FolderUnusable

    (tmp_path / "songs").mkdir()
    assert make_folders(tmp_path / "in" / "box", tmp_path / "songs") == [tmp_path / "in" / "box"]
    (tmp_path / "file").write_text("")
    for inbox, songs in ((tmp_path / "file", tmp_path / "songs"), (tmp_path / "in", tmp_path / "file" / "x"), (tmp_path, tmp_path)):
        with pytest.raises(FolderUnusable, match=str(tmp_path)):
            make_folders(inbox, songs)


def test_a_stray_request_at_a_port_of_the_runner_is_not_told_at_the_terminal() -> None:
    import asyncio
    import logging

    from prefect.runner._control_channel import ControlChannel

    logger = logging.getLogger("prefect.runner.control_channel")
    said: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]

    async def stray() -> None:
        async with ControlChannel() as channel:
            reader, writer = await asyncio.open_connection("127.0.0.1", channel.port)
            writer.write(b"GET / HTTP/1.1\n")
            await reader.read()  # until it is closed
            writer.close()

    level = logger.level
    logger.addHandler(listener)
    try:
        asyncio.run(stray())
        assert [message for message in said if "unauthenticated" in message]
        said.clear()
        prefect_private.quiet_runner()
        asyncio.run(stray())
        assert said == []
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
