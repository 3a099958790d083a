"""The rules of a watched folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

FAILED_FOLDER = "failed"
DONE_FOLDER = "done"


class WatchRules(BaseModel):
    """How a folder is watched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patterns: tuple[str, ...] = Field(default=(), description="Shell patterns of the files taken, such as *.flac. Empty: every audio file.")
    recursive: bool = Field(default=True, description="Also look into the folders below.")
    settle_sec: float = Field(default=3.0, ge=0.0, description="Seconds for which a file must not change before it is taken.")
    attempts: int = Field(
        default=3,
        ge=1,
        le=20,
        description="How often a song is tried before it is moved to `failed`; one whose content is the reason is moved at once.",
    )
    pause_sec: float = Field(default=60.0, ge=0.0, description="Pause before the second try; each later one is four times longer.")
    crashes: int = Field(default=10, ge=1, description="How often a song is taken up again when its process died.")
    at_once: int = Field(default=16, ge=1, description="How many runs are started at most before one has ended.")
    move_done: bool = Field(default=False, description="Move finished files to the folder `done` in the inbox.")

    def own_folders(self, inbox: Path) -> tuple[Path, ...]:
        """Folders in the inbox that are the watcher's own and are not looked into."""
        return (inbox / FAILED_FOLDER, inbox / DONE_FOLDER)

    def pause(self, failures: int) -> float:
        """Seconds before the next try after so many failures: 1, 4, 16 … times `pause_sec`, a day at most."""
        return min(self.pause_sec * 4.0 ** max(0, failures - 1), 86400.0)
