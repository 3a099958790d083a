"""The melody and the bass line of a song as notes: the entry of the step.

stem, or the recording if it is one line alone → pitch per frame (SwiftF0, else pYIN) → audible frames only → notes (`notes`) → semitones
(`intonation`) → Part; where the vocal stem is polyphonic (`polyphony`), its other voices beside them (`harmony`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from schemas.options import BASS_RANGE, MELODY_BOUNDS, MELODY_RANGE
from schemas.plan import EngineChoice, StepPlan
from schemas.results import AudioRef, Note, Part, SongSource, StemSet
from tasks.common import models
from tasks.common.audio import read_mono
from tasks.common.errors import ModelError, OptionInvalid
from tasks.common.placement import Engine
from tasks.common.progress import part_of
from tasks.common.step import StepContext, run_chain
from tasks.common.tuning import tuning_of
from tasks.melody_bass import basic_pitch_engine, envelope, harmony, pyin_engine, swift_engine
from tasks.melody_bass.fit import notes_of, with_probabilities, without_tails
from tasks.melody_bass.notes import NoteModel, decode_notes
from tasks.melody_bass.pitch import FloatArray, PitchTrack
from tasks.melody_bass.polyphony import POLYPHONIC, polyphonic_share
from tasks.melody_bass.solo import Tracker, is_solo


@dataclass(frozen=True)
class PartSettings:
    """What differs between the parts. Pitches are MIDI note numbers.

    octave_trick: SwiftF0 does not hear the lowest notes of this part, unless they are raised.
    aim: the quantile of a note's pitch that stands for it. Singers come to a note from below and sag at its end: 0.6 rounds better than
    the median (README.md). A bass does neither.
    solo: where the recording is one line alone, that line is the part.
    register_spread, octave_share: see NoteModel; attack: see envelope. A bass leaps by octaves, a singer seldom does.
    """

    part: Literal["melody", "bass"]
    min_midi: int
    max_midi: int
    octave_trick: bool
    aim: float
    register_spread: float
    octave_share: float
    attack: envelope.Attack
    solo: bool = False

    def model(self) -> NoteModel:
        return NoteModel(self.min_midi, self.max_midi, register_spread=self.register_spread, octave_share=self.octave_share)


MELODY: Final = PartSettings(
    "melody", *MELODY_RANGE, octave_trick=False, aim=0.6, register_spread=7.0, octave_share=0.4, attack=envelope.VOICE_ATTACK, solo=True
)
BASS: Final = PartSettings(
    "bass", *BASS_RANGE, octave_trick=True, aim=0.5, register_spread=12.0, octave_share=1.0, attack=envelope.BASS_ATTACK
)


@dataclass(frozen=True)
class Line:
    """What an engine's run comes to."""

    notes: tuple[Note, ...]
    polyphonic_share: float
    harmony: tuple[Note, ...] = ()


def track_melody(source: SongSource, stems: StemSet, plan: StepPlan, ctx: StepContext) -> Part:
    """Track the sung melody on the vocal stem; on the recording itself where that is one line alone.

    Options read: `min_midi`, `max_midi` (int, range of the notes; 40 to 88). Raises OptionInvalid, ModelUnavailable, EngineFailed.
    """
    return _track(source, stems.vocals, _with_options(MELODY, plan), plan, ctx)


def track_bass(source: SongSource, stems: StemSet, plan: StepPlan, ctx: StepContext) -> Part:
    """Track the bass line on the bass stem.

    Options read: `min_midi`, `max_midi` (int, range of the notes; 23 to 60). Raises OptionInvalid, ModelUnavailable, EngineFailed.
    """
    return _track(source, stems.bass, _with_options(BASS, plan), plan, ctx)


def _with_options(settings: PartSettings, plan: StepPlan) -> PartSettings:
    chosen = [plan.options.get("min_midi"), plan.options.get("max_midi")]
    low, high = (default if value is None else value for value, default in zip(chosen, (settings.min_midi, settings.max_midi), strict=True))
    lowest, highest = MELODY_BOUNDS  # for both: what the engines can hear
    if not isinstance(low, int) or not isinstance(high, int) or not lowest <= low < high <= highest:
        raise OptionInvalid(
            f"The range of the {settings.part} is {low} to {high}",
            f"Give whole MIDI note numbers from {lowest} to {highest}, lowest first",
        )
    trick = settings.octave_trick or low < 31  # SwiftF0's lowest pitch, 46.9 Hz, is 30.2
    return replace(settings, min_midi=low, max_midi=high, octave_trick=trick)


