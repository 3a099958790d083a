"""Where a served run may read and write: a person who may fill a form in the UI must not thereby read or write any file of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.common.errors import AudioPathRefused, OutputPathRefused
from tasks.common.settings import Settings


def refuse_input(path: Path | None, settings: Settings) -> None:
    """Raise AudioPathRefused unless a served run may read there: in the input roots, or in the inbox where none are set; or an upload."""
    if path is not None and not is_inside(path, (*(settings.input_roots or (settings.inbox,)), settings.uploads)):
        raise AudioPathRefused(
            f"{path} is outside the allowed folders",
            "Put the file into the inbox, or name its folder in PERFORMIA_INPUT_ROOTS where Performia is served",
        )


def refuse_output(path: Path | None, settings: Settings) -> None:
    """Raise OutputPathRefused unless a served run may write there: in the output roots, or in the output folder where none are set."""
    if path is not None and not is_inside(path, settings.output_roots or (settings.songs_dir,)):
        raise OutputPathRefused(f"{path} is outside the allowed folders")


def is_inside(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a path, its links followed, is one of the folders or lies in one."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a null byte
        return False
    return any(real.is_relative_to(root.resolve()) for root in roots)
