"""The OpenAPI document."""

from __future__ import annotations

import json
import re

from starlette.testclient import TestClient

from deployments.api.app import create_app
from deployments.api.document import DOCUMENT, document_text


def test_the_committed_document_is_that_of_the_code() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document_text()  # else: make docs


def test_every_error_of_every_call_is_a_problem() -> None:
    document = json.loads(document_text())
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in json.dumps(document)
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            errors = {status: answer for status, answer in call["responses"].items() if status[0] in "45"}
            assert {"401", "429", "503"} <= set(errors), (path, method)
            assert all(list(answer["content"]) == ["application/problem+json"] for answer in errors.values()), (path, method)


def test_what_is_json_is_described_as_json_and_not_as_bytes() -> None:
    paths = json.loads(document_text())["paths"]
    song, peaks = paths["/v1/songs/{song_id}"]["get"], paths["/v1/songs/{song_id}/peaks/{name}"]["get"]
    assert peaks["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Peaks"}
    views = {part["$ref"].rpartition("/")[2] for part in song["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]}
    assert views == {"SongMap", "FirstView"}
    event = paths["/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
    assert event["properties"]["data"]["contentSchema"] == {"$ref": "#/components/schemas/JobEvent"}


def test_what_is_refused_is_described_as_such() -> None:
    paths = json.loads(document_text())["paths"]
    form = paths["/v1/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["additionalProperties"] is False
    patterns = {parameter["name"]: parameter["schema"].get("pattern", "") for parameter in paths["/v1/songs"]["get"]["parameters"]}
    taken = {"sort": ("title", "-bpm", ""), "key": ("Am", "Bb major", "a:min", "C♯")}
    refused = {"sort": ("rating", "--bpm", "title,bpm"), "key": ("H", "A moll", "12")}
    for name in taken:
        assert all(re.search(patterns[name], text) for text in taken[name])
        assert not any(re.search(patterns[name], text) for text in refused[name])


def test_every_reference_leads_somewhere() -> None:
    document = create_app().openapi()
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in schemas
    assert {"Job", "JobList", "Problem", "AnalysisOptions"} <= set(schemas)


def test_the_page_asks_nothing_of_other_sites() -> None:
    client = TestClient(create_app(), base_url="http://127.0.0.1:8000")
    page = client.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.get("/openapi.json").json() == json.loads(document_text())
