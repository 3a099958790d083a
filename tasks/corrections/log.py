"""The log of a song's corrections: adding to it, joining two that grew apart, and what of it counts. Pure."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence

from schemas import corrections as c
from schemas import song_map as m
from schemas.song_folder import CORRECTIONS_NAME
from tasks.common.errors import CorrectionsInvalid

#: Beats by which another decode is set beside this one.
_BEATS_KEPT = 16


def effective(operations: Sequence[c.Operation]) -> tuple[c.Operation, ...]:
    """The operations that count: neither taken back nor taking back, in their order."""
    off: set[str] = set()
    for operation in reversed(operations):
        if isinstance(operation.change, c.Undo) and operation.id not in off:
            off.add(operation.change.operation)
    return tuple(operation for operation in operations if operation.id not in off and not isinstance(operation.change, c.Undo))


def taken_back(operations: Sequence[c.Operation]) -> frozenset[str]:
    """The ids of what does not count."""
    counting = {operation.id for operation in effective(operations)}
    return frozenset(operation.id for operation in operations if operation.id not in counting and not isinstance(operation.change, c.Undo))


def joined(song: str, *logs: c.Corrections | None) -> c.Corrections:
    """Logs of one song as one, kept for it: each operation once, in the order of their times; of one second, as they stand.

    Raises CorrectionsInvalid where they are more together than one log takes.
    """
    known: dict[str, c.Operation] = {}
    for log in logs:
        for operation in log.operations if log is not None else ():
            known.setdefault(operation.id, operation)
    if len(known) > c.MOST_OPERATIONS:
        raise CorrectionsInvalid(
            f"The corrections of {song} are {len(known)} together, and one log takes at most {c.MOST_OPERATIONS}",
            f"Take out of one {CORRECTIONS_NAME} what is no longer wanted, or move that file away",
        )
    return c.Corrections(song=song, operations=tuple(sorted(known.values(), key=lambda operation: operation.time)))


def with_changes(log: c.Corrections, song_map: m.SongMap, changes: Sequence[tuple[c.Change, str | None]], author: str) -> c.Corrections:
    """The log with more in it. changes: each with what it replaces, as it is shown. song_map: in which that was seen."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Of what is said within one second, and of clocks that go back, the order is that of the log.
    time = max([now, *(operation.time for operation in log.operations[-1:])])
    near = sample_of_beats(song_map.beats)
    made = tuple(
        c.Operation(
            id=secrets.token_hex(6), author=author[:200], time=time, song=song_map.id, replaces=was and was[:1000], near=near, change=change
        )
        for change, was in changes
    )
    return log.model_copy(update={"operations": (*log.operations, *made)})


def replaced_by(change: c.Change) -> str | None:
    """What a change replaces, as far as it says so itself."""
    for name in ("word", "chord", "section", "note"):
        place = getattr(change, name, None)
        if place is not None:
            return str(getattr(place, "text", None) or getattr(place, "label", None) or getattr(place, "midi", None))
    if isinstance(change, c.TempoHalved | c.TempoDoubled):
        return f"{change.bpm:.4g} bpm"
    return None


def sample_of_beats(beats: Sequence[float], most: int = _BEATS_KEPT) -> tuple[float, ...]:
    """Some beats of a song, from its start to its end."""
    step = max(1, -(-len(beats) // most))
    return tuple(beats[::step])


def grid_corrections(song: str, operations: Sequence[c.Operation]) -> c.GridCorrections | None:
    """What the steps that read beats and keys are given; None where nobody put those right."""
    found = tuple(
        c.GridOperation(song=operation.song, near=() if operation.song == song else operation.near, change=operation.change)
        for operation in effective(operations)
        if isinstance(operation.change, c.GridChange)
    )
    return c.GridCorrections(song=song, operations=found) if found else None


def given_lyrics(operations: Sequence[c.Operation]) -> str | None:
    """The lyrics that a person gave last; None where nobody did."""
    found = [operation.change.text for operation in effective(operations) if isinstance(operation.change, c.LyricsGiven)]
    return found[-1] if found else None