def _track(source: SongSource, stem: AudioRef, settings: PartSettings, plan: StepPlan, ctx: StepContext) -> Part:
    mix_level = envelope.level(read_mono(ctx.store.path(source.audio), envelope.SAMPLE_RATE))
    ctx.progress(0.05, "levels")
    line, report = run_chain(plan, ctx, ENGINES, source, stem, mix_level, settings, ctx)
    polyphonic = line.polyphonic_share >= POLYPHONIC
    if polyphonic:
        share = f"{line.polyphonic_share:.0%}"
        rest = "the other voices are its harmony" if line.harmony else "the notes follow one of them"
        ctx.warn(f"The {settings.part} stem sounds several pitches at once in {share} of its time; {rest}")
        report = report.model_copy(update={"warnings": tuple(ctx.warnings)})
    pitches = [note.midi for note in line.notes]
    return Part(
        report=report,
        part=settings.part,
        notes=line.notes,
        lowest_midi=min(pitches, default=None),
        highest_midi=max(pitches, default=None),
        polyphonic=polyphonic,
        polyphonic_share=round(line.polyphonic_share, 4),
        harmony=line.harmony,
    )


def _swift(settings: PartSettings) -> Tracker:
    folder = models.obtain("swift-f0")
    low, high, raised = settings.min_midi, settings.max_midi, settings.octave_trick
    return Tracker(
        swift_engine.sample_rate(raised), lambda signal, progress: swift_engine.track_pitch(signal, folder, low, high, raised, progress)
    )


def _pyin(settings: PartSettings) -> Tracker:
    low, high = settings.min_midi, settings.max_midi
    return Tracker(pyin_engine.SAMPLE_RATE, lambda signal, progress: pyin_engine.track_pitch(signal, low, high, progress))


def _line(
    source: SongSource,
    stem: AudioRef,
    mix_level: FloatArray,
    settings: PartSettings,
    ctx: StepContext,
    choice: EngineChoice,
    tracker: Tracker,
) -> Line:
    if settings.solo and is_solo(ctx.store.path(source.audio), tracker, settings.min_midi, settings.max_midi):
        ctx.warn("The recording is one line alone: the melody is read from it, not from the vocal stem")
        stem = source.audio
    path = ctx.store.path(stem)
    track = tracker.track(read_mono(path, tracker.sample_rate), part_of(ctx.progress, 0.1, 0.7))
    signal = read_mono(path, envelope.SAMPLE_RATE)
    heard = envelope.measure(signal, len(track), settings.attack)
    track = PitchTrack(track.midi, track.confidence * envelope.audible(heard.level_db, mix_level))
    ctx.progress(0.75, "notes")
    segments = decode_notes(track, heard.onset, settings.model())
    sung = settings.part == "melody" and stem is not source.audio
    if sung:
        segments = without_tails(segments, heard.level_db)
    tuning = tuning_of(ctx.store.path(source.audio))
    notes = notes_of(segments, track, settings.aim, (settings.min_midi, settings.max_midi), stem.duration_sec, tuning)
    if sung:
        notes = with_probabilities(notes)
    ctx.progress(0.9, "voices")
    share = polyphonic_share(signal, track, settings.min_midi, settings.max_midi) if notes else 0.0
    if settings.part != "melody" or share < POLYPHONIC:
        return Line(notes, share)
    sounding = _voices(path, stem.duration_sec, settings, tuning, ctx, choice)
    line, others = harmony.split(notes, track, sounding)
    return Line(line, share, others)


def _voices(
    path: Path, duration_sec: float, settings: PartSettings, tuning: float, ctx: StepContext, choice: EngineChoice
) -> tuple[Note, ...]:
    """The notes of all voices of a polyphonic stem; none, with a warning, where the model is missing or broken."""
    if basic_pitch_engine.MODEL not in [model.name for model in choice.models]:
        ctx.warn(f"The other voices are not written down: {basic_pitch_engine.MODEL} is not on this machine")
        return ()
    try:
        folder = models.obtain(basic_pitch_engine.MODEL)
    except ModelError as error:
        ctx.warn(f"The other voices are not written down: {error}")
        return ()
    signal = read_mono(path, basic_pitch_engine.sample_rate(tuning))
    posteriors = basic_pitch_engine.hear(signal, folder, tuning, part_of(ctx.progress, 0.9, 1.0))
    return harmony.voices(posteriors, tuning, (settings.min_midi, settings.max_midi), duration_sec)


ENGINES: Final[Mapping[str, Engine[[SongSource, AudioRef, FloatArray, PartSettings, StepContext], Line]]] = {
    "swift-f0": Engine(lambda choice, _, source, stem, level, part, ctx: _line(source, stem, level, part, ctx, choice, _swift(part))),
    "pyin": Engine(lambda choice, _, source, stem, level, part, ctx: _line(source, stem, level, part, ctx, choice, _pyin(part))),
}
