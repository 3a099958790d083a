"""What the schema of the Song Map cannot say: order, coverage, and references.

Every rule reads a document of any shape, and looks at whatever of it has the right shape; the rest is the schema's to report. So one
wrong value never hides another problem. Rules yield problems in the order of the document.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from tasks.packager.problems import Problem, json_path, shown

#: Times are written to the microsecond; those not further apart are equal. The billionth is for the subtraction's own rounding.
TOLERANCE_SEC: Final = 1e-6 + 1e-9

Path = tuple[str | int, ...]
Problems = Iterator[Problem]


# --- reading a document of any shape ---------------------------------------------------------------------------------------------------


def number(value: Any) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def index(value: Any) -> int | None:
    """A whole number that is not negative; None for anything else."""
    real = number(value)
    return int(real) if real is not None and real >= 0 and real.is_integer() else None


def at(document: Any, *path: str | int) -> Any:
    """What lies at a path; None where there is nothing."""
    for part in path:
        if isinstance(part, str) and isinstance(document, dict):
            document = document.get(part)
        elif isinstance(part, int) and isinstance(document, list) and part < len(document):
            document = document[part]
        else:
            return None
    return document


def items(document: Any, *path: str | int) -> list[Any]:
    """The list at a path; empty where there is none."""
    found = at(document, *path)
    return found if isinstance(found, list) else []


class Span(NamedTuple):
    start: float
    end: float


def spans(document: Any, *path: str | int) -> list[Span | None]:
    """Start and end of each item of a list, whether an object or a pair; None for an item that has none."""
    found: list[Span | None] = []
    for item in items(document, *path):
        a, b = (item.get("start"), item.get("end")) if isinstance(item, dict) else (at(item, 0), at(item, 1))
        start, end = number(a), number(b)
        found.append(Span(start, end) if start is not None and end is not None else None)
    return found


def duration_of(document: Any) -> float:
    """The song's length; infinite where it is not known, so that nothing lies outside."""
    duration = number(at(document, "duration_sec"))
    return math.inf if duration is None else duration


def problem(path: Path, message: str, code: str) -> Problem:
    return Problem(json_path(path), message, code)


# --- what several rules need -----------------------------------------------------------------------------------------------------------


def in_order(times: Sequence[float | None], path: Path, duration: float, within: Path = ()) -> Problems:
    """Times increase and lie in the song. within: where the time is in each item of the list at `path`."""
    previous = -math.inf
    for place, time in enumerate(times):
        if time is None:
            continue
        if time <= previous:
            yield problem((*path, place, *within), f"is {time}, not after the one before it ({previous})", "NOT_SORTED")
        if time > duration + TOLERANCE_SEC:
            yield problem((*path, place, *within), f"is {time}, after the song's end ({duration})", "OUTSIDE_SONG")
        previous = max(previous, time)


def disjoint(document: Any, *path: str | int) -> Problems:
    """Spans have a length, lie in the song, are sorted, and do not overlap."""
    duration = duration_of(document)
    last_start, last_end = -math.inf, -math.inf
    for place, (item, span) in enumerate(zip(items(document, *path), spans(document, *path), strict=True)):
        if span is None:
            continue
        start, end = span
        start_name, end_name = ("start", "end") if isinstance(item, dict) else (0, 1)
        if not start < end:
            yield problem((*path, place, end_name), f"is {end}, not after its start ({start})", "EMPTY_SPAN")
        if end > duration + TOLERANCE_SEC:
            yield problem((*path, place, end_name), f"is {end}, after the song's end ({duration})", "OUTSIDE_SONG")
        if start < last_start:
            yield problem((*path, place, start_name), f"is {start}, before the start of the one before it ({last_start})", "NOT_SORTED")
        elif start < last_end - TOLERANCE_SEC:
            yield problem((*path, place, start_name), f"is {start}, before the end of the one before it ({last_end})", "OVERLAP")
        last_start, last_end = max(last_start, start), max(last_end, end)


