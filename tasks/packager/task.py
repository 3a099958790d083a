"""Prefect shell of the packager."""

from __future__ import annotations

import logging
from pathlib import Path

from prefect import task
from prefect.artifacts import create_image_artifact, create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from schemas.options import AnalysisOptions
from schemas.results import BeatsKey, Chords, Lyrics, Part, SongSource, StemSet, StepName, Structure
from schemas.song_map import SongMap
from tasks.common.orchestration.running import announce, is_transient, running
from tasks.common.settings import get_settings
from tasks.packager import package as engine
from tasks.packager.folder import MAP_NAME
from tasks.packager.outcomes import Outcome
from tasks.packager.summary import data_url, summary_markdown, uri_of
from tasks.packager.timeline import timeline_svg
from tasks.packager.write import STEMS_FOLDER

logger = logging.getLogger(__name__)


@task(
    name="package",
    cache_policy=NO_CACHE,  # it writes where this run was told to, and takes a second
    persist_result=False,
    retries=1,  # only for the disk: what is invalid stays invalid
    retry_delay_seconds=2,
    retry_condition_fn=is_transient,
    on_completion=[announce],
    on_failure=[announce],
)
def package_song(
    song: Path,
    output_dir: Path | None,
    options: AnalysisOptions,
    source: SongSource | Exception,
    stems: StemSet | Exception | None,
    lyrics: Lyrics | Exception | None,
    beats: BeatsKey | Exception | None,
    chords: Chords | Exception | None,
    melody: Part | Exception | None,
    bass: Part | Exception | None,
    structure: Structure | Exception | None,
) -> SongMap:
    """Join what the steps found into a validated Song Map and write it with the stems."""
    outcomes: dict[StepName, Outcome] = {
        "ingest": source,
        "separation": stems,
        "beats_key": beats,
        "asr": lyrics,
        "chords": chords,
        "melody": melody,
        "bass": bass,
        "structure": structure,
    }
    with running("package") as ctx:
        song_map = engine.package(outcomes, song.name, output_dir or get_settings().songs_dir, options, ctx)
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
        if song_map.stems:
            vocals = uri(folder / STEMS_FOLDER / "vocals.wav")
            create_link_artifact(vocals, link_text="Vocals", key=f"stems-{song_map.id}", description=song_map.title)
    except Exception:
        logger.warning("could not create the artifacts", exc_info=True)
