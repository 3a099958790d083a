"""What the sections of a song are: which repeat each other, and which is the verse and which the chorus.

Sections that sound alike in order form a group. A group is named by the evidence a listener uses: a chorus comes back with the same words,
louder and fuller; a verse comes back with other words; what is not sung is an intro, an outro, a solo or an instrumental by its place; what
comes once, late, and is sung, is a bridge. The evidence is weighed, not proven, and the confidence says how clearly it spoke.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.results import Section, SectionLabel
from tasks.structure.features import BarFeatures

Floats = npt.NDArray[np.float64]

#: Mean likeness of two sections' bars, in order, from which they count as repetitions.
SAME_GROUP = 0.55
#: Share of a section that must be sung for it to count as sung, where voice activity is known.
_SUNG = 0.25
#: How much the harmony of a song's bars varies, below which nothing is told by it: noise, clicks and drones have at most 0.01, of 15 songs
#: the least varied 0.04 (a band whose drums drown its chords).
_VARIED: Final = 0.02
#: Neighbours of one label are joined up to this many bars, and always where one of them is this short.
_LONGEST_JOINED = 24
_SHORT = 4


@dataclass(frozen=True)
class SectionFacts:
    """What is known of one section before it is named."""

    start: float
    end: float
    bars: int
    group: int
    level: float  # dB relative to the song's mean, all stems
    sung: float | None  # share of the time with a voice; None where that is not known
    words: tuple[str, ...]


def group_sections(similarity: Floats, boundaries: Sequence[int], threshold: float = SAME_GROUP) -> list[int]:
    """Group index of each section, numbered by first appearance: average-linkage clustering of the sections' likeness in order.

    similarity: (bars, bars) likeness of bars. boundaries: bar indices, 0 first and the number of bars last.
    """
    spans = list(itertools.pairwise(boundaries))
    count = len(spans)
    if count < 2:
        return [0] * count
    alike = np.array([[1.0 if i == j else _likeness(similarity, spans[i], spans[j]) for j in range(count)] for i in range(count)])
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = np.clip(1.0 - (alike + alike.T) / 2, 0.0, None)
    np.fill_diagonal(distance, 0.0)
    found = fcluster(linkage(squareform(distance, checks=False), "average"), 1.0 - threshold, "distance")
    order: dict[int, int] = {}
    return [order.setdefault(int(label), len(order)) for label in found]


def _likeness(similarity: Floats, a: tuple[int, int], b: tuple[int, int]) -> float:
    """Mean likeness along the best diagonal of two sections, less where their lengths differ."""
    length_a, length_b = a[1] - a[0], b[1] - b[0]
    short = min(length_a, length_b)
    best = 0.0
    for shift_a in range(length_a - short + 1):
        for shift_b in range(length_b - short + 1):
            index = np.arange(short)
            best = max(best, float(similarity[a[0] + shift_a + index, b[0] + shift_b + index].mean()))
    return float(best * (short / max(length_a, length_b)) ** 0.25)


def tells_sections(bars: BarFeatures) -> bool:
    """Whether anything in a song tells sections apart: a voice, or a harmony that changes. A click track, noise or a drone has neither.

    bars: as they were measured, without the recognised chords, which may be guesses.
    """
    sung = bars.vocal[~np.isnan(bars.vocal)]
    return bool((sung >= _SUNG).any()) or harmonic_variety(bars) >= _VARIED


def harmonic_variety(bars: BarFeatures) -> float:
    """How unlike each other the harmonies of a song's bars are, in [0, 1]: 1 minus the mean cosine of two bars that sound."""
    chroma = bars.harmony.reshape(len(bars), -1, 12).sum(axis=1)
    norms = np.linalg.norm(chroma, axis=1)
    sounding = chroma[norms > 1e-9] / norms[norms > 1e-9, None]
    return float(1.0 - np.linalg.norm(sounding.mean(axis=0)) ** 2) if len(sounding) else 0.0


def one_section(bars: BarFeatures) -> tuple[Section, ...]:
    """The whole song as one section that claims no function."""
    return (Section(start=0.0, end=round(float(bars.edges[-1]), 6), label="section", index=1, group=letter(0), confidence=1.0),)


def gather_facts(
    bars: BarFeatures, boundaries: Sequence[int], groups: Sequence[int], words: Sequence[tuple[float, str]]
) -> list[SectionFacts]:
    """The facts of each section. words: (start time, text), sorted."""
    loudness = bars.level_db.mean(axis=1)
    mean = float(np.average(loudness, weights=np.diff(bars.edges)))
    facts = []
    for first, last, group in zip(boundaries[:-1], boundaries[1:], groups, strict=True):
        start, end = float(bars.edges[first]), float(bars.edges[last])
        weights = np.diff(bars.edges[first : last + 1])
        vocal = bars.vocal[first:last]
        facts.append(
            SectionFacts(
                start=start,
                end=end,
                bars=last - first,
                group=group,
                level=float(np.average(loudness[first:last], weights=weights)) - mean,
                sung=None if np.isnan(vocal).any() else float(np.average(vocal, weights=weights)),
                words=tuple(_plain(text) for time, text in words if start <= time < end),
            )
        )
    return facts


def _plain(word: str) -> str:
    return word.lower().strip(string.punctuation)


