"""The HTTP API keeps to its own document: requests that schemathesis makes of it, good and bad, to an API as it is.

No answer is one of 500, none has a status, type, header or body that the document lacks; what the document allows is taken, and what it
forbids is refused. Half of the ids are of songs and jobs that there are, and every file of a good request is a song.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from api_service import ApiService, serving
from api_songs import Songs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from prefect.client.orchestration import get_client
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from service import tones

from tasks.common.settings import get_settings

pytestmark = pytest.mark.usefixtures("prefect_api", "light_engines")


@pytest.fixture
def api() -> Iterator[ApiService]:
    from flows import analyze_song

    made = analyze_song.to_deployment("analyze-song").apply()
    with serving(api_requests_per_minute=1_000_000, api_jobs_queued=1_000_000) as service:
        yield service
    with get_client(sync_client=True) as client:
        client.delete_deployment(made)


schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
#: What no JSON Schema says is refused under these: one option is less than another, the file has no such track, the key is used again; a
#: header says which state of a song is meant.
_BEYOND_SCHEMAS = (
    "OPTION_INVALID",
    "AUDIO_TRACK_MISSING",
    "IDEMPOTENCY_KEY_REUSED",
    "UPLOAD_TOO_LARGE",
    "SONG_CHANGED",
    "IF_MATCH_MISSING",
)
_OF_A_GOOD_FORM = (
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.PRECONDITION_REQUIRED,
)
TUS = {"tus-resumable": "1.0.0"}
#: Texts that only a service can make.
_OF_THE_SERVICE = ("cursor",)


class World:
    """Songs and jobs that there are, made anew where a call has removed them."""

    def __init__(self, api: ApiService, folder: Path):
        self._api = api
        self._songs = Songs(get_settings())
        self._upload: str | None = None
        self._wave = tones(folder / "a song.wav", 311.0)

    def song(self) -> str:
        return str(self._songs.put("a")["id"])

    def upload(self) -> str:
        if self._upload is None or not self._api.client.head(self._upload, headers=TUS).is_success:
            self._upload = self._api.client.post("/v1/uploads", headers={**TUS, "upload-length": "10"}).headers["location"]
        return self._upload.rpartition("/")[2]

    def file(self) -> bytes:
        return self._wave.read_bytes()

    def job(self) -> str:
        job = self._api.send(self._wave).json()["id"]
        self._api.client.post(f"/v1/jobs/{job}/cancel")
        return str(job)


def explore(api: ApiService, world: World, cases: int) -> tuple[Counter[int], dict[str, str]]:
    """Send about so many requests, the same ones each time.

    Returns how many answers had each status, and what was wrong: {what: request}.
    """
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    statuses: Counter[int] = Counter()
    wrong: dict[str, str] = {}
    for operation in operations:
        for mode in GenerationMode:
            _explore(
                operation.as_strategy(mode),
                mode is GenerationMode.POSITIVE,
                api,
                world,
                max(1, cases // len(operations) // 2),
                statuses,
                wrong,
            )
    return statuses, wrong


def _explore(strategy: Any, good: bool, api: ApiService, world: World, cases: int, statuses: Counter[int], wrong: dict[str, str]) -> None:
    known = {"song_id": world.song, "job_id": world.job, "upload_id": world.upload}

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy, real=st.booleans())
    def send(case: Any, real: bool) -> None:
        if real:
            for name in known.keys() & (case.path_parameters or {}).keys():
                case.path_parameters[name] = known[name]()
        case.query = {name: value for name, value in (case.query or {}).items() if not good or name not in _OF_THE_SERVICE}
        if good and isinstance(case.body, dict) and "file" in case.body:
            case.body["file"] = world.file()
            case.body.pop("callback_url", None)
        answer = case.call(base_url=api.url)
        if answer.status_code == HTTPStatus.CREATED:  # twenty may be there
            api.client.delete(answer.headers["location"][0], headers=TUS)
        statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, excluded_checks=excluded(answer, good, real))
        except FailureGroup as failures:
            for failure in failures.exceptions:
                what = f"{case.method} {case.operation.path}: {failure.title}"
                wrong.setdefault(what, f"{answer.text[:300]} {failure.message[:1500]} {case.as_curl_command()[:1500]}")

    with suppress(Unsatisfiable):  # of a call without parameters there is no bad request
        send()


def excluded(answer: Any, good: bool, real: bool) -> list[Any]:
    """The checks that do not fit a request."""
    if good and answer.status_code in _OF_A_GOOD_FORM and answer.json()["code"] in _BEYOND_SCHEMAS:
        return [positive_data_acceptance]
    # What was bad may have been the id; and 412 refuses too, as tus has it.
    taken = not good and (real or answer.status_code == HTTPStatus.PRECONDITION_FAILED)
    return [negative_data_rejection] if taken else []


def test_what_the_api_answers_is_in_its_document(api: ApiService, tmp_path: Path) -> None:
    statuses, wrong = explore(api, World(api, tmp_path), 50)
    assert not wrong, json.dumps(wrong, indent=1)
    assert {200, 404, 422} <= set(statuses)


@pytest.mark.slow
def test_what_the_api_answers_to_five_thousand_requests_is_in_its_document(api: ApiService, tmp_path: Path) -> None:
    statuses, wrong = explore(api, World(api, tmp_path), 7500)
    assert not wrong, json.dumps(wrong, indent=1)
    assert sum(statuses.values()) >= 5000
