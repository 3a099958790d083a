"""Errors as problems: a status for each code, and nothing of the disk in any."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from deployments.api.app import create_app
from deployments.api.problems import STATUSES, by_code, problem_of, problem_of_text, status_of, without_paths
from tasks.common.errors import AudioSilent, SongMapInvalid, UploadTooLarge, all_errors
from tasks.common.settings import get_settings


def test_every_code_has_a_status_of_an_error_and_is_its_own() -> None:
    assert all(400 <= status_of(error) < 600 for error in all_errors())
    assert len({error.code for error in all_errors()}) == len(all_errors())
    assert status_of(AudioSilent) == 422
    assert status_of(UploadTooLarge) == 413
    assert by_code("AUDIO_SILENT") is AudioSilent
    assert by_code("NONE") is None
    assert set(STATUSES) - {*all_errors()} == {next(iter(STATUSES))}  # the base of all


def test_a_problem_says_what_happened_and_what_to_do() -> None:
    problem = problem_of(AudioSilent("/secret/place/my song.wav is silent"), "/v1/jobs", names={"/secret/place/my song.wav": "my song.wav"})
    assert (problem.type, problem.code, problem.status) == ("/v1/problems/AUDIO_SILENT", "AUDIO_SILENT", 422)
    assert (problem.detail, problem.instance) == ("my song.wav is silent", "/v1/jobs")
    assert problem.todo.startswith("Check the recording")


def test_what_a_run_said_is_the_problem_it_had() -> None:
    error = SongMapInvalid("The Song Map has 8 problems ($.beats[5]: is 2.5)", (), f"See {get_settings().songs_dir}/A - B/invalid, please")
    problem = problem_of_text(f"Flow run encountered an exception: SongMapInvalid: {error}", "/v1/jobs/1")
    assert (problem.code, problem.status) == ("SONG_MAP_INVALID", 500)
    assert "$.beats[5]" in problem.detail
    assert str(get_settings().data_dir) not in problem.model_dump_json()
    assert problem_of_text("Something else", "/v1/jobs/1").code == "PERFORMIA_ERROR"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("see /etc/performia/secret.txt and 3/4 of http://a/b/c", "see secret.txt and 3/4 of http://a/b/c"),
        ("cannot write 'C:\\Users\\me\\x.wav'", "cannot write 'x.wav'"),
        ("GET /v1/jobs lists", "GET /v1/jobs lists"),
        ("nothing here", "nothing here"),
    ],
)
def test_of_a_path_the_last_name_is_left(text: str, told: str) -> None:
    assert without_paths(text) == told


def test_names_with_blanks_in_our_own_folders_are_cut_too(data_dir: Path) -> None:
    assert without_paths(f"{data_dir}/songs/My Band/A song, part 2.wav is gone") == "A song, part 2.wav is gone"


def test_every_error_of_the_application_is_a_problem() -> None:
    app = create_app()

    @app.get("/boom")
    def boom() -> None:
        raise RuntimeError("/secret/place")

    client = TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
    for method, path, status, code in (
        ("GET", "/nothing", 404, "NOTHING_THERE"),
        ("POST", "/healthz", 405, "METHOD_REFUSED"),
        ("GET", "/v1/problems/lower", 422, "REQUEST_INVALID"),
        ("GET", "/v1/problems/NONE", 404, "NOTHING_THERE"),
        ("GET", "/boom", 500, "PERFORMIA_ERROR"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
    assert client.get("/v1/problems/AUDIO_SILENT").json()["status"] == 422


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
)
def test_no_other_host_and_no_other_page_is_let_in(headers: dict[str, str]) -> None:
    client = TestClient(create_app(), base_url="http://127.0.0.1:8000")
    refused = client.get("/healthz", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "DOOR_CLOSED")


def test_a_page_that_a_setting_names_is_let_in() -> None:
    settings = get_settings().model_copy(update={"api_origins": ("http://localhost:5001",), "allowed_hosts": ("nas",)})
    client = TestClient(create_app(settings), base_url="http://nas:8000")
    answer = client.get("/healthz", headers={"origin": "http://localhost:5001"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "http://localhost:5001")
    asked = {"origin": "http://localhost:5001", "access-control-request-method": "DELETE"}
    assert client.options("/v1/jobs", headers=asked).status_code == 200
