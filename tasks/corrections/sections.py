"""Sections as a person put them right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Final

from schemas import corrections as c
from schemas import song_map as m
from tasks.corrections.draft import Draft
from tasks.corrections.outcome import Conflict, Outcome, applied, clock, obsolete
from tasks.corrections.outcome import moved as moved_
from tasks.corrections.placing import find_section

#: Two analyses put a boundary of sections within this (s).
_SAME_BOUNDARY_SEC: Final = 4.0
#: A person's boundary is on the downbeat within this (s).
_ON_DOWNBEAT_SEC: Final = 0.15
#: A boundary within this is where the person has it (s).
_THERE_SEC: Final = 0.15
#: The shortest section (s).
_SHORTEST_SEC: Final = 0.5


def section_relabelled(draft: Draft, change: c.SectionRelabelled) -> Outcome:
    """Another part of the form."""
    place = find_section(draft.sections, change.section)
    before = draft.sections[place]
    draft.sections[place] = _said(before, label=change.label)
    text = f"{clock(before.start)} {change.label}"
    if before.label == change.label:
        return obsolete(f"{text} is heard so")
    return applied(text) if before.label == change.section.label else moved_(f"{text}, which is heard as {before.label} now")


def section_moved(draft: Draft, change: c.SectionMoved) -> Outcome:
    """Another beginning."""
    wanted = _on_downbeat(draft, change.start)
    place = _boundary(draft.sections, change.section.start, wanted)
    before, after = draft.sections[place - 1], draft.sections[place]
    if not before.start + _SHORTEST_SEC <= wanted <= after.end - _SHORTEST_SEC:
        raise Conflict(f"a section that begins at {clock(wanted)} would leave nothing of another")
    was = after.start
    draft.sections[place - 1] = before.model_copy(update={"end": wanted})
    draft.sections[place] = _said(after, start=wanted)
    text = f"{after.label} from {clock(wanted)}"
    if abs(was - wanted) <= _THERE_SEC:
        return obsolete(f"{text} is heard so")
    return applied(text) if abs(was - change.section.start) <= _THERE_SEC else moved_(f"{text}, which was heard from {clock(was)} now")


def section_split(draft: Draft, change: c.SectionSplit) -> Outcome:
    """Two sections in the place of one."""
    wanted = _on_downbeat(draft, change.at)
    place = next((k for k, section in enumerate(draft.sections) if section.start <= wanted < section.end), None)
    if place is None:
        raise Conflict("there are no sections")
    text = f"{change.labels[0]} and {change.labels[1]} at {clock(wanted)}"
    near = min((k for k in range(1, len(draft.sections))), key=lambda k: abs(draft.sections[k].start - wanted), default=None)
    if near is not None and abs(draft.sections[near].start - wanted) < _SHORTEST_SEC:
        before, after = draft.sections[near - 1], draft.sections[near]
        heard = (before.label, after.label) == change.labels
        draft.sections[near - 1] = _said(before, label=change.labels[0], end=wanted)
        draft.sections[near] = _said(after, label=change.labels[1], start=wanted)
        return obsolete(f"{text} are heard so") if heard else moved_(f"{text}, where a section begins now")
    whole = draft.sections[place]
    if min(wanted - whole.start, whole.end - wanted) < _SHORTEST_SEC:
        raise Conflict(f"at {clock(wanted)} there is no room for a section")
    second = _said(whole, start=wanted, label=change.labels[1], group=_free_group(draft.sections))
    draft.sections[place : place + 1] = [_said(whole, end=wanted, label=change.labels[0]), second]
    return applied(text)


def sections_merged(draft: Draft, change: c.SectionsMerged) -> Outcome:
    """One section in the place of two."""
    boundary = change.second.start
    near = min((k for k in range(1, len(draft.sections))), key=lambda k: abs(draft.sections[k].start - boundary), default=None)
    text = f"{change.label} across {clock(boundary)}"
    if near is None or abs(draft.sections[near].start - boundary) > _SAME_BOUNDARY_SEC:
        place = next((k for k, section in enumerate(draft.sections) if section.start <= boundary < section.end), None)
        if place is None:
            raise Conflict("there are no sections")
        draft.sections[place] = _said(draft.sections[place], label=change.label)
        return obsolete(f"{text} is heard as one")
    first, second = draft.sections[near - 1], draft.sections[near]
    draft.sections[near - 1 : near + 1] = [_said(first, end=second.end, label=change.label)]
    as_it_was = first.label == change.first.label and second.label == change.second.label
    return applied(text) if as_it_was else moved_(f"{text}, where {first.label} and {second.label} are heard now")


def counted(sections: Sequence[m.Section]) -> tuple[m.Section, ...]:
    """The sections with their numbers."""
    seen: dict[str, int] = {}
    found = []
    for section in sections:
        seen[section.label] = seen.get(section.label, 0) + 1
        found.append(section if section.index == seen[section.label] else section.model_copy(update={"index": seen[section.label]}))
    return tuple(found)


def repeats(sections: Sequence[m.Section]) -> tuple[m.Repeat, ...]:
    """Which sections have the same letter."""
    groups: dict[str, list[int]] = {}
    for index, section in enumerate(sections):
        groups.setdefault(section.group, []).append(index)
    return tuple(m.Repeat.model_construct(group=group, sections=tuple(where)) for group, where in groups.items() if len(where) > 1)


def _boundary(sections: Sequence[m.Section], was: float, wanted: float) -> int:
    """Index of the section whose beginning is meant. Raises Conflict."""
    if not sections:
        raise Conflict("there are no sections")
    reach = [k for k in range(1, len(sections)) if min(abs(sections[k].start - was), abs(sections[k].start - wanted)) <= _SAME_BOUNDARY_SEC]
    if not reach:
        raise Conflict(f"no section begins near {clock(was)}")
    return min(reach, key=lambda k: min(abs(sections[k].start - was), abs(sections[k].start - wanted)))


def _on_downbeat(draft: Draft, time: float) -> float:
    near = min(draft.downbeats, key=lambda beat: abs(beat - time), default=time)
    return near if abs(near - time) <= _ON_DOWNBEAT_SEC else round(time, 6)


def _said(section: m.Section, **changes: object) -> m.Section:
    return section.model_copy(update={**changes, "conf": 1.0, "by": "person"})


def _free_group(sections: Sequence[m.Section]) -> str:
    used = {section.group for section in sections}
    letters = ("".join(chr(65 + digit) for digit in _digits(number)) for number in count())
    return next(name for name in letters if name not in used)


def _digits(number: int) -> list[int]:
    """A, B, … Z, AA, AB, …"""
    digits = [number % 26]
    while number := number // 26:
        number -= 1
        digits.insert(0, number % 26)
    return digits
