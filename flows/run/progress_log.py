"""The history of a run's steps at Prefect's server, so that whoever asks sees it, whatever process or machine runs the song.

It lies in artifacts without a key, one for each hundred entries. Only the process of the run writes it, and numbers the entries; a part is
always written whole. So a write that broke off may be done again, and a reader that knows the number of the last entry it saw misses none
and takes none twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from tasks.common.progress import StepEvent

#: The type of the artifacts.
LOG_TYPE: Final = "performia-progress"
#: A tag of a run that was started again says for which time: `performia-attempt:2`.
ATTEMPT_TAG: Final = "performia-attempt:"
_PART: Final = 100
#: A step that went on by less is not worth an entry.
_LEAST: Final = 0.01
_WAITS: Final = "waiting for a slot"

Kind = Literal["began", "waits", "works", "cached", "done", "failed"]


@dataclass(frozen=True)
class Entry:
    """What happened to a step. number: counts up from 1 within an attempt. at: seconds since the epoch. step: empty for the run itself."""

    number: int
    at: float
    step: str
    kind: Kind
    fraction: float
    message: str = ""

    def packed(self) -> list[Any]:
        """For JSON."""
        return [self.number, round(self.at, 3), self.step, self.kind, round(self.fraction, 3), self.message]


@dataclass(frozen=True)
class History:
    """The entries of one attempt, in order. closed: nothing follows."""

    entries: tuple[Entry, ...] = ()
    closed: bool = False

    @property
    def last(self) -> int:
        """The number of the last entry; 0 where there is none."""
        return self.entries[-1].number if self.entries else 0


def attempt_of(tags: Iterable[str]) -> int:
    """For which time a run with these tags was started: 1, or what its tag says."""
    numbers = [tag.removeprefix(ATTEMPT_TAG) for tag in tags if tag.startswith(ATTEMPT_TAG)]
    return max((int(number) for number in numbers if number.isdecimal()), default=1)


def history_of(parts: Iterable[Any], attempt: int) -> History:
    """The history in the artifacts' data. Parts of other attempts, and what is none, are left out.

    It is closed where its last part is: a process that took up a run whose process had said its last goes on after that one's.
    """
    entries: dict[int, Entry] = {}
    closed_at = 0
    for part in parts:
        if not isinstance(part, dict) or part.get("attempt") != attempt:
            continue
        numbers = [0]
        for packed in part.get("entries", ()):
            entry = Entry(*packed)
            entries[entry.number] = entry
            numbers.append(entry.number)
        if part.get("closed"):
            closed_at = max(closed_at, *numbers)
    ordered = tuple(entries[number] for number in sorted(entries))
    return History(ordered, closed=bool(ordered) and closed_at == ordered[-1].number)


class ProgressLog:
    """What the process of a run writes. `add` from any thread; `write` from one."""

    def __init__(self, run: str, attempt: int = 1):
        self._run = run
        self._attempt = attempt
        self._guard = threading.Lock()
        self._pending: list[tuple[float, str, Kind, float, str]] = []
        self._taken: list[tuple[float, str, Kind, float, str]] = []
        self._shown: dict[str, tuple[Kind, float]] = {}
        self._part: list[Entry] = []
        self._artifact: UUID | None = None
        self._next = 0
        self._written = True
        #: Set as soon as there is something to write.
        self.changed = threading.Event()
        self._append("", "began", 0.0, "")

    def add(self, event: StepEvent) -> None:
        """Note what happened, if it says more than what was noted before."""
        fraction = 1.0 if event.kind == "finished" else event.fraction or 0.0
        if event.kind == "failed":
            fraction = self._shown.get(event.step, ("works", 0.0))[1]
        self._append(event.step, _kind(event), fraction, event.message if event.kind != "finished" else "")

    def write(self, client: Any, closed: bool = False) -> None:
        """Write what is new. Raises what the client raises; what could not be written then is written the next time."""
        if self._next == 0:
            self._go_on(client)
        with self._guard:
            self._taken += self._pending
            self._pending = []
            self.changed.clear()
        while self._taken:
            if len(self._part) >= _PART:
                if not self._written:
                    self._put(client, False)
                self._part, self._artifact = [], None
            at, step, kind, fraction, message = self._taken.pop(0)
            self._part.append(Entry(self._next, at, step, kind, fraction, message))
            self._next += 1
            self._written = False
        if not self._written or closed:
            self._put(client, closed)

    def _append(self, step: str, kind: Kind, fraction: float, message: str) -> None:
        with self._guard:
            was, at = self._shown.get(step, ("", 0.0))
            if kind == was and fraction - at < _LEAST:
                return
            self._shown[step] = (kind, fraction)
            if kind == "works" and self._pending and self._pending[-1][1:3] == (step, kind):
                self._pending.pop()  # nobody saw it
            self._pending.append((time.time(), step, kind, fraction, message[:500]))
        self.changed.set()

    def _go_on(self, client: Any) -> None:
        """Number on where an earlier process of this attempt stopped."""
        from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType

        which = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(self._run)]), type=ArtifactFilterType(any_=[LOG_TYPE]))
        earlier = history_of((artifact.data for artifact in client.read_artifacts(artifact_filter=which)), self._attempt)
        self._next = earlier.last + 1

    def _put(self, client: Any, closed: bool) -> None:
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        data = {"attempt": self._attempt, "entries": [entry.packed() for entry in self._part], "closed": closed}
        if self._artifact is None:  # one whose answer was lost is made a second time, which a reader does not mind
            made = client.create_artifact(ArtifactCreate(type=LOG_TYPE, data=data, flow_run_id=UUID(self._run)))
            self._artifact = made.id
        else:
            client.update_artifact(self._artifact, ArtifactUpdate(data=data))
        self._written = True


def _kind(event: StepEvent) -> Kind:
    if event.kind == "failed":
        return "failed"
    if event.kind == "finished":
        return "cached" if event.message == "cached" else "done"
    return "waits" if event.message.startswith(_WAITS) else "works"