def voices(document: Any, *path: str | int) -> Problems:
    """Notes have a length, lie in the song, are sorted, and do not overlap at one pitch."""
    duration, last_start = duration_of(document), -math.inf
    ends: dict[int | None, float] = {}
    for place, (note, span) in enumerate(zip(items(document, *path), spans(document, *path), strict=True)):
        if span is None:
            continue
        start, end = span
        midi = index(at(note, "midi"))
        if not start < end:
            yield problem((*path, place, "end"), f"is {end}, not after its start ({start})", "EMPTY_SPAN")
        if end > duration + TOLERANCE_SEC:
            yield problem((*path, place, "end"), f"is {end}, after the song's end ({duration})", "OUTSIDE_SONG")
        if start < last_start:
            yield problem((*path, place, "start"), f"is {start}, before the start of the one before it ({last_start})", "NOT_SORTED")
        elif start < ends.get(midi, -math.inf) - TOLERANCE_SEC:
            yield problem((*path, place, "start"), f"is {start}, before the end of the same pitch before it ({ends[midi]})", "OVERLAP")
        last_start, ends[midi] = max(last_start, start), max(ends.get(midi, end), end)


def covering(document: Any, *path: str | int) -> Problems:
    """Spans follow each other without gaps, from 0 to the song's end. Nothing need be there."""
    found, duration = spans(document, *path), duration_of(document)
    if found and found[0] is not None and found[0].start > TOLERANCE_SEC:
        yield problem((*path, 0, "start"), f"is {found[0].start}, not 0", "GAP")
    for place, (before, after) in enumerate(pairwise(found), start=1):
        if before is not None and after is not None and after.start > before.end + TOLERANCE_SEC:
            yield problem((*path, place, "start"), f"is {after.start}, after the end of the one before it ({before.end})", "GAP")
    if found and found[-1] is not None and duration < math.inf and found[-1].end < duration - TOLERANCE_SEC:
        yield problem((*path, len(found) - 1, "end"), f"is {found[-1].end}, not the song's end ({duration})", "GAP")


def within(document: Any, path: Path, whole: Span | None) -> Problems:
    """Spans lie within a larger one."""
    for place, span in enumerate(spans(document, *path)):
        if span is None or whole is None:
            continue
        for name, outside in (("start", span.start < whole.start - TOLERANCE_SEC), ("end", span.end > whole.end + TOLERANCE_SEC)):
            if outside:
                message = f"is {getattr(span, name)}, outside of what it is part of ({whole.start} to {whole.end})"
                yield problem((*path, place, name), message, "NOT_INSIDE")


# --- the rules -------------------------------------------------------------------------------------------------------------------------


def identity(document: Any) -> Problems:
    """The id is the beginning of the hash of the decoded sound."""
    song_id, digest = at(document, "id"), at(document, "source", "audio_sha256")
    if isinstance(song_id, str) and isinstance(digest, str) and not digest.startswith(song_id):
        yield problem(("id",), f"is {shown(song_id)}, not the beginning of source.audio_sha256", "ID_MISMATCH")


def beats(document: Any) -> Problems:
    """Beats and downbeats are in order, every downbeat is a beat, and every beat has a confidence."""
    duration = duration_of(document)
    for name in ("beats", "downbeats"):
        yield from in_order([number(time) for time in items(document, name)], (name,), duration)
    known = {round(time, 6) for time in map(number, items(document, "beats")) if time is not None}
    for place, time in enumerate(map(number, items(document, "downbeats"))):
        if time is not None and round(time, 6) not in known:
            yield problem(("downbeats", place), f"is {time}, which is not a beat", "NOT_A_BEAT")
    confidences, count = at(document, "beat_conf"), len(items(document, "beats"))
    if isinstance(confidences, list) and len(confidences) != count:
        yield problem(("beat_conf",), f"has {len(confidences)} values for {count} beats", "LENGTH_MISMATCH")


def bars(document: Any) -> Problems:
    """Bars do not overlap; each starts on the beat it names, which is a downbeat; every downbeat starts one."""
    yield from disjoint(document, "bars")
    times = [number(time) for time in items(document, "beats")]
    downbeats = {round(time, 6) for time in map(number, items(document, "downbeats")) if time is not None}
    started = set()
    for place, (bar, span) in enumerate(zip(items(document, "bars"), spans(document, "bars"), strict=True)):
        first, count = index(at(bar, "first_beat")), index(at(bar, "beats"))
        if span is not None:
            started.add(round(span.start, 6))
            if round(span.start, 6) not in downbeats:
                yield problem(("bars", place, "start"), f"is {span.start}, which is not a downbeat", "NOT_A_DOWNBEAT")
        if first is None:
            continue
        if first >= len(times):
            yield problem(("bars", place, "first_beat"), f"is {first}; there are {len(times)} beats", "BROKEN_REFERENCE")
            continue
        beat = times[first]
        if span is not None and beat is not None and abs(beat - span.start) > TOLERANCE_SEC:
            yield problem(("bars", place, "first_beat"), f"is {first}, a beat at {beat}, not at {span.start}", "BROKEN_REFERENCE")
        if count is not None and first + count > len(times):
            yield problem(("bars", place, "beats"), f"is {count}; there are {len(times) - first} beats left", "BROKEN_REFERENCE")
    if not isinstance(at(document, "bars"), list):
        return
    # A downbeat at the very end of the song has no bar after it.
    for missing in sorted(time for time in downbeats - started if time < duration_of(document) - TOLERANCE_SEC):
        yield problem(("bars",), f"have none that starts on the downbeat at {missing}", "NO_BAR")


