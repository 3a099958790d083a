"""The tables of errors and settings in the docs are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from deployments.docs_tables import DOCUMENTS, errors_table, formats_table, settings_table, with_tables
from tasks.common.errors import PerformiaError, all_errors
from tasks.common.settings import Settings
from tasks.export.formats import FORMATS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.parent.name)
def test_the_document_says_what_the_code_says(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert text == with_tables(text, DOCUMENTS[document]), "run: make docs"


def test_what_was_changed_by_hand_is_made_anew_and_the_text_around_it_stays() -> None:
    document, tables = next(iter(DOCUMENTS.items()))
    text = document.read_text(encoding="utf-8")
    changed = text.replace("`AUDIO_EMPTY`", "`AUDIO_VOID`").replace("`PERFORMIA_OFFLINE` | `0`", "`PERFORMIA_OFFLINE` | `1`")
    assert changed != text
    assert with_tables(changed, tables) == text
    assert with_tables(f"Before.\n{text}After.\n", tables) == f"Before.\n{text}After.\n"


@pytest.mark.parametrize(("document", "name"), [(document, name) for document, tables in DOCUMENTS.items() for name in tables])
def test_a_missing_marker_is_an_error(document: Path, name: str) -> None:
    text = document.read_text(encoding="utf-8")
    for marker in (f"<!-- {name}: made by `make docs` -->", f"<!-- end of {name} -->"):
        with pytest.raises(ValueError, match=name):
            with_tables(text.replace(marker, ""), DOCUMENTS[document])


def test_the_table_lists_every_format_and_what_it_cannot_say() -> None:
    rows = [[cell.strip() for cell in row.split(" | ")] for row in formats_table().splitlines()[2:]]
    assert [row[0].strip("| `") for row in rows] == list(FORMATS)
    assert all(all(cell.strip("| ") for cell in row) for row in rows)


def test_the_table_lists_every_error() -> None:
    assert re.findall(r"^\| `(\w+)` \|", errors_table(), re.MULTILINE) == [error.code for error in all_errors()]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.code)
def test_every_error_says_itself_what_it_means(error: type[PerformiaError]) -> None:
    assert (error.__dict__.get("__doc__") or "").partition("\n\n")[0].rstrip().endswith(".")


def test_the_table_lists_every_setting_as_it_is_set() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", settings_table(), re.MULTILINE))
    assert list(rows) == [f"PERFORMIA_{name.upper()}" for name in Settings.model_fields]
    assert rows["PERFORMIA_COPIES_GIB"] == "`20`"
    assert rows["PERFORMIA_OFFLINE"] == "`0`"
    assert rows["PERFORMIA_TASK_RUNNER"] == "`threads`"
    assert rows["PERFORMIA_INBOX_DIR"] == "`inbox` in the data directory"


@pytest.mark.parametrize(("name", "field"), Settings.model_fields.items())
def test_every_setting_has_a_meaning_and_a_default_that_can_be_read(name: str, field: FieldInfo) -> None:
    meaning, said, default = (field.description or "").partition(" Default: ")
    assert meaning.endswith("."), name
    worked_out = field.default_factory is not None or field.default in (None, ())
    assert bool(said) == worked_out, name
    assert default.endswith(".") == worked_out, name
