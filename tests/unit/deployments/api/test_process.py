"""`performia api`: which server of Prefect's it uses, and what it says where there is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.api import process
from deployments.api.metrics import _bytes_in, _family
from tasks.common.errors import ApiUnreachable, PortTaken
from tasks.common.settings import get_settings


@pytest.fixture
def no_server() -> Iterator[None]:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


@pytest.mark.usefixtures("no_server")
def test_it_needs_a_server_and_says_how_to_get_one() -> None:
    with pytest.raises(ApiUnreachable, match="performia serve"):
        process._use_server()


@pytest.mark.usefixtures("no_server")
def test_it_takes_the_server_and_the_folders_of_a_running_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PREFECT_API_URL", "PERFORMIA_INBOX_DIR", "PERFORMIA_OUTPUT_DIR"):
        monkeypatch.setenv(name, "")  # so that they are as they were afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(process, "serving_url", lambda: "http://127.0.0.1:4299/api")
    monkeypatch.setattr(process, "refuse_without_password", lambda url: None)
    monkeypatch.setattr(process, "served_folders", lambda: {"inbox_dir": tmp_path / "in", "output_dir": tmp_path / "out"})
    process._use_server()
    assert get_settings().songs_dir == tmp_path / "out"
    assert process.os.environ["PREFECT_API_URL"] == "http://127.0.0.1:4299/api"


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortTaken, match="PERFORMIA_API_PORT"):
        process._listening("127.0.0.1", other.getsockname()[1])


def test_figures_are_written_as_prometheus_reads_them(tmp_path: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    text = "".join(_family("performia_jobs", "gauge", "Jobs by state.", {'state="queued"': 3, 'state="failed"': 0.5}))
    (family,) = text_string_to_metric_families(text)
    assert {sample.labels["state"]: sample.value for sample in family.samples} == {"queued": 3.0, "failed": 0.5}
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(bytes(10))
    assert _bytes_in(tmp_path / "a") == 10