def tempo_and_meter(document: Any) -> Problems:
    """The tempo curve is in order, and so are the meters and the keys."""
    curve = [number(at(point, 0)) for point in items(document, "tempo", "curve")]
    yield from in_order(curve, ("tempo", "curve"), duration_of(document), within=(0,))
    yield from disjoint(document, "meter", "changes")
    yield from disjoint(document, "key")


def chords(document: Any) -> Problems:
    """Chords cover the song; the beats they name are there and in order; the root is that of the label."""
    yield from disjoint(document, "chords")
    yield from covering(document, "chords")
    count = len(items(document, "beats"))
    for place, chord in enumerate(items(document, "chords")):
        start, end = index(at(chord, "start_beat")), index(at(chord, "end_beat"))
        for name, beat in (("start_beat", start), ("end_beat", end)):
            if beat is not None and beat > count:
                yield problem(("chords", place, name), f"is {beat}; there are {count} beats", "BROKEN_REFERENCE")
        if start is not None and end is not None and end < start:
            yield problem(("chords", place, "end_beat"), f"is {end}, before start_beat {start}", "NOT_SORTED")
        label, root = at(chord, "label"), at(chord, "root")
        if isinstance(label, str) and isinstance(root, str) and not label.startswith(root):
            yield problem(("chords", place, "root"), f"is {shown(root)}, which is not the root of {shown(label)}", "LABEL_MISMATCH")


SECTION_LEVELS: Final[tuple[Path, ...]] = (("sections",), ("levels", "coarse"), ("levels", "fine"))


def sections(document: Any) -> Problems:
    """Each level covers the song, and counts the sections of each label."""
    for path in SECTION_LEVELS:
        yield from disjoint(document, *path)
        yield from covering(document, *path)
        seen: dict[str, int] = {}
        for place, section in enumerate(items(document, *path)):
            label, nth = at(section, "label"), index(at(section, "index"))
            if isinstance(label, str):
                seen[label] = seen.get(label, 0) + 1
                if nth is not None and nth != seen[label]:
                    yield problem((*path, place, "index"), f"is {nth}; this is {label} {seen[label]}", "WRONG_INDEX")


def repeats(document: Any) -> Problems:
    """A repetition names, once and in order, the sections of its letter."""
    known = items(document, "sections")
    seen: set[str] = set()
    for nth, repeat in enumerate(items(document, "levels", "repeats")):
        group, last = at(repeat, "group"), -1
        if isinstance(group, str) and group in seen:
            yield problem(("levels", "repeats", nth, "group"), f"is {shown(group)}, for the second time", "BROKEN_REFERENCE")
        seen |= {group} if isinstance(group, str) else set()
        for place, value in enumerate(items(repeat, "sections")):
            path, section = ("levels", "repeats", nth, "sections", place), index(value)
            if section is None:
                continue
            if section >= len(known):
                yield problem(path, f"is {section}; there are {len(known)} sections", "BROKEN_REFERENCE")
            elif isinstance(group, str) and at(known, section, "group") != group:
                yield problem(path, f"is {section}, a section of group {shown(at(known, section, 'group'))}", "BROKEN_REFERENCE")
            if section <= last:
                yield problem(path, f"is {section}, not after {last}", "NOT_SORTED")
            last = max(last, section)


def lyrics(document: Any) -> Problems:
    """Lines, words and syllables are in order and do not overlap; words lie in their line, syllables in their word."""
    yield from disjoint(document, "lyrics")
    for nth, line in enumerate(spans(document, "lyrics")):
        path: Path = ("lyrics", nth, "words")
        yield from disjoint(document, *path)
        yield from within(document, path, line)
        for place, word in enumerate(spans(document, *path)):
            yield from disjoint(document, *path, place, "syllables")
            yield from within(document, (*path, place, "syllables"), word)
    yield from disjoint(document, "voice", "activity")


