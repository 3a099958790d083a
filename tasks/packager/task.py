"""Prefect shell of the packager."""

from __future__ import annotations

import logging
from pathlib import Path

from prefect.artifacts import create_image_artifact, create_link_artifact, create_markdown_artifact

from schemas.corrections import Corrections
from schemas.options import AnalysisOptions
from schemas.song_folder import MAP_NAME
from schemas.song_map import SongMap
from schemas.steps import StepName
from tasks.common.orchestration.step_task import step
from tasks.common.settings import get_settings
from tasks.common.step import StepContext
from tasks.corrections.log import given_lyrics
from tasks.packager import package as engine
from tasks.packager.step_results import ResultOrError
from tasks.packager.summary import data_url, summary_markdown, uri_of
from tasks.packager.timeline import timeline_svg

logger = logging.getLogger(__name__)


@step(
    "package",
    version=None,  # it writes where this run was told to, and takes a second
    retries=1,  # only for the disk: what is invalid stays invalid
    retry_delay_sec=2,
    here=True,
    gets_errors=True,
)
def package_song(
    ctx: StepContext,
    song: Path,
    output_dir: Path | None,
    options: AnalysisOptions,
    log: Corrections | None,
    ingest: ResultOrError,
    separation: ResultOrError,
    beats_key: ResultOrError,
    asr: ResultOrError,
    chords: ResultOrError,
    melody: ResultOrError,
    bass: ResultOrError,
    structure: ResultOrError,
    align: ResultOrError = None,
) -> SongMap:
    """Join what the steps found, and what persons put right of it, into a validated Song Map and write it with the stems."""
    found: dict[StepName, ResultOrError] = {
        "ingest": ingest,
        "separation": separation,
        "beats_key": beats_key,
        "asr": asr,
        "chords": chords,
        "melody": melody,
        "bass": bass,
        "structure": structure,
    }
    if options.given_lyrics is not None or (log is not None and given_lyrics(log.operations) is not None):
        found["align"] = align
    song_map = engine.package(found, song.name, output_dir or get_settings().songs_dir, options, ctx, log)
    _show_in_ui(song_map)
    return song_map


def _show_in_ui(song_map: SongMap) -> None:
    """A summary of the song, its picture and links to its files on the run's page. Best effort: the map is written already."""
    try:
        folder = song_map.folder
        assert folder is not None
        picture = data_url(timeline_svg(song_map))

        def uri(file: Path) -> str:
            return uri_of(file, get_settings().songs_dir, get_settings().output_url)

        create_markdown_artifact(summary_markdown(song_map, folder, uri, picture), key=f"song-{song_map.id}", description=song_map.title)
        create_image_artifact(picture, key=f"timeline-{song_map.id}", description=f"Timeline of {song_map.title}")
        create_link_artifact(uri(folder / MAP_NAME), link_text="Song Map", key=f"song-map-{song_map.id}", description=song_map.title)
        if song_map.stems and song_map.stems[0].path:
            vocals = uri(folder / song_map.stems[0].path)
            create_link_artifact(vocals, link_text="Vocals", key=f"stems-{song_map.id}", description=song_map.title)
    except Exception:
        logger.warning("could not create the artifacts", exc_info=True)
