"""Many songs in one process: the models are loaded once, and several songs are analysed at a time.

    folder ──► songs ──► those that are not finished ──► analyze_song, N at a time ──► manifest, summary

Each song is a run of `analyze_song` of its own. One that fails does not stop the others. A second start goes on from what is there.
"""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
from pathlib import Path
from typing import Annotated

from prefect.runtime import flow_run
from pydantic import Field

from flows.folder_analysis.batch_run import BatchRun, end_state
from flows.folder_analysis.request import BatchRequest
from flows.run.hooks import LIFE, confine
from flows.run.patience import patient_flow
from schemas.batch import BatchSummary
from schemas.options import AnalysisOptions


def flow_run_name() -> str:
    """The folder's name, so that a person finds the run in the UI."""
    folder = Path(str((flow_run.parameters or {}).get("folder", "folder")))
    return folder.name or str(folder)


@patient_flow(name="analyze-folder", flow_run_name=flow_run_name, **LIFE)
def analyze_folder(
    folder: Path,
    options: AnalysisOptions = AnalysisOptions(),  # noqa: B008 (frozen)
    output_dir: Path | None = None,
    at_once: Annotated[int | None, Field(ge=1)] = None,
    memory_budget_gib: Annotated[float | None, Field(gt=0)] = None,
    patterns: tuple[str, ...] = (),
    recursive: bool = True,
) -> BatchSummary:
    """All songs of a folder in; their Song Maps and stems, manifest.csv and manifest.json out.

    Args:
        folder: The folder with the songs.
        options: How the songs are analysed.
        output_dir: Where the songs' folders are made, in folders like those they lie in. Empty: the data directory.
        at_once: How many songs at a time. Empty: what the cores and the memory allow.
        memory_budget_gib: Memory that the songs may take together (GiB). Empty: most of what is free.
        patterns: Names of the files to take, such as *.flac. Empty: every audio file.
        recursive: Also take the songs in the folders below.

    Raises FolderNotFound, FolderIsFile, FolderUnreadable, FolderHasNoSongs; AllSongsFailed where no song could be analysed.
    """
    confine(folder, output_dir)
    batch = BatchRun.prepare(BatchRequest(folder, options, output_dir, at_once, memory_budget_gib, patterns, recursive))
    summary = batch.run()
    ended: BatchSummary = end_state(summary)
    return ended
