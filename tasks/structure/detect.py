"""The sections of a song, on three levels, with boundaries on downbeats."""

from __future__ import annotations

import numpy as np

from schemas.plan import StepPlan
from schemas.results import STEMS, BeatsKey, Chords, Lyrics, Section, SectionLabel, SongSource, StemSet, Structure
from tasks.common.progress import part_of
from tasks.common.step import StepContext, run_chain
from tasks.structure.features import BarFeatures, bar_edges, measure_bars
from tasks.structure.labels import SectionFacts, gather_facts, group_sections, join_neighbours, make_sections, name_sections
from tasks.structure.segmentation import segment

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

    Engines: `spectral`. Raises EngineFailed.
    """
    (sections, coarse, fine), report = run_chain(plan, ctx, {"spectral": lambda _: _spectral(source, beats, stems, chords, lyrics, ctx)})
    return Structure(report=report, sections=sections, coarse=coarse, fine=fine)


def _spectral(
    source: SongSource, beats: BeatsKey, stems: StemSet | None, chords: Chords | None, lyrics: Lyrics | None, ctx: StepContext
) -> Levels:
    edges = bar_edges(beats.downbeats, source.duration_sec)
    mix = ctx.store.path(source.audio)
    voiced = [(span.start, span.end) for span in lyrics.voice_activity] if lyrics is not None else None
    if stems is None:
        ctx.warn("Sections were found without stems: labels are less certain")
        harmonic, levels = [mix], []
    else:
        harmonic = [ctx.store.path(stems.bass), ctx.store.path(stems.other)]
        levels = [ctx.store.path(stems.stem(name)) for name in STEMS]
    bars = measure_bars(mix, harmonic, levels, edges, voiced, part_of(ctx.progress, 0.0, 0.8))
    if chords is not None:
        bars = with_chords(bars, chords)
    ctx.progress(0.8, "repetitions")
    found = segment(bars)
    words = [(word.start, word.text) for line in lyrics.lines for word in line.words] if lyrics is not None else []
    ctx.progress(0.95, "labels")

    def named(boundaries: tuple[int, ...]) -> tuple[list[int], list[SectionFacts], list[tuple[SectionLabel, float]]]:
        groups = group_sections(found.similarity, boundaries)
        facts = gather_facts(bars, boundaries, groups, words)
        return groups, facts, name_sections(facts)

    groups, _, labels = named(found.section)
    joined = join_neighbours(found.section, groups, labels)
    result = [make_sections(*named(boundaries)[1:]) for boundaries in (joined, keep_common(found.coarse, joined), found.fine)]
    return result[0], result[1], result[2]


def keep_common(coarse: tuple[int, ...], sections: tuple[int, ...]) -> tuple[int, ...]:
    """The coarse boundaries that are section boundaries still, so that the levels stay nested."""
    return tuple(boundary for boundary in coarse if boundary in sections)


def with_chords(bars: BarFeatures, chords: Chords) -> BarFeatures:
    """The features with the recognised chords mixed into the harmony: a chord's tones are surer than a chroma of the same quarter."""
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
