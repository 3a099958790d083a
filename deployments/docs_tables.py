"""Writes the tables of errors and settings into tasks/common/README.md, and that of the formats into tasks/export/README.md:
`python -m deployments.docs_tables`, or `make docs`.

The errors are those of `tasks.common.errors`, the settings those of `tasks.common.settings`, the formats those of `tasks.export.formats`.
Each table stands between two markers, and a test fails while it is out of date.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from tasks.common.errors import PerformiaError, all_errors
from tasks.common.settings import Settings
from tasks.export.formats import FORMATS, Format

_TASKS: Final = Path(__file__).parents[1] / "tasks"


def errors_table() -> str:
    """Every error: code, what it means, what to do."""
    return _table(("code", "what it means", "what to do"), (_error_row(error) for error in all_errors()))


def settings_table() -> str:
    """Every setting: environment variable, default, meaning."""
    rows = (_setting_row(name, field) for name, field in Settings.model_fields.items())
    return _table(("environment variable", "default", "meaning"), rows)


def formats_table() -> str:
    """Every export: name, file, what it is, what opens it, what it cannot say."""
    head = ("format", "file", "what it is", "opens in", "what it cannot say")
    return _table(head, (_format_row(entry) for entry in FORMATS.values()))


#: {document: {name: table}}. A table stands between the markers `<!-- name: made by … -->` and `<!-- end of name -->`.
DOCUMENTS: Final[dict[Path, dict[str, Callable[[], str]]]] = {
    _TASKS / "common" / "README.md": {"errors": errors_table, "settings": settings_table},
    _TASKS / "export" / "README.md": {"formats": formats_table},
}


def with_tables(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """The document with its tables as the code has them now. Raises ValueError where a marker is missing."""
    for name, table in tables.items():
        before, begin, rest = text.partition(f"<!-- {name}: made by `make docs` -->\n")
        _, end, after = rest.partition(f"\n<!-- end of {name} -->")
        if not begin or not end:
            raise ValueError(f"The markers of {name} are missing")
        text = f"{before}{begin}\n{table()}{end}{after}"
    return text


def _format_row(entry: Format) -> tuple[str, ...]:
    return f"`{entry.name}`", f"`{entry.suffix}`", entry.title, entry.opens_in, entry.cannot_say


def _error_row(error: type[PerformiaError]) -> tuple[str, str, str]:
    meaning = inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0]
    return f"`{error.code}`", meaning, f"{error.todo.rstrip('.')}."


def _setting_row(name: str, field: FieldInfo) -> tuple[str, str, str]:
    meaning, said, default = (field.description or "").partition(" Default: ")
    shown = default.rstrip(".") if said else _value(field.default)
    return f"`{Settings.model_config.get('env_prefix', '')}{name.upper()}`", shown, meaning


def _value(default: object) -> str:
    """As it is written in the environment."""
    if isinstance(default, bool):
        return f"`{int(default)}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    for document, its_tables in DOCUMENTS.items():
        document.write_text(with_tables(document.read_text(encoding="utf-8"), its_tables), encoding="utf-8")
