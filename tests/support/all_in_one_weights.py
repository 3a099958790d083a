"""All-In-One's weights for tests: the published ones where they are at hand, and files of the same format with seeded weights."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from tasks.common import models
from tasks.structure.allinone.engine import MODEL
from tasks.structure.allinone.network import AllInOne

PUBLISHED = Path(os.environ.get("PERFORMIA_TEST_ALL_IN_ONE", Path(__file__).parents[3] / "shared" / "models" / "allin1"))


def published() -> bool:
    return all((PUBLISHED / file.name).is_file() for file in models.get(MODEL).files)


def link_published(models_dir: Path) -> None:
    """Make `models_dir` a models folder with the published weights."""
    models_dir.mkdir(parents=True, exist_ok=True)
    (models_dir / MODEL).symlink_to(PUBLISHED)


def write_seeded(models_dir: Path) -> None:
    """Make `models_dir` a models folder with weights from a seed, in the published files' format."""
    folder = models_dir / MODEL
    folder.mkdir(parents=True)
    for number, file in enumerate(models.get(MODEL).files):
        torch.manual_seed(number)
        torch.save({"state_dict": AllInOne().state_dict(), "config": {"fold": number}}, folder / file.name)
