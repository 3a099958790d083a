"""The last step: join, validate, write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from schemas.options import AnalysisOptions
from schemas.results import StemSet, StepName
from schemas.song_map import SongMap
from tasks.common.step import StepContext
from tasks.packager.join import join_song_map
from tasks.packager.outcomes import Outcome, result_of
from tasks.packager.validation import validate
from tasks.packager.write import STEMS_FOLDER, song_folder, write_invalid, write_song


def package(outcomes: Mapping[StepName, Outcome], file_name: str, out_dir: Path, options: AnalysisOptions, ctx: StepContext) -> SongMap:
    """Join the outcomes of a run into a Song Map, check it, and write the song's folder; the map knows its folder.

    Raises the error of a required step that failed, SongMapInvalid (nothing but the partial results is written), StorageError.
    """
    stems = result_of(outcomes["separation"], StemSet) if options.stems else None
    song_map = join_song_map(outcomes, file_name, options, ctx.flow_run, STEMS_FOLDER if stems else None)
    folder = song_folder(out_dir, file_name, song_map.id)
    # Checked as a reader will see it: after a turn through JSON.
    problems = validate(json.loads(song_map.to_json()))
    if problems:
        raise write_invalid(folder, outcomes, problems)
    ctx.progress(0.5, "writing")
    write_song(song_map, stems, folder, ctx.store)
    song_map._folder = folder
    return song_map
