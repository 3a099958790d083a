"""The jobs at Prefect's server: runs of `analyze-song` that a deployment has. The one module of this room that talks to the server."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    ArtifactFilterType,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterIdempotencyKey,
    FlowRunFilterName,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Scheduled

from flows.folder_watch.rules import WatchRules
from flows.folder_watch.start_runs import idempotency_key_of
from flows.run.progress_log import ATTEMPT_TAG, LOG_TYPE, History, attempt_of, history_of
from schemas.api.jobs import JobState
from tasks.common.errors import DeploymentMissing, JobEnded, JobUnderWay, JobUnknown

FLOW: Final = "analyze-song"
DEPLOYMENT: Final = "analyze-song/analyze-song"
#: How long the song is, as its file says (s): a label of a run.
LENGTH_LABEL: Final = "performia.seconds"
API_TAG: Final = "api"
#: The first states in which a run waits for its turn, and those in which it has begun.
WAITING: Final = (StateType.SCHEDULED, StateType.PENDING)
UNDER_WAY: Final = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
#: A song is tried so often under the keys that the folder watch gives its tries.
_TRIES: Final = 9
#: So often is a job taken up again whose process died: as often as the folder watch does it.
MOST_CRASHES: Final = WatchRules().crashes
_CRASHES_TAG: Final = "api-crashes:"
_LINK: Final = "song-map-"
#: Where to call when the job ends: a label of a run. A tag says that the call is due, and is gone once it was made.
CALLBACK_LABEL: Final = "performia.callback"
_CALLBACK_TAG: Final = "callback"
_GIVEN_UP_TAG: Final = "callback:given-up"
_UPLOAD_TAG: Final = "upload:"
_PAGE: Final = 200
_DEPLOYMENT_SEC: Final = 5.0


@dataclass(frozen=True)
class Wanted:
    """What a job is to analyse. song: path of the file. sound: what stands for its sound. name: what the file is called."""

    song: str
    sha256: str
    sound: str
    name: str
    options: dict[str, Any]
    options_digest: str
    duration_sec: float | None
    who: str
    corrections: dict[str, Any] | None = None


@dataclass(frozen=True)
class Records:
    """What a run has left at the server: the history of its steps, and the id of its song once it has a map."""

    history: History
    song_id: str | None = None


class Runs:
    """The runs at a server."""

    def __init__(self, client: PrefectClient):
        self._client = client
        self._deployment: tuple[float, Any] | None = None
        self._flow: UUID | None = None

    async def deployment(self) -> Any:
        """The deployment that analyses songs, as it was some seconds ago. Raises DeploymentMissing."""
        if self._deployment is None or time.monotonic() - self._deployment[0] > _DEPLOYMENT_SEC:
            try:
                found = await self._client.read_deployment_by_name(DEPLOYMENT)
            except ObjectNotFound:
                raise DeploymentMissing(f"The server has no deployment {DEPLOYMENT}") from None
            self._deployment = (time.monotonic(), found)
        return self._deployment[1]

    async def read(self, job: str) -> FlowRun:
        """The run of a job. Raises JobUnknown."""
        try:
            run = await self._client.read_flow_run(UUID(job))
        except (ObjectNotFound, ValueError):
            raise JobUnknown("There is no job of this id") from None
        if run.deployment_id is None or run.flow_id != await self._flow_id():
            raise JobUnknown("There is no job of this id")
        return run

    async def records(self, runs: Sequence[FlowRun], with_history: bool = True) -> dict[UUID, Records]:
        """What these runs have left."""
        done = [run.id for run in runs if run.state is not None and run.state.is_completed()]
        parts: dict[UUID, list[Any]] = {}
        songs: dict[UUID, str] = {}
        if runs and with_history:
            logs = ArtifactFilterType(any_=[LOG_TYPE])
            for artifact in await self._artifacts([run.id for run in runs], type=logs):
                parts.setdefault(artifact.flow_run_id, []).append(artifact.data)
        if done:
            for artifact in await self._artifacts(done, key=ArtifactFilterKey(like_=f"{_LINK}%")):
                songs[artifact.flow_run_id] = str(artifact.key).removeprefix(_LINK)
        return {run.id: Records(history_of(parts.get(run.id, ()), attempt_of(run.tags)), songs.get(run.id)) for run in runs}

    async def newest(
        self,
        limit: int,
        states: Iterable[JobState] = (),
        text: str = "",
        after: datetime.datetime | None = None,
        before: datetime.datetime | None = None,
    ) -> list[FlowRun]:
        """Runs, the newest first. text: in the file's name. after, before: when they were accepted, both included."""
        chosen = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(is_null_=False),
            state=_state_filter(list(states)),
            name=FlowRunFilterName(like_=text) if text else None,
            expected_start_time=FlowRunFilterExpectedStartTime(before_=before, after_=after) if before or after else None,
        )
        return await self._client.read_flow_runs(
            flow_filter=_ours(), flow_run_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=limit
        )

    async def count(self, *states: StateType, before: datetime.datetime | None = None, who: str | None = None) -> int:
        """How many runs are in these states. before: those accepted until then. who: those of the key with this name."""
        chosen = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(is_null_=False),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=before) if before else None,
            tags=FlowRunFilterTags(all_=[who_tag(who)]) if who else None,
        )
        return await self._client.count_flow_runs(flow_filter=_ours(), flow_run_filter=chosen)

    async def count_state(self, state: JobState) -> int:
        """How many jobs are in a state."""
        chosen = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(is_null_=False), state=_state_filter([state]))
        return await self._client.count_flow_runs(flow_filter=_ours(), flow_run_filter=chosen)

    async def last_steps(self, runs: int) -> list[tuple[str, float, bool]]:
        """(step, seconds, whether it came from the cache) of the last runs that ended with a map."""
        ids = [run.id for run in await self.finished(runs)]
        if not ids:
            return []
        found = await self._client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ids)), limit=200)
        return [
            (run.name.partition("-")[0], run.total_run_time.total_seconds(), run.state_name == "Cached")
            for run in found
            if run.state is not None and run.state.is_completed()
        ]

    async def finished(self, limit: int) -> list[FlowRun]:
        """The runs that ended last with a map."""
        chosen = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(is_null_=False),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])),
        )
        return await self._client.read_flow_runs(flow_filter=_ours(), flow_run_filter=chosen, sort=FlowRunSort.END_TIME_DESC, limit=limit)

    async def same(self, wanted: Wanted) -> FlowRun | None:
        """The best run there is of the same sound with the same options, whichever door it came through: one that has not failed, or else
        the latest.
        """
        keys = [idempotency_key_of(wanted.sha256, wanted.options_digest, number) for number in range(1, _TRIES + 1)]
        by_bytes = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=keys))
        by_sound = FlowRunFilter(tags=FlowRunFilterTags(all_=[sound_tag(wanted)]))
        found = [
            run
            for some in await asyncio.gather(
                self._client.read_flow_runs(flow_filter=_ours(), flow_run_filter=by_bytes, limit=_TRIES),
                self._client.read_flow_runs(flow_filter=_ours(), flow_run_filter=by_sound, limit=_TRIES),
            )
            for run in some
            if run.deployment_id is not None
        ]
        return max(found, key=lambda run: (not _came_to_nothing(run), run.created), default=None)

    async def start(self, wanted: Wanted, earlier: FlowRun | None) -> FlowRun:
        """Make the run of a job. earlier: one of the same, whose file is gone. Raises DeploymentMissing."""
        deployment = await self.deployment()
        return await self._client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"song": wanted.song, "options": wanted.options, "expected_sha256": wanted.sha256}
            | ({} if wanted.corrections is None else {"corrections": wanted.corrections}),
            idempotency_key=_free_key(wanted, earlier),
            name=wanted.name,
            tags=[API_TAG, who_tag(wanted.who), sound_tag(wanted), f"{_UPLOAD_TAG}{wanted.sha256[:24]}"],
            labels={} if wanted.duration_sec is None else {LENGTH_LABEL: round(wanted.duration_sec, 3)},
        )

    async def cancel(self, run: FlowRun) -> None:
        """Ask for its end; what waits ends at once. Raises JobEnded."""
        state = run.state
        if state is None or has_ended(run):
            raise JobEnded("The job has ended")
        waits = state.type in (StateType.SCHEDULED, StateType.CRASHED)
        wish: State[Any] = Cancelled(message="Cancelled before it began.") if waits else Cancelling()
        await self._client.set_flow_run_state(run.id, wish, force=waits)

    async def crashed(self) -> list[FlowRun]:
        """The jobs whose process died and that are to be taken up again."""
        which = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(is_null_=False),
            tags=FlowRunFilterTags(all_=[API_TAG]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
        )
        found = await self._client.read_flow_runs(
            flow_filter=_ours(), flow_run_filter=which, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=_PAGE
        )
        return [run for run in found if not has_ended(run)]

    async def take_up(self, run: FlowRun) -> bool:
        """Let a job whose process died go on, in the same attempt, unless it does already; returns whether it is to."""
        now = await self._client.read_flow_run(run.id)
        if now.state is None or not now.state.is_crashed() or has_ended(now):
            return False
        tags = {tag for tag in now.tags if not tag.startswith(_CRASHES_TAG)} | {f"{_CRASHES_TAG}{_crashes(now) + 1}"}
        await self._client.update_flow_run(run.id, tags=sorted(tags))
        # Somebody may have cancelled it meanwhile. The server would let a cancelled run of a deployment begin again, forced or not.
        state = (await self._client.read_flow_run(run.id)).state
        if state is None or not state.is_crashed():
            return False
        await self._client.set_flow_run_state(run.id, Scheduled(name="AwaitingRetry", message="Its process died."), force=True)
        return True

    async def retry(self, run: FlowRun, who: str) -> None:
        """Let a run that has ended begin again, under the same id. who: the name of the key that asks. Raises JobUnderWay."""
        if run.state is None or not run.state.is_final():
            raise JobUnderWay("The job has not ended")
        kept = {tag for tag in run.tags if not tag.startswith((ATTEMPT_TAG, _CRASHES_TAG))}
        tags = kept | {f"{ATTEMPT_TAG}{attempt_of(run.tags) + 1}", who_tag(who)}
        if CALLBACK_LABEL in run.labels:
            tags = tags - {_GIVEN_UP_TAG} | {_CALLBACK_TAG}
        await self._client.update_flow_run(run.id, tags=sorted(tags))
        await self._client.set_flow_run_state(run.id, Scheduled(name="AwaitingRetry", message="Asked for again."), force=True)

    async def delete(self, run: FlowRun) -> None:
        """Remove a run that has ended with all it left at the server. Its artifacts first: nothing else would lead to them afterwards."""
        which = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        try:
            while artifacts := await self._client.read_artifacts(artifact_filter=which, limit=100):
                for artifact in artifacts:
                    await self._client.delete_artifact(artifact.id)
            await self._client.delete_flow_run(run.id)
        except ObjectNotFound:
            return

    async def call_at_end(self, run: FlowRun, url: str) -> None:
        """Note whom to call when the job ends; where it has, at once."""
        await self._client.update_flow_run_labels(run.id, {CALLBACK_LABEL: url})
        await self._client.update_flow_run(run.id, tags=sorted({*run.tags, _CALLBACK_TAG} - {_GIVEN_UP_TAG}))

    async def to_call(self) -> list[FlowRun]:
        """The runs that have ended and whose call is due."""
        ended = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
        which = FlowRunFilter(
            tags=FlowRunFilterTags(all_=[_CALLBACK_TAG]), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ended))
        )
        return await self._client.read_flow_runs(flow_filter=_ours(), flow_run_filter=which, limit=100)

    async def called(self, run: FlowRun, given_up: bool = False) -> None:
        """The call was made, or is given up."""
        left = {tag for tag in run.tags if tag != _CALLBACK_TAG} | ({_GIVEN_UP_TAG} if given_up else set())
        await self._client.update_flow_run(run.id, tags=sorted(left))

    async def reading(self, run: FlowRun) -> int:
        """How many runs read the upload that a run reads."""
        mine = [tag for tag in run.tags if tag.startswith(_UPLOAD_TAG)]
        if not mine:
            return 1
        which = FlowRunFilter(tags=FlowRunFilterTags(all_=mine))
        return await self._client.count_flow_runs(flow_filter=_ours(), flow_run_filter=which)

    async def _artifacts(self, runs: list[UUID], **which: Any) -> list[Any]:
        """All artifacts of these runs, a page after the other."""
        found: list[Any] = []
        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=runs), **which)
        while True:
            page = await self._client.read_artifacts(artifact_filter=chosen, sort=ArtifactSort.ID_DESC, limit=_PAGE, offset=len(found))
            found += page
            if len(page) < _PAGE:
                return found

    async def _flow_id(self) -> UUID | None:
        if self._flow is None:
            try:
                self._flow = (await self._client.read_flow_by_name(FLOW)).id
            except ObjectNotFound:
                return None
        return self._flow


