"""The sections of a song, on three levels, with boundaries on downbeats."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.plan import EngineChoice, StepPlan
from schemas.results import STEMS, BeatsKey, Chord, Chords, Lyrics, Section, SectionLabel, SongSource, StemSet, Structure, Word
from tasks.common.errors import EngineFailed
from tasks.common.harmony.on_beats import on_beats
from tasks.common.placement import Engine, Placement
from tasks.common.progress import Progress, part_of, silent
from tasks.common.spectra import FPS
from tasks.common.step import StepContext, run_chain
from tasks.structure.allinone.contract import FUNCTIONS as NETWORK_FUNCTIONS
from tasks.structure.allinone.engine import Activations, infer
from tasks.structure.features import BarFeatures, bar_edges, measure_bars
from tasks.structure.functional import (
    boundary_scores,
    boundary_scores_alone,
    decide,
    expected_boundaries,
    function_scores,
    network_evidence,
    no_evidence,
    repetition_by_bar,
    usual_lengths,
)
from tasks.structure.labels import (
    SectionFacts,
    gather_facts,
    group_sections,
    join_neighbours,
    make_sections,
    name_sections,
    one_section,
    tells_sections,
)
from tasks.structure.phrases import phrases_in
from tasks.structure.segmentation import boundary_strength, phrase_similarity, place_boundaries, segment

#: (sections, coarse, fine)
Levels = tuple[tuple[Section, ...], tuple[Section, ...], tuple[Section, ...]]


def detect_structure(
    source: SongSource,
    beats: BeatsKey,
    stems: StemSet | None,
    chords: Chords | None,
    lyrics: Lyrics | None,
    plan: StepPlan,
    ctx: StepContext,
) -> Structure:
    """Divide the song into sections that cover it without gaps. Without stems, harmony and level are read from the mix.

    Engines: `all-in-one` (needs the stems), `spectral`. Raises EngineFailed.
    """
    (sections, coarse, fine), report = run_chain(plan, ctx, ENGINES, source, beats, stems, chords, lyrics, ctx)
    return Structure(report=report, sections=sections, coarse=coarse, fine=fine)


def by_functions(
    _choice: EngineChoice,
    at: Placement,
    source: SongSource,
    beats: BeatsKey,
    stems: StemSet | None,
    chords: Chords | None,
    lyrics: Lyrics | None,
    ctx: StepContext,
) -> Levels:
    """Sections by what All-In-One hears in the stems. Raises EngineFailed where there are none."""
    if stems is None:
        raise EngineFailed("All-In-One hears the four stems, and there are none")
    # The features are computed on one core, beside the networks.
    with ThreadPoolExecutor(1, "bar features") as pool:
        measured = pool.submit(_measure, source, beats, stems, lyrics, ctx, silent)
        activations = infer({name: ctx.store.path(stems.stem(name)) for name in STEMS}, at.device, at.size, ctx.progress)
        bars = measured.result()
    if not tells_sections(bars):
        return undivided(bars)
    return levels_of_functions(_with_chords_on_beats(bars, source, beats, chords), activations, _words(lyrics))


def by_change(
    _choice: EngineChoice,
    _at: Placement,
    source: SongSource,
    beats: BeatsKey,
    stems: StemSet | None,
    chords: Chords | None,
    lyrics: Lyrics | None,
    ctx: StepContext,
) -> Levels:
    """Sections without a network."""
    bars = _measure(source, beats, stems, lyrics, ctx, part_of(ctx.progress, 0.0, 0.8))
    ctx.progress(0.8, "repetitions")
    if not tells_sections(bars):
        return undivided(bars)
    bars, words = _with_chords_on_beats(bars, source, beats, chords), _words(lyrics)
    return levels_of_functions(bars, None, words) if words else levels_of_repetition(bars, words)


ENGINES: Final[Mapping[str, Engine[[SongSource, BeatsKey, StemSet | None, Chords | None, Lyrics | None, StepContext], Levels]]] = {
    "all-in-one": Engine(by_functions, devices=("cuda", "mps", "cpu"), sizes=(1.0, 0.5)),
    "spectral": Engine(by_change),
}


def _words(lyrics: Lyrics | None) -> list[Word]:
    return [word for line in lyrics.lines for word in line.words] if lyrics is not None else []


def _measure(
    source: SongSource,
    beats: BeatsKey,
    stems: StemSet | None,
    lyrics: Lyrics | None,
    ctx: StepContext,
    progress: Progress,
) -> BarFeatures:
    """The features of the song's bars, from what there is; its chords are mixed in later."""
    edges = bar_edges(beats.downbeats, source.duration_sec)
    mix = ctx.store.path(source.audio)
    voiced = [(span.start, span.end) for span in lyrics.voice_activity] if lyrics is not None else None
    if stems is None:
        ctx.warn("Sections were found without stems: labels are less certain")
        harmonic, levels = [mix], []
    else:
        harmonic = [ctx.store.path(stems.bass), ctx.store.path(stems.other)]
        levels = [ctx.store.path(stems.stem(name)) for name in STEMS]
    return measure_bars(mix, harmonic, levels, edges, voiced, progress)


