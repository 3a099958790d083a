"""The container and cluster manifests of this project."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deployments" / "docker"
KUBERNETES = ROOT / "deployments" / "kubernetes"


@pytest.fixture(scope="session")
def dockerfile() -> Path:
    return DOCKER / "Dockerfile"


@pytest.fixture(scope="session")
def compose_file() -> Path:
    return DOCKER / "compose.yaml"


@pytest.fixture(scope="session")
def compose(compose_file: Path) -> dict[str, Any]:
    """compose.yaml with its anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load(compose_file.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="session")
def env_example() -> dict[str, str]:
    """What env.example sets."""
    lines = (DOCKER / "env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="session")
def resources() -> list[dict[str, Any]]:
    """Every resource of the Kubernetes manifests."""
    found = [one for path in sorted(KUBERNETES.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    assert len(found) > 15
    return found


@pytest.fixture(scope="session")
def job_template() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((KUBERNETES / "job-template.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="session")
def tool() -> Any:
    """tool(name): a command-line tool that was installed with the tests; skips where it is absent."""

    def find(name: str) -> str:
        found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is missing: pip install 'performia[dev]'")
        return found

    return find