def has_ended(run: FlowRun) -> bool:
    """Whether a run has ended and nobody takes it up again by themselves. One of a job whose process died is taken up some times."""
    if run.state is None or not run.state.is_final():
        return False
    return not (run.state.is_crashed() and API_TAG in run.tags and run.deployment_id is not None and _crashes(run) < MOST_CRASHES)


def _crashes(run: FlowRun) -> int:
    numbers = [tag.removeprefix(_CRASHES_TAG) for tag in run.tags if tag.startswith(_CRASHES_TAG)]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def who_tag(name: str) -> str:
    """A tag of the runs that a key asked for."""
    return f"api-key:{name}"


def sound_tag(wanted: Wanted) -> str:
    """A tag of the runs of a sound with some options, whatever tags and name its file has."""
    return f"sound:{wanted.sound[:24]}-{wanted.options_digest}"


def _free_key(wanted: Wanted, earlier: FlowRun | None) -> str:
    """The first key that no earlier run of the same bytes has."""
    first = idempotency_key_of(wanted.sha256, wanted.options_digest, 1)
    used = (earlier.idempotency_key or "") if earlier is not None else ""
    stem, _, number = used.rpartition("-")
    return f"{stem}-{int(number) + 1}" if stem == first.rpartition("-")[0] and number.isdecimal() else first