def _with_chords_on_beats(bars: BarFeatures, source: SongSource, beats: BeatsKey, chords: Chords | None) -> BarFeatures:
    return with_chords(bars, on_beats(chords, beats, source.duration_sec)) if chords is not None else bars


def undivided(bars: BarFeatures) -> Levels:
    """One section on all three levels."""
    whole = one_section(bars)
    return whole, whole, whole


def levels_of_functions(bars: BarFeatures, activations: Activations | None, words: Sequence[Word]) -> Levels:
    """Sections decided together with their functions; phrases inside them, and parts above them, by change.

    activations: of All-In-One. Without them, the words, the voice and the change of timbre decide where sections begin, and the sections
    are named by the evidence of words, loudness and place.
    """
    similarity = phrase_similarity(bars)
    change = boundary_strength(bars, similarity)
    repetition = repetition_by_bar(words, bars.edges)
    if activations is not None:
        network = network_evidence(activations.function, NETWORK_FUNCTIONS, FPS, bars.edges)
        expected = expected_boundaries(activations.section, FPS, bars.edges)
        decided = decide(function_scores(bars, network, repetition), boundary_scores(expected, change))
        main = (0, *(section.last for section in decided))
        names = [(section.label, section.confidence) for section in decided]
    else:
        scores = function_scores(bars, no_evidence(len(bars)), repetition)
        decided = decide(scores, boundary_scores_alone(change), usual_lengths())
        main, names = _joined(bars, similarity, (0, *(section.last for section in decided)), words)

    def sections(boundaries: tuple[int, ...]) -> tuple[Section, ...]:
        facts, _ = _named(bars, similarity, boundaries, words)
        return make_sections(facts, [names[bisect_right(main, start) - 1] for start in boundaries[:-1]])

    return sections(main), sections(place_boundaries(change, "coarse", allowed=main)), sections(phrases_in(bars, main))


def levels_of_repetition(bars: BarFeatures, words: Sequence[Word]) -> Levels:
    """Sections by repetition and change alone: for songs without words."""
    found = segment(bars, phrases_in(bars))
    joined, _ = _joined(bars, found.similarity, found.section, words)
    result = [make_sections(*_named(bars, found.similarity, b, words)) for b in (joined, keep_common(found.coarse, joined), found.fine)]
    return result[0], result[1], result[2]


def _named(
    bars: BarFeatures, similarity: npt.NDArray[np.float64], boundaries: tuple[int, ...], words: Sequence[Word]
) -> tuple[list[SectionFacts], list[tuple[SectionLabel, float]]]:
    """The sections between boundaries: their facts, and their names by the evidence of words, loudness and place."""
    facts = gather_facts(bars, boundaries, group_sections(similarity, boundaries), [(word.start, word.text) for word in words])
    return facts, name_sections(facts)


def _joined(
    bars: BarFeatures, similarity: npt.NDArray[np.float64], boundaries: tuple[int, ...], words: Sequence[Word]
) -> tuple[tuple[int, ...], list[tuple[SectionLabel, float]]]:
    """The boundaries without those inside one section, and the sections' names."""
    facts, labels = _named(bars, similarity, boundaries, words)
    joined = join_neighbours(boundaries, [fact.group for fact in facts], labels)
    return joined, _named(bars, similarity, joined, words)[1]


def keep_common(coarse: tuple[int, ...], sections: tuple[int, ...]) -> tuple[int, ...]:
    """The coarse boundaries that are section boundaries still, so that the levels stay nested."""
    return tuple(boundary for boundary in coarse if boundary in sections)


def with_chords(bars: BarFeatures, chords: Sequence[Chord]) -> BarFeatures:
    """The features with the song's chords mixed into the harmony: a chord's tones are surer than a chroma of the same quarter."""
    from tasks.structure.chord_tones import chord_chroma

    quarters = bars.harmony.shape[1] // 12
    times = np.concatenate(
        [np.linspace(a, b, quarters, endpoint=False) + (b - a) / quarters / 2 for a, b in zip(bars.edges[:-1], bars.edges[1:], strict=True)]
    )
    symbolic = chord_chroma(chords, times)
    mixed = bars.harmony.reshape(-1, 12) + symbolic
    norms = np.linalg.norm(mixed, axis=1, keepdims=True)
    mixed = np.divide(mixed, norms, out=np.zeros_like(mixed), where=norms > 1e-9)
    return BarFeatures(bars.edges, mixed.reshape(bars.harmony.shape), bars.timbre, bars.level_db, bars.vocal)
