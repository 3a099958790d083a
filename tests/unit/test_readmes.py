"""What the READMEs promise about themselves: links lead somewhere, the first one is short, and it names each model's licence."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tasks.common.models.registry import MODELS, Model

ROOT = Path(__file__).parents[2]
FIRST = ROOT / "README.md"
#: Those of the repository's rooms; what an environment or a build has brought lies in hidden folders or is ignored by git.
READMES = sorted(
    path
    for path in ROOT.rglob("README.md")
    if not any(part.startswith(".") or part in ("build", "dist", "shared", "performia-out") for part in path.relative_to(ROOT).parts)
)


def prose(path: Path) -> str:
    """The text without code."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^    .*$|`[^`\n]*`", "", text, flags=re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The headings as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading)).strip().lower().replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)) if "://" not in link]
    return [link for link in links if not leads_somewhere(path, link)]


def leads_somewhere(path: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = path.parent / file if file else path
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    assert broken_links(path) == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One, two: `three`\n", encoding="utf-8")
    page = tmp_path / "README.md"
    good = "[a](other.md) [b](other.md#one-two-three) [c](#here) `[d](code.md)`"
    page.write_text(f"# Here\n{good} [e](gone.md) [f](other.md#four) [g](#gone)\n", encoding="utf-8")
    assert broken_links(page) == ["gone.md", "other.md#four", "#gone"]


def test_the_first_readme_is_read_in_a_minute() -> None:
    assert len(FIRST.read_bytes()) <= 9_000


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_first_readme_names_the_licence_of_every_model(model: Model) -> None:
    rows = [line.split("|") for line in FIRST.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    licences = [
        row[3].strip().strip("*").partition(":")[0]
        for row in rows
        if len(row) == 6 and any(fnmatchcase(model.name, name) for name in re.findall(r"`([^`]+)`", row[2]))
    ]
    assert licences == [model.licence]