def _ours() -> FlowFilter:
    return FlowFilter(name=FlowFilterName(any_=[FLOW]))


def _came_to_nothing(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final() and not run.state.is_completed()


def _state_filter(states: list[JobState]) -> FlowRunFilterState | None:
    """The states of Prefect's that ours are. A partial run is one of the completed ones, by its name."""
    if not states:
        return None
    types = {
        JobState.queued: (StateType.SCHEDULED, StateType.PENDING, StateType.PAUSED),
        JobState.running: (StateType.RUNNING, StateType.CANCELLING),
        JobState.completed: (StateType.COMPLETED,),
        JobState.partial: (StateType.COMPLETED,),
        JobState.failed: (StateType.FAILED, StateType.CRASHED),
        JobState.cancelled: (StateType.CANCELLED,),
    }
    wanted = FlowRunFilterStateType(any_=sorted({kind for state in states for kind in types[state]}, key=str))
    if JobState.partial in states and JobState.completed not in states:
        # Of the completed ones only those of this name; the names of the others are many.
        if len(states) == 1:
            return FlowRunFilterState(type=wanted, name=FlowRunFilterStateName(any_=["Partial"]))
        return FlowRunFilterState(type=wanted, name=FlowRunFilterStateName(not_any_=["Completed"]))
    if JobState.completed in states and JobState.partial not in states:
        return FlowRunFilterState(type=wanted, name=FlowRunFilterStateName(not_any_=["Partial"]))
    return FlowRunFilterState(type=wanted)