def name_sections(facts: Sequence[SectionFacts]) -> list[tuple[SectionLabel, float]]:
    """Label and confidence of each section. Where neither voice nor words are known, what does not come back has no function."""
    members: dict[int, list[int]] = {}
    for index, fact in enumerate(facts):
        members.setdefault(fact.group, []).append(index)
    sung = [_is_sung(fact, facts) for fact in facts]
    scores = {
        group: _chorus_score([facts[i] for i in where]) for group, where in members.items() if sum(sung[i] for i in where) * 2 > len(where)
    }
    ranked = sorted(scores, key=lambda group: (-scores[group], members[group][0]))
    chorus = ranked[0] if ranked and len(members[ranked[0]]) > 1 else None
    margin = scores[ranked[0]] - scores[ranked[1]] if len(ranked) > 1 else 0.3
    unheard = not _knows_voice(facts)
    labels: list[tuple[SectionLabel, float]] = []
    for index, fact in enumerate(facts):
        if unheard and len(members[fact.group]) == 1:
            labels.append(("section", 1.0))
        elif not sung[index]:
            labels.append(_instrumental_label(index, facts, sung))
        elif fact.group == chorus:
            labels.append(("chorus", _confidence(0.5 + margin)))
        else:
            labels.append(_sung_label(index, facts, sung, members, chorus, margin))
    return labels


def _knows_voice(facts: Sequence[SectionFacts]) -> bool:
    return any(fact.sung is not None or fact.words for fact in facts)


def _is_sung(fact: SectionFacts, facts: Sequence[SectionFacts]) -> bool:
    if fact.sung is not None:
        return fact.sung >= _SUNG
    if any(other.words for other in facts):
        return len(fact.words) > 0.15 * (fact.end - fact.start)
    return True


def _chorus_score(where: Sequence[SectionFacts]) -> float:
    """How much a group of sections behaves like a chorus: same words again, loud, repeated."""
    repeated = min(len(where), 4) / 4
    level = float(np.clip(np.mean([fact.level for fact in where]) / 6.0 + 0.5, 0.0, 1.0))
    return 0.45 * same_words(where) + 0.3 * level + 0.25 * repeated


def same_words(where: Sequence[SectionFacts]) -> float:
    """How alike the words of a group's sections are, in [0, 1]: mean over pairs of the matching share of the longer text."""
    pairs = [
        SequenceMatcher(None, a.words, b.words, autojunk=False).ratio()
        for i, a in enumerate(where)
        for b in where[i + 1 :]
        if a.words and b.words
    ]
    return float(np.mean(pairs)) if pairs else 0.0


def _instrumental_label(index: int, facts: Sequence[SectionFacts], sung: Sequence[bool]) -> tuple[SectionLabel, float]:
    before, after = any(sung[:index]), any(sung[index + 1 :])
    if not any(sung):
        return ("intro", 0.4) if index == 0 and len(facts) > 1 else ("outro", 0.4) if index == len(facts) - 1 > 0 else ("instrumental", 0.5)
    if not before:
        return "intro", 0.8 if index == 0 else 0.6
    if not after:
        return "outro", 0.8 if index == len(facts) - 1 else 0.6
    fact = facts[index]
    if fact.bars <= 4:
        return ("break", 0.4) if fact.level < -3.0 else ("interlude", 0.5)
    return ("solo", 0.4) if index > len(facts) / 2 else ("instrumental", 0.5)


def _sung_label(
    index: int, facts: Sequence[SectionFacts], sung: Sequence[bool], members: dict[int, list[int]], chorus: int | None, margin: float
) -> tuple[SectionLabel, float]:
    """Name of a sung section that is not the chorus."""
    fact = facts[index]
    where = members[fact.group]
    if chorus is not None:
        before_chorus = [i + 1 < len(facts) and facts[i + 1].group == chorus for i in where]
        follows_verse = [i > 0 and sung[i - 1] and facts[i - 1].group not in (chorus, fact.group) for i in where]
        if len(where) > 1 and all(before_chorus) and all(follows_verse) and fact.bars <= 8:
            return "prechorus", _confidence(0.4 + margin / 2)
        if len(where) == 1 and index > members[chorus][0] and fact.start > 0.5 * facts[-1].end and index < len(facts) - 1:
            return "bridge", 0.5
    return "verse", _confidence((0.5 if len(where) > 1 else 0.4) + margin / 2)


def _confidence(value: float) -> float:
    return float(np.clip(value, 0.05, 0.95))


def join_neighbours(
    boundaries: Sequence[int], groups: Sequence[int], labels: Sequence[tuple[SectionLabel, float]], longest: int = _LONGEST_JOINED
) -> tuple[int, ...]:
    """The boundaries, without those between neighbours of one label that are short or repeat each other.

    A musician reads one verse of sixteen bars, not four of four.
    """
    kept = [boundaries[0]]
    for index in range(1, len(labels)):
        start, here, end = kept[-1], boundaries[index], boundaries[index + 1]
        alike = groups[index] == groups[index - 1] or min(here - start, end - here) <= _SHORT
        if labels[index][0] != labels[index - 1][0] or not alike or end - start > longest:
            kept.append(here)
    return (*kept, boundaries[-1])


def make_sections(facts: Sequence[SectionFacts], labels: Sequence[tuple[SectionLabel, float]]) -> tuple[Section, ...]:
    """The sections, numbered within their label."""
    seen: dict[SectionLabel, int] = {}
    sections = []
    for fact, (label, confidence) in zip(facts, labels, strict=True):
        seen[label] = seen.get(label, 0) + 1
        sections.append(
            Section(
                start=round(fact.start, 6),
                end=round(fact.end, 6),
                label=label,
                index=seen[label],
                group=letter(fact.group),
                confidence=round(confidence, 3),
            )
        )
    return tuple(sections)


def letter(index: int) -> str:
    """A, B, … Z, AA, AB, …"""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = string.ascii_uppercase[rest] + name
    return name
