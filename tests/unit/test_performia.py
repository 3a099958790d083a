"""Packages of other projects that have the names of Performia's are told apart, and said plainly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import performia

ROOT = Path(performia.__file__).parent


def run(code: str, first: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new process that finds packages in `first` before Performia's own."""
    environment = {**os.environ, "PYTHONPATH": f"{first}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=first, check=False)


@pytest.mark.parametrize("name", performia.PACKAGES)
def test_a_foreign_package_found_first_is_named_with_its_place(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    done = run("from performia import main; main()", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("FOREIGN_PACKAGES: ")
    assert f"`{name}` ({tmp_path / name})" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_foreign_module_of_that_name_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").touch()
    assert f"`tasks` ({tmp_path / 'tasks.py'})" in run("from performia import main; main()", tmp_path).stderr


def test_a_foreign_package_that_was_imported_before_is_named_by_the_import(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").touch()
    done = run(f"import tasks, sys; sys.path.remove({str(tmp_path)!r}); from flows import analyze_song", tmp_path)
    assert done.stderr.rstrip().splitlines()[-1].startswith("performia.ForeignPackages: FOREIGN_PACKAGES: ")


def test_performias_own_packages_are_not_foreign() -> None:
    assert performia.foreign_packages() == {}
    performia.refuse_foreign_packages()


def test_a_distribution_that_was_installed_over_performia_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").touch()
    record = tmp_path / "other_project-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: other-project\nVersion: 1.0\n", encoding="utf-8")
    (record / "RECORD").write_text("tasks/__init__.py,,\nother.py,,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert performia.overwritten_packages() == {"tasks": "installed by other-project too"}


def test_doctor_says_that_packages_are_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments.checkup import machine as checkup

    monkeypatch.setattr(checkup, "overwritten_packages", lambda: {"tasks": "installed by other-project too"})
    finding = checkup.check_packages()
    assert (finding.level, finding.found) == ("problem", "`tasks` is installed by other-project too")
