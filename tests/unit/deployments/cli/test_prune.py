"""`performia prune`: what is asked, shown and printed. The flow itself is tested in tests/integration/test_retention.py."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from deployments.cli import prune as prune_command
from deployments.cli.prune import prune_now, show
from flows.retention.page import show_in_ui, size_text, totals_rows
from flows.retention.prune import Pruned, PruneReport
from tasks.common.errors import ApiUnreachable

ITEMS = (
    Pruned(kind="record", name="chords-v1-abc", bytes=1200, used="2026-01-01T00:00:00Z"),
    Pruned(kind="audio", name="audio/ab/[x].wav", bytes=60_000_000),
)


def report(dry_run: bool, items: tuple[Pruned, ...] = ITEMS, notes: tuple[str, ...] = ()) -> PruneReport:
    return PruneReport(dry_run=dry_run, older_than_days=7, used_before="2026-01-01T00:00:00Z", pruned=items, notes=notes)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the flow was called with; it finds `ITEMS`."""
    calls: list[tuple[Any, ...]] = []

    class NoApi:
        @classmethod
        def of_settings(cls) -> NoApi:
            return cls()

        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            pass

    def run(console: Console, days: float, dry_run: bool, outputs: list[Path], keep: bool) -> PruneReport:
        calls.append((days, dry_run, outputs, keep))
        return report(dry_run)

    monkeypatch.setattr(prune_command, "EmbeddedApi", NoApi)
    monkeypatch.setattr(prune_command, "_run", run)
    return calls


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(prune_command.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(Console, "input", lambda *args, **options: text)


def test_a_dry_run_lists_every_file(runs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert prune_now(None, True, [], False, False, False) == 0
    assert runs == [(7.0, True, [], False)]
    out = capsys.readouterr().out
    assert "chords-v1-abc" in out
    assert "audio/ab/[x].wav" in out
    assert "would go" in out
    assert "60.0 MB" in out


def test_without_yes_what_would_go_is_shown_and_asked(
    runs: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, "n")
    assert prune_now(3, False, [], True, False, False) == 0
    assert runs == [(3, True, [], True)]
    assert "would go" in capsys.readouterr().err
    answer(monkeypatch, "Y")
    assert prune_now(3, False, [], True, False, False) == 0
    assert runs[1:] == [(3, True, [], True), (3, False, [], True)]


def test_where_nobody_can_be_asked_nothing_is_deleted(
    runs: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prune_command.sys.stdin, "isatty", lambda: False, raising=False)
    assert prune_now(None, False, [], False, False, False) == 2
    assert runs == []
    assert "--yes" in capsys.readouterr().err


def test_json_is_the_report(runs: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune_now(0, False, [tmp_path], False, True, True) == 0
    assert runs == [(0, False, [tmp_path], False)]
    printed = capsys.readouterr().out
    assert PruneReport.model_validate_json(printed) == report(False)
    assert json.loads(printed)["pruned"][1]["bytes"] == 60_000_000


def test_a_failure_is_printed_plainly(runs: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*args: Any) -> None:
        raise ApiUnreachable("The Prefect server does not answer")

    monkeypatch.setattr(prune_command, "_run", fail)
    assert prune_now(None, False, [], False, True, False) == 1
    assert "API_UNREACHABLE" in capsys.readouterr().err


def test_an_interrupt_ends_in_order(runs: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prune_command, "_run", interrupt)
    assert prune_now(None, False, [], False, True, False) == 130
    assert "Stopped" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with temporary_settings({PREFECT_API_URL: "http://ann:secret@127.0.0.1:9/api"}):
        assert prune_now(None, False, [], False, True, False) == 1
    told = capsys.readouterr().err
    assert "http://127.0.0.1:9/api" in told
    assert "secret" not in told


def text_of(shown: PruneReport, list_files: bool = False) -> str:
    console = Console(file=io.StringIO(), width=160)
    show(console, shown, list_files)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_notes_are_shown_and_nothing_to_do_is_said() -> None:
    text = text_of(report(False, (), ("2 audio files stay: kept Song Maps refer to them",)))
    assert "Nothing deleted: all was used in the last 7 days." in text
    assert "2 audio files stay" in text
    assert "deleted" in text_of(report(False))


def test_the_rows_add_up() -> None:
    rows = totals_rows(report(False))
    assert [row["kind"] for row in rows] == ["cached results", "decoded songs and stems", "all"]
    assert rows[-1]["bytes"] == 60_001_200 == sum(row["bytes"] for row in rows[:-1])


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (60_000_000, "60.0 MB"), (4.2e9, "4.2 GB"), (5e12, "5.0 TB")]
)
def test_sizes_are_read_by_people(size: float, text: str) -> None:
    assert size_text(int(size)) == text


def test_no_ui_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("no server")

    monkeypatch.setattr("prefect.artifacts.create_table_artifact", fail)
    show_in_ui(report(False))


def test_the_ui_gets_the_largest_files_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: dict[str, Any] = {}
    monkeypatch.setattr("prefect.artifacts.create_table_artifact", lambda rows, key, description: tables.update({key: (rows, description)}))
    show_in_ui(report(True, tuple(Pruned(kind="audio", name=str(size), bytes=size) for size in range(600))))
    rows, description = tables["prune-files"]
    assert [row["bytes"] for row in rows] == list(range(599, 99, -1))
    assert "The 100 smallest are left out here." in description
    assert description.startswith("Would delete")
