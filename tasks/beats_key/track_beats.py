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
from schemas.results import Beat, BeatsKey, Chords, SongSource, StepReport
from tasks.beats_key import (
    activations,
    bars,
    beat_grid,
    beat_this_engine,
    evidence,
    key,
    key_network,
    librosa_engine,
    meter,
    noise,
    pulse,
    tempo,
)
from tasks.beats_key.activations import Activations
from tasks.beats_key.beat_grid import BeatGrid
from tasks.beats_key.evidence import Evidence, strongest_near
from tasks.beats_key.key import KeyPosteriors
from tasks.beats_key.pulse import Pulse
from tasks.beats_key.tonality import Tonality
from tasks.common.errors import OptionInvalid
from tasks.common.placement import Engine, Placement
from tasks.common.progress import Progress, part_of, silent
from tasks.common.spectra import FPS
from tasks.common.step import StepContext, run_chain

#: The tempi (bpm) in which the tracker looks where the user has set none: madmom's. Other octaves are weighed afterwards.
_SEARCHED: Final = (55.0, 215.0)


@dataclass(frozen=True)
class Found:
    """What an engine hears: the beats, what they were found in (frames at `fps`), and the key probabilities over time.

    tempi: (bpm, probability) of the pulses that were weighed, that of the beats first; empty where none were.
    """

    grid: BeatGrid
    beat_probability: npt.NDArray[np.float64]
    fps: float
    keys: KeyPosteriors
    tempi: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Ears:
    """In what the engines with networks differ: the beat activations (frames, 2) of a WAV file at `FPS` frames a second, and the key
    probabilities of one and what was found in it.
    """

    beats: Callable[[Path, Progress], Activations]
    keys: Callable[[Path, Evidence], KeyPosteriors]


def track_beats_and_key(source: SongSource, chords: Chords | None, plan: StepPlan, ctx: StepContext) -> BeatsKey:
    """Track beats, downbeats, tempo, meter and key of the mix.

    chords: as they were heard, on no beats: they tell where bars begin, and the key. None where there are none.
    plan.options: `min_bpm`, `max_bpm` (beats a minute; default 40 and 240), the range in which beats are sought. It decides the octave of
    the tempo: see `beat_grid.in_range`.
    A song without a steady pulse has no beats and no tempo; one without pitch has no key. Raises OptionInvalid and what `run_chain` does.
    """
    path = ctx.store.path(source.audio)
    slowest, fastest = tempo_range(plan)
    found, report = run_chain(plan, ctx, ENGINES, path, chords, slowest, fastest, ctx)
    return build_result(found, source.duration_sec, report)


def _find(
    engine: Callable[[Path, Chords | None, float, float, Progress], Found],
    path: Path,
    chords: Chords | None,
    slowest: float,
    fastest: float,
    ctx: StepContext,
) -> Found:
    found = engine(path, chords, slowest, fastest, ctx.progress)
    if len(found.grid.times) == 0:
        where = "" if (slowest, fastest) == TEMPO_RANGE else f" between {slowest:g} and {fastest:g} bpm"
        ctx.warn(f"No steady pulse was found{where}: there are no beats and no tempo")
    return found


ENGINES: Final[Mapping[str, Engine[[Path, Chords | None, float, float, StepContext], Found]]] = {
    "beat-this": Engine(lambda _, at, *song: _find(partial(find_with_beat_this, at), *song), devices=("cuda", "cpu"), sizes=(1.0, 0.5)),
    "madmom": Engine(lambda _, _at, *song: _find(find_with_madmom, *song)),
    "librosa": Engine(lambda _, _at, *song: _find(find_with_librosa, *song)),
}


def find_with_beat_this(at: Placement, path: Path, chords: Chords | None, min_bpm: float, max_bpm: float, progress: Progress) -> Found:
    """Beat This, and key profiles on the chroma: nothing of madmom's weights is used."""
    ears = Ears(
        lambda file, told: beat_this_engine.beat_activations(file, at.device, at.size, told),
        lambda _, found: librosa_engine.chroma_posteriors(found.harmony.chroma, found.harmony.fps),
    )
    return find_with_networks(ears, path, chords, min_bpm, max_bpm, progress)


def find_with_madmom(path: Path, chords: Chords | None, min_bpm: float, max_bpm: float, progress: Progress) -> Found:
    """madmom's networks for beats and keys."""
    ears = Ears(activations.beat_activations, lambda file, _: key_network.key_posteriors(file))
    return find_with_networks(ears, path, chords, min_bpm, max_bpm, progress)


def find_with_networks(ears: Ears, path: Path, chords: Chords | None, min_bpm: float, max_bpm: float, progress: Progress) -> Found:
    """An engine's networks and the bar model, and what else tells which pulse is the beat, where bars begin, and in which key they are."""
    heard = ears.beats(path, part_of(progress, 0.0, 0.55))
    with ThreadPoolExecutor(1, "evidence") as aside:
        # The bar model leaves all but one core free.
        gathering = aside.submit(evidence.gather, path, heard, chords)
        key_posteriors = aside.submit(lambda: ears.keys(path, gathering.result()))
        told = [part_of(progress, 0.55, 0.85)]  # a second search in other tempi says nothing

        def find(slowest: float, fastest: float) -> BeatGrid:
            searched = _SEARCHED if (slowest, fastest) == TEMPO_RANGE else (slowest, fastest)
            return beat_grid.find_grid(heard, *searched, FPS, told.pop() if told else silent)

        tracked = beat_grid.in_range(find, min_bpm, max_bpm)
        found = gathering.result()
        beats, pulses = settle(tracked, found, min_bpm, max_bpm)
        keys = replace(key_posteriors.result(), tonality=Tonality(found.chords, found.harmony))
    progress(1.0)
    return Found(beats, found.beat_probability, FPS, keys, tuple((weighed.bpm, weighed.probability) for weighed in pulses))


def settle(tracked: BeatGrid, found: Evidence, min_bpm: float, max_bpm: float) -> tuple[BeatGrid, list[Pulse]]:
    """The beats of a tracker on the pulse that the evidence speaks for, in bars; and all the pulses they may stand for, that one first."""
    if len(tracked.times) == 0:
        return tracked, []
    musical = noise.without_noise(tracked.times, found)
    if len(musical) == 0:
        return BeatGrid.empty(), []
    pulses = pulse.weigh(pulse.held(musical, found), found, min_bpm, max_bpm)
    times = pulses[0].times
    heard = np.clip(strongest_near(found.beat_probability, times), 0.0, 1.0)
    lengths = np.full(len(times), 4, np.int64)
    grid = BeatGrid(times, np.arange(len(times)) % 4 + 1, beat_grid.calibrated(heard, pulses[0].probability), lengths, 0.0)
    return bars.find_bars(grid, found), pulses


def find_with_librosa(path: Path, _chords: Chords | None, min_bpm: float, max_bpm: float, progress: Progress) -> Found:
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
        tempo=tempo.estimate_tempo(beats, found.beat_probability, found.fps, found.tempi),
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
