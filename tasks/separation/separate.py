"""The separation step: the mix in, four stems and the karaoke mix out, by the first engine that works."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from schemas.plan import EngineChoice, StepPlan
from schemas.results import SongSource, StemSet
from tasks.common import models
from tasks.common.audio import Samples, WavWriter
from tasks.common.errors import PerformiaError
from tasks.common.memory import return_free_memory
from tasks.common.placement import Engine, Placement, autocast_dtype, placements
from tasks.common.progress import part_of
from tasks.common.settings import get_settings
from tasks.common.step import StepContext, run_chain
from tasks.separation import centre, demucs_engine, dsp, openvino_network, spleeter
from tasks.separation.stem_files import StoredStems, difference, reader_of, stem_files
from tasks.separation.stft import Reader

logger = logging.getLogger(__name__)

#: What demucs itself uses.
DEFAULT_OVERLAP = 0.25
#: Of the time an engine takes, about the share that goes into the voice; the rest goes into drums and bass.
_VOICE_SHARE = 0.6


def separate_song(source: SongSource, plan: StepPlan, ctx: StepContext) -> StemSet:
    """Split a song into vocals, drums, bass and other, which sum to the mix, and make the mix without the voice.

    plan.options: `overlap` (share of a demucs segment that it has in common with the next, 0.25). Raises what `run_chain` raises.
    """
    stored, report = run_chain(plan, ctx, ENGINES, source, plan, ctx)
    return StemSet(report=report, residual_db=stored.residual_db, **stored.refs)


def by_demucs(choice: EngineChoice, at: Placement, source: SongSource, plan: StepPlan, ctx: StepContext) -> StoredStems:
    """Four stems by one of the Hybrid Transformer Demucs models."""
    name = choice.engine
    folder = models.obtain(name, part_of(ctx.progress, 0.0, 0.05))
    mix, samples = reader_of(ctx.store.path(source.audio)), source.audio.frames
    chosen = plan.options.get("overlap")
    overlap = DEFAULT_OVERLAP if chosen is None else float(chosen)

    ctx.progress(0.05, f"{name}: loading")
    bag = _loaded_demucs(name, folder, at.device)
    longest = demucs_engine.longest_segment_sec(bag)
    segment_sec = at.size * longest
    try:
        with ctx.store.temporary_dir() as folder_of_run, stem_files(folder_of_run, source.audio.sample_rate) as files:
            done = 0
            for estimate in demucs_engine.separate_blocks(bag, mix, samples, at.device, segment_sec, overlap, autocast_dtype(at.device)):
                frames = estimate["vocals"].shape[-1]
                files.write(mix(done, frames), estimate["vocals"], estimate["drums"], estimate["bass"])
                done += frames
                ctx.progress(0.05 + 0.95 * done / samples, f"{name}: {_clock(done, source)} of {_clock(samples, source)}")
            return files.store_in(ctx.store)
    finally:
        # Before the next steps, or another try, need it.
        for network in bag.models:
            openvino_network.release_memory(network)
        return_free_memory()


def load_ahead(plan: StepPlan) -> None:
    """Load the engine that is expected to separate, before there is a song for it, where its weights are at hand and it will work on the
    CPU: the memory of a GPU is for whoever holds its slot. Raises nothing: what is wrong is told when the step runs.
    """
    if plan.expected is None or not plan.expected.models:
        return
    with suppress(Exception):
        name, device = plan.expected.models[0].name, placements(ENGINES[plan.expected.engine])[0].device
        found = models.find(name) if device == "cpu" else None
        if found is not None:
            (_loaded_spleeter if plan.expected.engine == "spleeter" else _loaded_demucs)(name, found.folder, device)


def _loaded_demucs(name: str, folder: Path, device: str) -> Any:
    return models.load_once(("demucs", name, str(folder), device), lambda: _load_demucs(name, folder, device))


def _loaded_spleeter(name: str, folder: Path, device: str) -> spleeter.Spleeter:
    return models.load_once((name, str(folder), device), lambda: spleeter.Spleeter(folder, device, autocast_dtype(device)))


def _load_demucs(name: str, folder: Path, device: str) -> Any:
    if device == "cpu" and openvino_network.available():
        try:
            return demucs_engine.load_bag(name, folder, get_settings().models_cache_dir / "openvino")
        except PerformiaError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever OpenVINO raises, torch takes over)
            logger.warning("%s: OpenVINO cannot run it, torch does: %s: %s", name, type(error).__name__, error)
    return demucs_engine.load_bag(name, folder).to(device)


def by_spleeter(_choice: EngineChoice, at: Placement, source: SongSource, _plan: StepPlan, ctx: StepContext) -> StoredStems:
    """Vocals by Spleeter, drums and bass out of the rest by signal processing."""
    name = "spleeter-2stems"
    folder = models.obtain(name)
    mix, samples, rate = reader_of(ctx.store.path(source.audio)), source.audio.frames, source.audio.sample_rate
    window = spleeter.window_frames(at.size * spleeter.WINDOW_SEC, rate)
    with ctx.store.temporary_dir() as temporary_dir:
        voice = spleeter.separate_vocals(_loaded_spleeter(name, folder, at.device), mix, samples, window)
        _write_voice(voice, temporary_dir, source, ctx, "spleeter: vocals")
        return _split_rest(mix, temporary_dir, source, ctx)


def by_dsp(_choice: EngineChoice, _at: Placement, source: SongSource, _plan: StepPlan, ctx: StepContext) -> StoredStems:
    """Everything by signal processing, without a model: rough."""
    ctx.warn("The stems were separated without a model: expect much of the other instruments in each")
    mix, samples, rate = reader_of(ctx.store.path(source.audio)), source.audio.frames, source.audio.sample_rate
    with ctx.store.temporary_dir() as temporary_dir:
        _write_voice(centre.extract_voice(mix, samples, rate, temporary_dir), temporary_dir, source, ctx, "voice in the centre")
        return _split_rest(mix, temporary_dir, source, ctx)


#: A network hears little in less than half of its segment.
_DEMUCS: Final = Engine(by_demucs, devices=("cuda", "mps", "cpu"), sizes=(1.0, 0.5))
ENGINES: Final[Mapping[str, Engine[[SongSource, StepPlan, StepContext], StoredStems]]] = {
    "htdemucs": _DEMUCS,
    "htdemucs_ft": _DEMUCS,
    "htdemucs_6s": _DEMUCS,
    "spleeter": Engine(by_spleeter, devices=("cuda", "mps", "cpu"), sizes=(1.0, 0.5)),
    "dsp": Engine(by_dsp),
}


def _write_voice(blocks: Iterator[Samples], temporary_dir: Path, source: SongSource, ctx: StepContext, message: str) -> None:
    with WavWriter(temporary_dir / "voice.wav", source.audio.sample_rate, 2) as out:
        for block in blocks:
            out.write(block)
            ctx.progress(_VOICE_SHARE * out.frames / source.audio.frames, message)


def _split_rest(mix: Reader, temporary_dir: Path, source: SongSource, ctx: StepContext) -> StoredStems:
    """Drums and bass out of what the mix has beyond the voice in `temporary_dir`; all stems into the store."""
    samples, rate = source.audio.frames, source.audio.sample_rate
    voice = reader_of(temporary_dir / "voice.wav")
    with stem_files(temporary_dir, rate) as files:
        done = 0
        for drums, bass in dsp.split_drums_bass(difference(mix, voice), samples, rate):
            frames = drums.shape[-1]
            files.write(mix(done, frames), voice(done, frames), drums, bass)
            done += frames
            ctx.progress(_VOICE_SHARE + (1 - _VOICE_SHARE) * done / samples, "drums and bass")
        return files.store_in(ctx.store)


def _clock(samples: int, source: SongSource) -> str:
    seconds = round(samples / source.audio.sample_rate)
    return f"{seconds // 60}:{seconds % 60:02d}"