def notes(document: Any) -> Problems:
    """Parts are monophonic, and harmony is so at each pitch; bends are in order and in their note; a part's range is that of its notes."""
    for part in ("melody", "bass", "harmony"):
        path: Path = ("performance", part)
        yield from (voices if part == "harmony" else disjoint)(document, *path)
        pitches = [pitch for note in items(document, *path) if (pitch := index(at(note, "midi"))) is not None]
        for nth, note in enumerate(spans(document, *path)):
            bends = [number(at(bend, 0)) for bend in items(document, *path, nth, "bends")]
            for place, time in enumerate(bends):
                earlier = bends[place - 1] if place else None
                if time is not None and earlier is not None and time < earlier:
                    yield problem((*path, nth, "bends", place, 0), f"is {time}, before the one before it ({earlier})", "NOT_SORTED")
                if note is not None and time is not None and not note.start - TOLERANCE_SEC <= time <= note.end + TOLERANCE_SEC:
                    message = f"is {time}, outside of its note ({note.start} to {note.end})"
                    yield problem((*path, nth, "bends", place, 0), message, "NOT_INSIDE")
        for name, bound in (("lowest_midi", min), ("highest_midi", max)):
            facts: Path = ("performance", "parts", part, name)
            claimed = index(at(document, *facts))
            if claimed is not None and claimed != (bound(pitches) if pitches else None):
                yield problem(facts, f"is {claimed}; of the notes it is {bound(pitches) if pitches else 'none'}", "RANGE_MISMATCH")


def steps(document: Any) -> Problems:
    """The map is partial exactly where a step failed or was skipped; `cached`, `code` and `reasons` agree with each step's status."""
    known = at(document, "steps")
    if not isinstance(known, dict):
        return
    lacking = [name for name, step in known.items() if at(step, "status") in ("failed", "skipped")]
    whole = at(document, "status")
    if whole == "complete" and lacking:
        yield problem(("status",), f"is complete, but these are missing: {', '.join(map(str, lacking))}", "STATUS_MISMATCH")
    if whole == "partial" and not lacking:
        yield problem(("status",), "is partial, but no step failed", "STATUS_MISMATCH")
    for name, step in known.items():
        status, cached, code = at(step, "status"), at(step, "cached"), at(step, "code")
        if isinstance(cached, bool) and cached and status in ("ok", "failed", "skipped"):
            yield problem(("steps", name, "cached"), f"is true, but the step is {status}", "STATUS_MISMATCH")
        if cached is False and status == "cached":
            yield problem(("steps", name, "cached"), "is false, but the step is cached", "STATUS_MISMATCH")
        if isinstance(code, str) and status in ("ok", "cached", "degraded", "skipped"):
            yield problem(("steps", name, "code"), f"is {shown(code)}, but the step is {status}", "STATUS_MISMATCH")
        if status in ("failed", "skipped") and at(step, "reasons") == []:
            yield problem(("steps", name, "reasons"), f"are empty, but the step is {status}", "STATUS_MISMATCH")


def stems(document: Any) -> Problems:
    """Stems are there once each, and their paths stay beside the map."""
    seen: list[Any] = []
    for place, stem in enumerate(items(document, "stems")):
        name, path = at(stem, "name"), at(stem, "path")
        if name is not None and name in seen:
            yield problem(("stems", place, "name"), f"is {shown(name)}, for the second time", "BROKEN_REFERENCE")
        seen.append(name)
        if isinstance(path, str) and not _stays_below(path):
            yield problem(("stems", place, "path"), f"is {shown(path)}, which is not a path below the map's folder", "BROKEN_REFERENCE")


def _stays_below(path: str) -> bool:
    return path != "" and not any(bad in path for bad in ("\\", ":", "\0")) and not {"", ".", ".."} & set(path.split("/"))


RULES: Final[tuple[Callable[[Any], Problems], ...]] = (
    identity,
    beats,
    bars,
    tempo_and_meter,
    chords,
    sections,
    repeats,
    lyrics,
    notes,
    steps,
    stems,
)


def broken_rules(document: Any) -> list[Problem]:
    """Every problem of meaning of a document of any shape."""
    return [found for rule in RULES for found in rule(document)]
