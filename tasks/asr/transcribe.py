"""The lyrics of a song: where a voice is, what it sings, and when."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from schemas.plan import EngineChoice, StepPlan
from schemas.results import Lyrics, SongSource, StemSet, StepReport, TimeSpan
from tasks.asr.accompaniment import Sound
from tasks.asr.confidence import calibrated
from tasks.asr.decoding import transcribe_passages
from tasks.asr.faster_whisper_engine import FasterWhisper
from tasks.asr.guards import trusted_phrases
from tasks.asr.lines import lines_of
from tasks.asr.openai_whisper_engine import OpenAIWhisper
from tasks.asr.passages import Passage, passages_of
from tasks.asr.recognizer import SAMPLE_RATE, Recognition
from tasks.asr.timing import on_time, sharpened
from tasks.asr.voice_activity import Frames, frame_levels, speech_probabilities, voice_in_mix, voice_in_stem
from tasks.common import models
from tasks.common.audio import read_mono
from tasks.common.placement import Engine, Placement
from tasks.common.progress import part_of
from tasks.common.resources import threads
from tasks.common.step import StepContext, run_chain

#: Where no voice is found, no model is asked; this is the report's engine then.
VOICE_ACTIVITY = "voice-activity"


def transcribe_lyrics(source: SongSource, stems: StemSet | None, plan: StepPlan, ctx: StepContext) -> Lyrics:
    """Transcribe the sung words of a song, with their times.

    stems: None where separation failed; the mix alone is used then, with a warning.
    plan.options: `language`, an ISO 639-1 code or None to detect it.
    A song without a voice has no lyrics and no language. Raises LanguageUnsupported, ModelUnavailable, OutOfMemory, EngineFailed.
    """
    started = time.perf_counter()
    if stems is None:
        ctx.warn("Without stems, the lyrics come from the mix: voices buried in loud music may be missed")
    sound = read_sound(source, stems, ctx)
    ctx.progress(0.03, "finding the voice")
    speech = speech_probabilities(sound.mix if sound.vocals is None else sound.vocals)
    voice = _voice_activity(sound, speech, source.duration_sec)
    if not voice:
        report = StepReport(
            step="asr",
            engine=VOICE_ACTIVITY,
            seconds=round(time.perf_counter() - started, 3),
            warnings=tuple(ctx.warnings),
            flow_run=ctx.flow_run,
        )
        return Lyrics(report=report, language=None, language_confidence=None, lines=(), voice_activity=(), input=sound.name)

    language = plan.options.get("language")
    passages = passages_of(voice, source.duration_sec)
    recognition, report = run_chain(plan, ctx, ENGINES, sound, passages, str(language) if language else None, ctx)
    if sound.vocals is None:  # a detector of speech says little of a mix
        phrases = sharpened(trusted_phrases(recognition.segments, voice, source.duration_sec), None)
    else:
        phrases = sharpened(trusted_phrases(recognition.segments, voice, source.duration_sec, speech), frame_levels(sound.vocals))
    lines = lines_of(calibrated(phrases, report.models[0].name))
    return Lyrics(
        report=report,
        language=recognition.language if lines else None,
        language_confidence=recognition.language_confidence if lines else None,
        lines=lines,
        voice_activity=voice,
        input=sound.name,
    )


def read_sound(source: SongSource, stems: StemSet | None, ctx: StepContext) -> Sound:
    mix = read_mono(ctx.store.path(source.audio), SAMPLE_RATE)
    if stems is None:
        return Sound(mix, None)
    vocals = read_mono(ctx.store.path(stems.vocals), SAMPLE_RATE)
    shortest = min(len(mix), len(vocals))
    return Sound(mix[:shortest], vocals[:shortest])


def _voice_activity(sound: Sound, speech: Frames, duration_sec: float) -> tuple[TimeSpan, ...]:
    if sound.vocals is None:
        return voice_in_mix(speech, duration_sec)
    return voice_in_stem(frame_levels(sound.vocals), frame_levels(sound.mix), speech, duration_sec)


def _transcribe(
    choice: EngineChoice, at: Placement, sound: Sound, passages: Sequence[Passage], language: str | None, ctx: StepContext
) -> Recognition:
    """Transcribe with one engine."""
    name = choice.models[0].name
    folder = models.obtain(name, part_of(ctx.progress, 0.05, 0.1))
    recognizer = models.load_once(("whisper", choice.engine, str(folder), at.device), lambda: load(choice.engine, folder, at.device))
    recognition = transcribe_passages(recognizer, sound, passages, language, part_of(ctx.progress, 0.1, 1.0))
    if language is None and recognition.language_confidence is None:
        ctx.warn(f"{name} knows only English, so the language was not detected: other languages come out as nonsense")
    return replace(recognition, segments=on_time(recognition.segments, name))


#: Both lack operations on mps.
_WHISPER: Final = Engine(_transcribe, devices=("cuda", "cpu"))
ENGINES: Final[Mapping[str, Engine[[Sound, Sequence[Passage], str | None, StepContext], Recognition]]] = {
    "faster-whisper": _WHISPER,
    "openai-whisper": _WHISPER,
}


def load(engine: str, folder: Path, device: str) -> FasterWhisper | OpenAIWhisper:
    if engine == "openai-whisper":
        return OpenAIWhisper(folder, device)
    return FasterWhisper(folder, device, threads())
