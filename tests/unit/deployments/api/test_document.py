"""The OpenAPI document."""

from __future__ import annotations

import json

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
