"""The beats and key step: a song's beat grid, tempo, meter and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.options import TEMPO_RANGE
from schemas.plan import StepPlan
from schemas.results import STEMS, Beat, BeatsKey, Chords, SongSource, StemName, StemSet, StepReport
from tasks.beats_key import activations, beat_grid, beat_this_engine, downbeat_cues, key, key_network, librosa_engine, meter, phase, tempo
from tasks.beats_key.activations import Activations
from tasks.beats_key.beat_grid import BeatGrid
from tasks.beats_key.downbeat_cues import DownbeatCues
from tasks.beats_key.key import KeyPosteriors
from tasks.beats_key.tonic import TonicEvidence
from tasks.common.errors import OptionInvalid
from tasks.common.placement import Engine, Placement
from tasks.common.progress import Progress, part_of, silent
from tasks.common.spectra import FPS
from tasks.common.step import StepContext, run_chain

Stems = Mapping[StemName, Path]


@dataclass(frozen=True)
class Found:
    """What an engine hears: the beats, what they were found in (frames at `fps`), and the key probabilities over time."""

    grid: BeatGrid
    beat_probability: npt.NDArray[np.float64]
    fps: float
    keys: KeyPosteriors


@dataclass(frozen=True)
class Ears:
    """In what the engines with networks differ, each a reading of WAV files: the beat activations (frames, 2) at `FPS` frames a second, the
    cues to the phase of beats and bars, and the key probabilities (which may come from the cues).
    """

    beats: Callable[[Path, Progress], Activations]
    cues: Callable[[Path, Stems | None], DownbeatCues]
    keys: Callable[[Path, DownbeatCues], KeyPosteriors]


def track_beats_and_key(source: SongSource, stems: StemSet | None, chords: Chords | None, plan: StepPlan, ctx: StepContext) -> BeatsKey:
    """Track beats, downbeats, tempo, meter and key of the mix.

    stems: bass, other and drums tell where bars begin and which pulse is the beat; without them, the harmony of the mix tells the former.
    chords: as they were heard, on no beats; None where there are none.
    plan.options: `min_bpm`, `max_bpm` (beats a minute; default 40 and 240), the range in which beats are sought. It decides the octave of
    the tempo: see `beat_grid.in_range`.
    A song without a steady pulse has no beats and no tempo; one without pitch has no key. Raises OptionInvalid and what `run_chain` does.
    """
    path = ctx.store.path(source.audio)
    parts = {name: ctx.store.path(stems.stem(name)) for name in STEMS} if stems is not None else None
    slowest, fastest = tempo_range(plan)
    found, report = run_chain(plan, ctx, ENGINES, path, parts, chords, slowest, fastest, ctx)
    return build_result(found, source.duration_sec, report)


def _find(
    engine: Callable[[Path, Stems | None, Chords | None, float, float, Progress], Found],
    path: Path,
    stems: Stems | None,
    chords: Chords | None,
    slowest: float,
    fastest: float,
    ctx: StepContext,
) -> Found:
    found = engine(path, stems, chords, slowest, fastest, ctx.progress)
    if len(found.grid.times) == 0:
        where = "" if (slowest, fastest) == TEMPO_RANGE else f" between {slowest:g} and {fastest:g} bpm"
        ctx.warn(f"No steady pulse was found{where}: there are no beats and no tempo")
    return found


ENGINES: Final[Mapping[str, Engine[[Path, Stems | None, Chords | None, float, float, StepContext], Found]]] = {
    "beat-this": Engine(lambda _, at, *song: _find(partial(find_with_beat_this, at), *song), devices=("cuda", "cpu"), sizes=(1.0, 0.5)),
    "madmom": Engine(lambda _, _at, *song: _find(find_with_madmom, *song)),
    "librosa": Engine(lambda _, _at, *song: _find(find_with_librosa, *song)),
}


def find_with_beat_this(
    at: Placement, path: Path, stems: Stems | None, chords: Chords | None, min_bpm: float, max_bpm: float, progress: Progress
) -> Found:
    """Beat This in madmom's place, and key profiles on the chroma of the cues: nothing of madmom's is used."""

    def beats(file: Path, told: Progress = silent) -> Activations:
        return beat_this_engine.beat_activations(file, at.device, at.size, told)

    def cues(mix: Path, stems: Stems | None) -> DownbeatCues:
        of_mix = downbeat_cues.gather(mix, None)
        if stems is None:
            return of_mix
        harmony = downbeat_cues.harmonic_chroma([stems["bass"], stems["other"]])
        return replace(of_mix, chroma=harmony, kick=downbeat_cues.kick_onsets(stems["drums"]), drums=beats(stems["drums"]))

    ears = Ears(beats, cues, lambda _, found: librosa_engine.chroma_posteriors(found.chroma, found.chroma_fps))
    return find_with_networks(ears, path, stems, chords, min_bpm, max_bpm, progress)


def find_with_madmom(path: Path, stems: Stems | None, chords: Chords | None, min_bpm: float, max_bpm: float, progress: Progress) -> Found:
    """madmom's networks for beats and keys."""
    ears = Ears(activations.beat_activations, downbeat_cues.gather, lambda mix, _: key_network.key_posteriors(mix))
    return find_with_networks(ears, path, stems, chords, min_bpm, max_bpm, progress)


