"""The entries of a manifest and the summary of a batch, made from what the analysis returned. Pure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from flows.song_files import SkippedFile, SongFile
from schemas.batch import BatchSummary, SongEntry
from schemas.options import AnalysisOptions
from schemas.plan import AnalysisPlan
from schemas.results import digest_of
from schemas.song_folder import MAP_NAME
from schemas.song_map import SongMap
from tasks.common.errors import PerformiaError
from tasks.ingest.file_names import as_text


def map_entry(song: SongFile, song_map: SongMap, folder: Path, seconds: float, recipe: str) -> SongEntry:
    """The entry of a song that has a Song Map. folder: where the manifest is."""
    assert song_map.folder is not None
    steps = dict(song_map.steps)
    lacking = [f"{name} {step.status}: {'; '.join(step.reasons)}" for name, step in steps.items() if step.status in ("failed", "skipped")]
    codes = [step.code for step in steps.values() if step.code]
    partial = song_map.status == "partial"
    return SongEntry(
        file=as_text(song.path),
        status="partial" if partial else "cached" if all(step.cached for step in steps.values()) else "done",
        song_id=song_map.id,
        duration_sec=round(song_map.duration_sec, 3),
        seconds=round(seconds, 2),
        title=song_map.title,
        key=_longest_key(song_map),
        bpm=song_map.tempo.bpm_global,
        song_map=Path(os.path.relpath(song_map.folder / MAP_NAME, folder)).as_posix(),
        error_code=codes[0] if partial and codes else None,
        error=" | ".join(lacking) if partial else None,
        size=song.size,
        mtime_ns=song.mtime_ns,
        file_sha256=song_map.source.file_sha256,
        recipe=recipe,
        stems=tuple(stem.path for stem in song_map.stems if stem.path),
    )


def failed_entry(song: SongFile, error: BaseException, seconds: float, recipe: str) -> SongEntry:
    """The entry of a song that could not be analysed. An error without a name of its own gets the general one."""
    named = error if isinstance(error, PerformiaError) else PerformiaError(f"{type(error).__name__}: {error}")
    return SongEntry(
        file=as_text(song.path),
        status="failed",
        seconds=round(seconds, 2),
        error_code=named.code,
        error=as_text(f"{named.what}. {named.what_to_do}."),
        size=song.size,
        mtime_ns=song.mtime_ns,
        recipe=recipe,
    )


def skipped_entry(skipped: SkippedFile) -> SongEntry:
    """The entry of a file that could not be looked at. Bytes of its name that are no text are written as numbers."""
    return SongEntry(file=as_text(skipped.path), status="skipped", error_code=skipped.code, error=skipped.reason)


def recipe_of(options: AnalysisOptions, plan: AnalysisPlan, versions: Mapping[str, int]) -> str:
    """What decides a song's result beside the song: a song made by another recipe is analysed again.

    versions: the version of each step, by its name.
    """
    engines = {name: step.cache_identity() for name, step in plan if step is not None}
    return digest_of({"options": options.identity(), "engines": engines, "versions": dict(versions)})[:16]


def summarize(summary: BatchSummary, entries: Iterable[SongEntry], kept: Iterable[SongEntry], seconds: float) -> BatchSummary:
    """The summary of a batch that is over, or was stopped.

    summary: with what was known at the start. entries: of the songs that were analysed now. kept: of those an earlier start had finished.
    """
    now, before = list(entries), list(kept)
    counts = Counter(entry.status for entry in now)
    analysed = [entry.duration_sec for entry in now if entry.duration_sec is not None]
    lengths = [*analysed, *(entry.duration_sec or 0.0 for entry in before)]
    return summary.model_copy(
        update={
            **{str(status): count for status, count in counts.items()},
            "cached": counts["cached"] + len(before),
            "music_sec": round(sum(lengths), 1),
            "seconds": round(seconds, 1),
            "songs_per_hour": round(3600 * len(analysed) / seconds, 1) if analysed and seconds > 0 else None,
            "times_real_time": round(sum(analysed) / seconds, 2) if analysed and seconds > 0 else None,
        }
    )


def _longest_key(song_map: SongMap) -> str | None:
    """The key that holds longest, counting all the times it returns."""
    lasts: Counter[str] = Counter()
    for key in song_map.key:
        lasts[f"{key.tonic} {key.mode}"] += key.end - key.start  # type: ignore[assignment]
    return max(lasts, key=lambda name: lasts[name], default=None)
