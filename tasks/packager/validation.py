"""What is wrong with a Song Map: every breach of the schema and of what the schema cannot say, at once, each with its JSON path."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from schemas.song_map import load_schema

#: Times are rounded to the microsecond; what is closer than this is equal.
TOLERANCE_SEC = 1e-6
#: A Song Map of a long song has a few megabytes; far more than that is not one.
MAX_BYTES = 200_000_000


@dataclass(frozen=True)
class Problem:
    """One breach. code: SCHEMA or the name of the broken rule."""

    json_path: str
    message: str
    code: str

    def __str__(self) -> str:
        return f"{self.json_path}: {self.message}"


Problems = Iterator[Problem]


def validate_file(path: Path) -> list[Problem]:
    """The problems of a file; one problem at `$` where it cannot be read as JSON."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return [Problem("$", f"the file has more than {MAX_BYTES} bytes", "NOT_A_SONG_MAP")]
        # NaN and Infinity are not JSON, but Python reads them; they are found below, with their paths.
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return [Problem("$", f"cannot be read: {error.strerror or error}", "UNREADABLE")]
    except (ValueError, RecursionError) as error:
        return [Problem("$", f"is not JSON: {error}", "NOT_JSON")]
    return validate(document)


def validate(document: Any) -> list[Problem]:
    """Every problem of a document: the schema's first, then those of meaning. Takes anything; never raises."""
    try:
        problems = [Problem(_path(error.absolute_path), _schema_message(error), "SCHEMA") for error in _validator().iter_errors(document)]
        problems += _not_finite(document, "$")
    except RecursionError:
        return [Problem("$", "is nested too deeply", "NOT_A_SONG_MAP")]
    for rule in RULES:
        # A rule sees the document as if its shape were right; where it is not, the schema has said so already.
        try:
            problems += list(rule(document))
        except (KeyError, TypeError, IndexError, AttributeError, ValueError):
            continue
    return problems


@lru_cache(maxsize=1)
def _validator() -> Draft202012Validator:
    return Draft202012Validator(load_schema())


def _path(parts: Any) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _schema_message(error: Any) -> str:
    message = str(error.message)
    return message if len(message) <= 300 else f"{message[:200]} … {message[-80:]}"