def find_with_networks(
    ears: Ears, path: Path, stems: Stems | None, _chords: Chords | None, min_bpm: float, max_bpm: float, progress: Progress
) -> Found:
    """An engine's networks and the bar model, and the stems' word on the phase of beats and bars."""
    heard = ears.beats(path, part_of(progress, 0.0, 0.55))
    with ThreadPoolExecutor(1, "downbeat-cues") as aside:
        # The bar model leaves all but one core free.
        gathering = aside.submit(ears.cues, path, stems)
        key_posteriors = aside.submit(lambda: ears.keys(path, gathering.result()))
        told = {(min_bpm, max_bpm): part_of(progress, 0.55, 0.85)}  # a second search in other tempi says nothing

        def find(slowest: float, fastest: float) -> BeatGrid:
            return beat_grid.find_grid(heard, slowest, fastest, FPS, told.get((slowest, fastest), silent))

        beats = beat_grid.in_range(find, min_bpm, max_bpm)
        cues = gathering.result()
        if len(beats.times):
            beats = phase.settle(beats, heard, cues, min_bpm)
        beats = beat_grid.calibrated(beats)
        tonics = TonicEvidence(cues.chroma, cues.chroma_fps)
        keys = replace(key_posteriors.result(), tonics=tonics)
    progress(1.0)
    return Found(beats, heard.sum(axis=1).astype(np.float64), FPS, keys)


def find_with_librosa(
    path: Path, _stems: Stems | None, _chords: Chords | None, min_bpm: float, max_bpm: float, progress: Progress
) -> Found:
    """librosa's onset strength and beat tracking, and key profiles."""
    onsets = librosa_engine.onset_strength(path, part_of(progress, 0.0, 0.5))
    likeness = librosa_engine.onset_likeness(onsets)
    beats = beat_grid.in_range(lambda slowest, fastest: librosa_engine.find_grid(onsets, likeness, slowest, fastest), min_bpm, max_bpm)
    keys = librosa_engine.key_posteriors(path, part_of(progress, 0.5, 1.0))
    return Found(beats, likeness, librosa_engine.FPS, keys)


def build_result(found: Found, duration: float, report: StepReport) -> BeatsKey:
    """The typed result: beats inside the song, strictly ascending, and what follows from them."""
    beats = within(found.grid, duration)
    meters = meter.meter_spans(beats, duration)
    keys, main_key = key.find_keys(found.keys, [float(time) for time in beats.downbeats], duration)
    return BeatsKey(
        report=report,
        beats=tuple(
            Beat(time=float(time), position=int(position), confidence=round(float(confidence), 4))
            for time, position, confidence in zip(beats.times, beats.positions, beats.confidences, strict=True)
        ),
        tempo=tempo.estimate_tempo(beats, found.beat_probability, found.fps),
        meter=meter.main_meter(meters),
        meter_changes=meters,
        key_spans=keys,
        global_key=main_key,
    )


def within(beats: BeatGrid, duration: float) -> BeatGrid:
    """The beats that lie in the song, to a tenth of a millisecond, each after the one before."""
    times = np.round(np.maximum(beats.times, 0.0), 4)
    keep = (times < duration) & np.concatenate([[True], np.diff(times) > 0])[: len(times)]
    return BeatGrid(times[keep], beats.positions[keep], beats.confidences[keep], beats.bar_lengths[keep], beats.meter_confidence)


def tempo_range(plan: StepPlan) -> tuple[float, float]:
    """The range of tempi (bpm) to look in. Raises OptionInvalid if the options make none."""
    chosen = (plan.options.get("min_bpm"), plan.options.get("max_bpm"))
    slowest, fastest = (usual if value is None else float(value) for value, usual in zip(chosen, TEMPO_RANGE, strict=True))
    if not 0 < slowest < fastest:
        raise OptionInvalid(f"min_bpm ({slowest:g}) must be positive and below max_bpm ({fastest:g})", "Give the slowest tempo first")
    return slowest, fastest
