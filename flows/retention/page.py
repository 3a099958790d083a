"""What a prune deleted, as a person reads it: in the Prefect UI and on the screen."""

from __future__ import annotations

import logging
from typing import Any, Final

from flows.retention.prune import KINDS, PruneReport

logger = logging.getLogger(__name__)

#: The UI draws every row; the report has them all.
_MOST_ROWS: Final = 500


def show_in_ui(report: PruneReport) -> None:
    """Two tables on the run's page: how much went of each kind, and every file. Best effort."""
    from prefect.artifacts import create_table_artifact

    verb = "Would delete" if report.dry_run else "Deleted"
    what = f"{verb} what was not used since {report.used_before}: {size_text(report.bytes)}. {'. '.join(report.notes)}".strip()
    try:
        create_table_artifact(totals_rows(report), key="prune-totals", description=what)
        files: list[dict[str, Any]] = [
            {"kind": KINDS[item.kind], "name": item.name, "bytes": item.bytes, "last used": item.used}
            for item in sorted(report.pruned, key=lambda item: -item.bytes)[:_MOST_ROWS]
        ]
        more = len(report.pruned) - len(files)
        create_table_artifact(files, key="prune-files", description=what + (f" The {more} smallest are left out here." if more > 0 else ""))
    except Exception:
        logger.warning("could not create the artifacts", exc_info=True)


def totals_rows(report: PruneReport) -> list[dict[str, Any]]:
    """One row a kind, and the sum."""
    rows: list[dict[str, Any]] = [
        {"kind": KINDS[kind], "count": count, "bytes": size, "size": size_text(size)} for kind, (count, size) in report.totals().items()
    ]
    rows.append({"kind": "all", "count": len(report.pruned), "bytes": report.bytes, "size": size_text(report.bytes)})
    return rows


def size_text(size: int) -> str:
    """Bytes in the unit that a person would use."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
