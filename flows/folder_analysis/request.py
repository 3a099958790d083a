"""What a person asks for a folder of songs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.song_files import SongFolder, find_songs
from schemas.options import AnalysisOptions
from tasks.common.errors import FolderHasNoSongs
from tasks.common.settings import get_settings


@dataclass(frozen=True)
class BatchRequest:
    """The parameters of `analyze_folder`, where they are described."""

    folder: Path
    options: AnalysisOptions
    output_dir: Path | None = None
    at_once: int | None = None
    memory_budget_gib: float | None = None
    patterns: tuple[str, ...] = ()
    recursive: bool = True

    @property
    def target(self) -> Path:
        """Where the songs' folders are made."""
        return (self.output_dir or get_settings().songs_dir).absolute()

    def songs(self) -> SongFolder:
        """The folder's songs. Raises FolderError."""
        found = find_songs(self.folder, self.patterns, self.recursive, leave_out=(self.target,))
        if not found.songs:
            seen = f" ({len(found.skipped)} files could not be looked at)" if found.skipped else ""
            raise FolderHasNoSongs(f"{self.folder} has no songs{seen}")
        return found
