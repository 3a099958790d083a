"""How long a run that a person's own code starts waits for a busy server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.run.patience import PatientFlow

_PROGRAM = """
from prefect import Flow
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, PREFECT_CLIENT_RETRY_EXTRA_CODES, PREFECT_FLOWS_HEARTBEAT_FREQUENCY

from flows import analyze_song

def settings(*_):
    extra_codes = sorted(PREFECT_CLIENT_RETRY_EXTRA_CODES.value())
    return PREFECT_CLIENT_MAX_RETRIES.value(), *extra_codes, PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value()

Flow.__call__ = settings  # in place of a run
print(analyze_song(), settings())
"""


@pytest.mark.parametrize(
    ("person", "said"),
    [
        ({}, "(6, 500, 504, 30) (5, 180)"),
        (
            {"PREFECT_CLIENT_MAX_RETRIES": "2", "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60"},
            "(2, 500, 60) (2, 500, 60)",
        ),
    ],
)
def test_a_persons_own_code_waits_for_a_busy_server_as_our_commands_do_unless_it_says_else(person: dict[str, str], said: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_CLIENT_", "PREFECT_FLOWS_"))} | person
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.stdout == f"{said}\n", done.stderr


def test_a_path_that_is_no_text_goes_by_a_link(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[object] = []
    monkeypatch.setattr("prefect.Flow.__call__", lambda _, *args, **named: got.extend([*args, *named.values()]))
    flow = PatientFlow(fn=lambda song, other: None, name="any")
    flow(Path("caf\udce9.wav"), other=Path("plain.wav"))
    assert [Path(str(path)).name for path in got] == ["café.wav", "plain.wav"]
    assert str(got[1]) == "plain.wav"


def test_every_flow_that_a_person_may_call_is_patient() -> None:
    from flows.evaluation import evaluate_song
    from flows.folder_analysis.flow import analyze_folder
    from flows.song_analysis import analyze_song

    assert all(isinstance(flow, PatientFlow) for flow in (analyze_song, analyze_folder, evaluate_song))
