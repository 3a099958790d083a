"""The words that somebody gave, placed where they are sung: what was heard says where they are, the speech model's attention the rest."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from schemas.plan import EngineChoice, StepPlan
from schemas.results import AlignedLyrics, GivenLyrics, LyricLine, Lyrics, SongSource, StemSet, StepReport, Word
from tasks.asr.accompaniment import Sound
from tasks.asr.given.align import align_given
from tasks.asr.given.text import read_text
from tasks.asr.transcribe import VOICE_ACTIVITY, load, read_sound
from tasks.common import models
from tasks.common.placement import Engine, Placement
from tasks.common.progress import part_of, silent
from tasks.common.step import StepContext, run_chain

Aligned = tuple[tuple[LyricLine, ...], GivenLyrics]


def align_lyrics(text: str, source: SongSource, heard: Lyrics, stems: StemSet | None, plan: StepPlan, ctx: StepContext) -> AlignedLyrics:
    """Place given lyrics in a song.

    text: as of `given.text`. heard: the song's lyrics as they were transcribed. stems: None where separation failed; the mix alone is used
    then. plan: that by which the lyrics were transcribed.
    Lyrics of another song are refused: the result has no lines, and its report is degraded and says why. Raises ModelUnavailable,
    OutOfMemory, EngineFailed.
    """
    words = [word for line in heard.lines for word in line.words]
    if not words:
        return _unsung(text, heard, ctx)
    used = _as_transcribed(plan, heard.report)
    (lines, given), report = run_chain(used, ctx, ENGINES, text, words, heard, _Song(source, stems), ctx)
    update: dict[str, object] = {}
    if given.fits and given.times_used is False:
        ctx.warn("The times in the given lyrics are not of this recording, and were not used")
        update = {"warnings": tuple(ctx.warnings)}
    if not given.fits:
        share = f"{given.agreement:.0%} of what is sung is in them"
        refused = f"The given lyrics are not of this song ({share}): the words are those that were heard"
        update = {"status": "degraded", "degraded_because": (*report.degraded_because, refused)}
    if given.fits and given.unplaced:
        ctx.warn(f"{len(given.unplaced)} of {given.words} given words were not found in the song; voice.given.unplaced lists them")
        update = {"warnings": tuple(ctx.warnings)}
    return AlignedLyrics(report=report.model_copy(update=update), lines=lines, given=given)


class _Song:
    """A song's sound, read when an engine needs it."""

    def __init__(self, source: SongSource, stems: StemSet | None):
        self.source, self._stems = source, stems
        self._sound: Sound | None = None

    def sound(self, ctx: StepContext) -> Sound:
        if self._sound is None:
            self._sound = read_sound(self.source, self._stems, ctx)
        return self._sound


def _unsung(text: str, heard: Lyrics, ctx: StepContext) -> AlignedLyrics:
    """Given lyrics of a song in which no word was heard: there is nothing that says whether they are its own."""
    started = time.perf_counter()
    why = "nobody sings in this song" if not heard.voice_activity else "no word was heard in this song"
    report = StepReport(
        step="align",
        status="degraded",
        engine=heard.report.engine or VOICE_ACTIVITY,
        seconds=round(time.perf_counter() - started, 3),
        degraded_because=(f"The given lyrics were not placed: {why}",),
        flow_run=ctx.flow_run,
    )
    return AlignedLyrics(report=report, lines=(), given=GivenLyrics(fits=False, words=len(read_text(text).words), agreement=0.0))


def _as_transcribed(plan: StepPlan, report: StepReport) -> StepPlan:
    """The plan with the engine and the model by which the song was transcribed first. That there are better ones has been said there."""
    names = [model.name for model in report.models]
    first = [choice for choice in plan.chain if choice.engine == report.engine and [model.name for model in choice.models] == names]
    return StepPlan(step="align", chain=(*first, *(choice for choice in plan.chain if choice not in first)), options=plan.options)


def _align(choice: EngineChoice, at: Placement, text: str, words: Sequence[Word], heard: Lyrics, song: _Song, ctx: StepContext) -> Aligned:
    """Align with one engine."""
    name = choice.models[0].name
    folder = models.obtain(name, silent)
    aligner = models.load_once(("whisper", choice.engine, str(folder), at.device), lambda: load(choice.engine, folder, at.device))
    language = heard.language or "en"
    return align_given(
        text,
        words,
        heard.voice_activity,
        song.sound(ctx),
        aligner,
        language,
        song.source.duration_sec,
        part_of(ctx.progress, 0.1, 1.0),
    )


#: Both lack operations on mps.
_WHISPER: Final = Engine(_align, devices=("cuda", "cpu"))
ENGINES: Final[Mapping[str, Engine[[str, Sequence[Word], Lyrics, _Song, StepContext], Aligned]]] = {
    "faster-whisper": _WHISPER,
    "openai-whisper": _WHISPER,
}