def _not_finite(value: Any, path: str) -> Problems:
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"{value} is not a number", "NOT_FINITE")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _not_finite(item, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{path}[{index}]")


# --- rules -----------------------------------------------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _spans(items: Any, path: str, duration: float, may_overlap: bool = False) -> Problems:
    """Spans have start < end, lie in the song, are sorted, and do not overlap."""
    previous_end = previous_start = -math.inf
    for index, item in enumerate(items):
        start, end = item["start"], item["end"]
        here = f"{path}[{index}]"
        if not (_is_number(start) and _is_number(end)):
            continue
        if not start < end:
            yield Problem(f"{here}.end", f"ends at {end}, not after its start {start}", "EMPTY_SPAN")
        if end > duration + TOLERANCE_SEC:
            yield Problem(f"{here}.end", f"ends at {end}, after the song's end {duration}", "OUTSIDE_SONG")
        if start < previous_start:
            yield Problem(f"{here}.start", f"starts at {start}, before the one before it", "NOT_SORTED")
        elif start < previous_end - TOLERANCE_SEC and not may_overlap:
            yield Problem(f"{here}.start", f"starts at {start}, before the one before it ends at {previous_end}", "OVERLAP")
        previous_start, previous_end = start, max(previous_end, end)


def _covers(items: Any, path: str, duration: float) -> Problems:
    """Spans follow each other without gaps from 0 to the song's end."""
    if not items:
        return
    if abs(items[0]["start"]) > TOLERANCE_SEC:
        yield Problem(f"{path}[0].start", f"starts at {items[0]['start']}, not at 0", "GAP")
    for index, (a, b) in enumerate(pairwise(items), start=1):
        if b["start"] > a["end"] + TOLERANCE_SEC:
            yield Problem(f"{path}[{index}].start", f"starts at {b['start']}; the one before ends at {a['end']}", "GAP")
    if abs(items[-1]["end"] - duration) > TOLERANCE_SEC:
        yield Problem(f"{path}[{len(items) - 1}].end", f"ends at {items[-1]['end']}, not at the song's end {duration}", "GAP")


def _increasing(times: Any, path: str, duration: float) -> Problems:
    previous = -math.inf
    for index, time in enumerate(times):
        if not _is_number(time):
            continue
        if time <= previous:
            yield Problem(f"{path}[{index}]", f"{time} is not after {previous}", "NOT_SORTED")
        if time > duration + TOLERANCE_SEC:
            yield Problem(f"{path}[{index}]", f"{time} is after the song's end {duration}", "OUTSIDE_SONG")
        previous = time


def beats_and_bars(d: Any) -> Problems:
    """Beats increase; downbeats are beats; every beat has a confidence; bars begin on downbeats and count their beats."""
    duration = d["duration_sec"]
    yield from _increasing(d["beats"], "$.beats", duration)
    yield from _increasing(d["downbeats"], "$.downbeats", duration)
    known = {round(time, 6) for time in d["beats"] if _is_number(time)}
    for index, time in enumerate(d["downbeats"]):
        if _is_number(time) and round(time, 6) not in known:
            yield Problem(f"$.downbeats[{index}]", f"{time} is not a beat", "DOWNBEAT_NOT_A_BEAT")
    if len(d["beat_conf"]) != len(d["beats"]):
        yield Problem("$.beat_conf", f"has {len(d['beat_conf'])} values for {len(d['beats'])} beats", "LENGTH_MISMATCH")


def bars(d: Any) -> Problems:
    yield from _spans(d["bars"], "$.bars", d["duration_sec"])
    beats, downbeats = d["beats"], {round(time, 6) for time in d["downbeats"]}
    for index, bar in enumerate(d["bars"]):
        first, last = bar["first_beat"], bar["first_beat"] + bar["beats"]
        if last > len(beats):
            yield Problem(f"$.bars[{index}].beats", f"refers to beat {last - 1}; there are {len(beats)}", "BROKEN_REFERENCE")
        elif abs(beats[first] - bar["start"]) > TOLERANCE_SEC:
            yield Problem(
                f"$.bars[{index}].first_beat", f"beat {first} is at {beats[first]}, the bar starts at {bar['start']}", "BROKEN_REFERENCE"
            )
        elif round(bar["start"], 6) not in downbeats:
            yield Problem(f"$.bars[{index}].start", f"{bar['start']} is not a downbeat", "BAR_NOT_ON_DOWNBEAT")


def tempo_and_meter(d: Any) -> Problems:
    yield from _increasing([point[0] for point in d["tempo"]["curve"]], "$.tempo.curve", d["duration_sec"])
    yield from _spans(d["meter"]["changes"], "$.meter.changes", d["duration_sec"])


def keys(d: Any) -> Problems:
    yield from _spans(d["key"], "$.key", d["duration_sec"])


def chords(d: Any) -> Problems:
    """Chords cover the song; their beat spans agree with their times."""
    yield from _spans(d["chords"], "$.chords", d["duration_sec"])
    yield from _covers(d["chords"], "$.chords", d["duration_sec"])
    beats = d["beats"]
    for index, chord in enumerate(d["chords"]):
        start, end = chord["start_beat"], chord["end_beat"]
        for name, beat in (("start_beat", start), ("end_beat", end)):
            if beat is not None and beat > len(beats):
                yield Problem(f"$.chords[{index}].{name}", f"is {beat}; there are {len(beats)} beats", "BROKEN_REFERENCE")
        if start is not None and end is not None and end < start:
            yield Problem(f"$.chords[{index}].end_beat", f"is {end}, before start_beat {start}", "BROKEN_REFERENCE")


def sections(d: Any) -> Problems:
    for path, items in (("$.sections", d["sections"]), ("$.levels.coarse", d["levels"]["coarse"]), ("$.levels.fine", d["levels"]["fine"])):
        yield from _spans(items, path, d["duration_sec"])
        yield from _covers(items, path, d["duration_sec"])


def repeats(d: Any) -> Problems:
    """A repetition refers to sections of its own group."""
    for index, repeat in enumerate(d["levels"]["repeats"]):
        for place, section in enumerate(repeat["sections"]):
            here = f"$.levels.repeats[{index}].sections[{place}]"
            if section >= len(d["sections"]):
                yield Problem(here, f"is {section}; there are {len(d['sections'])} sections", "BROKEN_REFERENCE")
            elif d["sections"][section]["group"] != repeat["group"]:
                yield Problem(
                    here, f"section {section} is of group {d['sections'][section]['group']}, not {repeat['group']}", "BROKEN_REFERENCE"
                )


def lyrics(d: Any) -> Problems:
    """Lines and words are sorted; words lie in their lines, syllables in their words."""
    yield from _spans(d["lyrics"], "$.lyrics", d["duration_sec"])
    for index, line in enumerate(d["lyrics"]):
        path = f"$.lyrics[{index}].words"
        yield from _spans(line["words"], path, d["duration_sec"])
        yield from _inside(line["words"], path, line)
        for place, word in enumerate(line["words"]):
            yield from _spans(word["syllables"], f"{path}[{place}].syllables", d["duration_sec"])
            yield from _inside(word["syllables"], f"{path}[{place}].syllables", word)


def _inside(items: Any, path: str, whole: Any) -> Problems:
    for index, item in enumerate(items):
        if item["start"] < whole["start"] - TOLERANCE_SEC or item["end"] > whole["end"] + TOLERANCE_SEC:
            message = f"{item['start']}–{item['end']} is not inside {whole['start']}–{whole['end']}"
            yield Problem(f"{path}[{index}]", message, "NOT_INSIDE")


def voice(d: Any) -> Problems:
    yield from _spans([{"start": a, "end": b} for a, b in d["voice"]["activity"]], "$.voice.activity", d["duration_sec"])


def notes(d: Any) -> Problems:
    """Parts are monophonic; bends lie in their note."""
    for part in ("melody", "bass"):
        path = f"$.performance.{part}"
        yield from _spans(d["performance"][part], path, d["duration_sec"])
        for index, note in enumerate(d["performance"][part]):
            for place, (time, _) in enumerate(note["bends"]):
                if not note["start"] - TOLERANCE_SEC <= time <= note["end"] + TOLERANCE_SEC:
                    yield Problem(f"{path}[{index}].bends[{place}]", f"{time} is not inside the note", "NOT_INSIDE")


def status(d: Any) -> Problems:
    """The map is partial exactly if a step failed or was skipped."""
    lacking = [name for name, step in d["steps"].items() if step["status"] in ("failed", "skipped")]
    if d["status"] == "complete" and lacking:
        yield Problem("$.status", f"is complete, but {', '.join(lacking)} did not succeed", "STATUS_MISMATCH")
    if d["status"] == "partial" and not lacking:
        yield Problem("$.status", "is partial, but every step succeeded", "STATUS_MISMATCH")


def stems(d: Any) -> Problems:
    """Stem names are unique, and their paths stay beside the map."""
    seen: set[str] = set()
    for index, stem in enumerate(d["stems"]):
        if stem["name"] in seen:
            yield Problem(f"$.stems[{index}].name", f"{stem['name']} is there twice", "BROKEN_REFERENCE")
        seen.add(stem["name"])
        path = stem["path"]
        if path is not None and (path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/") or ":" in path):
            yield Problem(f"$.stems[{index}].path", f"{path} does not stay beside the map", "BROKEN_REFERENCE")


RULES: tuple[Callable[[Any], Problems], ...] = (
    beats_and_bars,
    bars,
    tempo_and_meter,
    keys,
    chords,
    sections,
    repeats,
    lyrics,
    voice,
    notes,
    status,
    stems,
)
