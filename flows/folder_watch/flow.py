"""The folder watch: songs dropped into the inbox become runs of `analyze-song`, once each.

    dead runs ended ──► ended runs: done, again later, or failed/ ──► look: what is new and has settled ──► start what is due

Scheduled: a run stays for about an hour and looks when something has changed or is due; the next run goes on where it was. With
`stay_sec=0` it looks once. The other modules of this room decide; this one wires them to the server.
"""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.runtime import deployment

from flows.folder_watch.changes import Changes
from flows.folder_watch.endings import give_up, give_up_unreadable, move_ended, move_finished
from flows.folder_watch.ledger import Ledger, SongRecord, SongState, opened
from flows.folder_watch.moments import next_moment
from flows.folder_watch.page import WatchPage, watch_run_name
from flows.folder_watch.report import WatchReport
from flows.folder_watch.rules import WatchRules
from flows.folder_watch.scan import InboxScan, scan_inbox
from flows.folder_watch.server_runs import deployment_id, ends_of, start_run
from flows.folder_watch.start_runs import options_digest, place_in, songs_to_start
from flows.run.hooks import LIFE, confine
from flows.run.scheduled_runs import name_scheduled, next_start, scheduled_runs
from schemas.options import AnalysisOptions
from schemas.results import digest_of
from tasks.common.errors import AudioPathRefused
from tasks.common.orchestration.liveness import DeadRun, reap_dead_runs
from tasks.common.planning import refuse_empty_ranges
from tasks.common.settings import get_settings
from tasks.ingest.file_names import as_text

logger = logging.getLogger(__name__)

#: How often the server is asked whether a run has ended, and whose process died, while songs are analysed.
_FOLLOW_SEC: Final = 2.0
_REAP_SEC: Final = 10.0
#: Looks are at least so far apart, and up to so far where each takes long: while something is copied, changes never end.
_REST_SEC: Final = 0.5
_LONG_REST_SEC: Final = 2.0
_REST_SHARE: Final = 10.0
#: The next run is made ready so long before its time; only one may be under way.
_HAND_OVER_SEC: Final = 20.0


@flow(name="watch-folder", flow_run_name=watch_run_name, **LIFE)
def watch_folder(
    inbox: Path | None = None,
    outbox: Path | None = None,
    options: AnalysisOptions = AnalysisOptions(),  # noqa: B008 (frozen)
    rules: WatchRules = WatchRules(),  # noqa: B008 (frozen)
    stay_sec: float = 0.0,
) -> WatchReport:
    """Watch the inbox: follow the runs that were started, accept what has settled, start what is due.

    Args:
        inbox: The watched folder. Empty: PERFORMIA_INBOX_DIR.
        outbox: Where the songs' folders go; it mirrors the inbox. Empty: PERFORMIA_OUTPUT_DIR.
        options: How the songs are analysed.
        rules: How the folder is watched.
        stay_sec: For how many seconds, or until shortly before the next scheduled run. 0: look once.

    Raises FolderNotFound, FolderIsFile, FolderUnreadable, DeploymentMissing, OptionInvalid, StorageError.
    """
    refuse_empty_ranges(options)
    confine(inbox, outbox)
    inbox, outbox = (inbox or get_settings().inbox).absolute(), (outbox or get_settings().songs_dir).absolute()
    if inbox == get_settings().inbox.absolute():
        inbox.mkdir(parents=True, exist_ok=True)
    page = WatchPage(as_text(inbox))
    with (
        opened(get_settings().data_dir / "watch" / f"{digest_of(str(inbox))[:16]}.sqlite") as ledger,
        get_client(sync_client=True) as client,
    ):
        if ledger is None:
            return page.ended(busy=True)
        watch = _Watch(client, ledger, inbox, outbox, options, rules)
        if stay_sec > 0:
            _stay(watch, page, stay_sec)
        else:
            page.tell(watch.look(time.sleep))
    return page.ended()


def _stay(watch: "_Watch", page: WatchPage, stay_sec: float) -> None:
    """Look whenever something has changed or is due, until it is time for the next scheduled run."""
    until = time.time() + stay_sec
    with Changes(watch.inbox, leave_out=watch.rules.own_folders(watch.inbox)) as changes:
        while time.time() < until:
            try:
                if watch.is_due(changes):
                    changes.forget()
                    page.tell(watch.look(sleep=lambda _: None), stays=True)
                    until = min(until, _hand_over(watch.client))
            except httpx.HTTPError as error:
                # Nothing is lost: the ledger says what was asked for.
                logger.warning("the Prefect server does not answer and is asked again: %r", error)
                time.sleep(_FOLLOW_SEC)
            changes.wait(min(until - time.time(), watch.idle_sec(changes)))
            time.sleep(watch.rest_sec())


def _hand_over(client: SyncPrefectClient) -> float:
    """The unix time at which this run must make room for the next scheduled one. Scheduled runs get names on the way."""
    runs = scheduled_runs(client)
    name_scheduled(client, runs)
    following = next_start(runs, deployment.id, after=time.time()) if deployment.id else None
    return float("inf") if following is None else following - _HAND_OVER_SEC


@dataclass
class _Watch:
    """One run's watch of a folder."""

    client: SyncPrefectClient
    ledger: Ledger
    inbox: Path
    outbox: Path
    options: AnalysisOptions
    rules: WatchRules
    looked_at: float = 0.0
    look_took: float = 0.0
    reaped_at: float = 0.0

    def is_due(self, changes: Changes) -> bool:
        """Whether there is a reason to look: something changed, a moment has come, or a run has ended."""
        now = time.time()
        if changes.wait(0) or now >= self._moment(changes):
            return True
        if now >= self.reaped_at + _REAP_SEC and self._under_way():
            self._reap()
        return bool(ends_of(self.client, self._running()))

    def idle_sec(self, changes: Changes) -> float:
        """Seconds until `is_due` is to be asked again although nothing changes."""
        left = self._moment(changes) - time.time()
        return max(0.0, min(left, _FOLLOW_SEC) if self._under_way() else left)

    def rest_sec(self) -> float:
        """Seconds that must go by before the next look."""
        rest = min(max(_REST_SEC, _REST_SHARE * self.look_took), _LONG_REST_SEC)
        return max(0.0, self.looked_at + rest - time.time())

    def look(self, sleep: Callable[[float], None]) -> WatchReport:
        """One look, and all that follows from it."""
        began = time.time()
        dead = self._reap()
        ended = follow(self.client, self.ledger, self.inbox, self.rules)
        scanned = scan_inbox(self.ledger, self.inbox, options_digest(self.options), self.rules, sleep=sleep)
        set_aside(self.ledger, self.inbox, scanned, self.rules)
        started = start(self.client, self.ledger, self.inbox, self.outbox, self.options, self.rules)
        ended += [song for song in started if song.state is SongState.failed]
        self.looked_at = time.time()
        self.look_took = self.looked_at - began

        def name(path: str) -> str:
            return as_text(Path(path).relative_to(self.inbox))

        return WatchReport(
            inbox=as_text(self.inbox),
            files=scanned.files,
            unsettled=tuple(map(name, scanned.unsettled)),
            skipped=tuple((name(str(skipped.path)), skipped.reason) for skipped in scanned.skipped),
            accepted=tuple(name(song.path) for song in scanned.accepted),
            started=tuple(name(song.path) for song in started if song.state is SongState.running),
            ended=tuple((name(song.path), f"{song.state}: {song.message}" if song.message else song.state.value) for song in ended),
            dead_runs=tuple(run.name for run in dead),
            songs=self.ledger.count(),
        )

    def _moment(self, changes: Changes) -> float:
        """When to look although nothing changes."""
        return min(next_moment(self.ledger, self.rules), self.looked_at + changes.every_sec)

    def _running(self) -> list[str]:
        return [song.run_id for song in self.ledger.songs(SongState.running) if song.run_id]

    def _under_way(self) -> bool:
        return bool(self.ledger.songs(SongState.running, SongState.starting))

    def _reap(self) -> list[DeadRun]:
        self.reaped_at = time.time()
        return reap_dead_runs(self.client)


def follow(client: SyncPrefectClient, ledger: Ledger, inbox: Path, rules: WatchRules) -> list[SongRecord]:
    """Enter how the runs under way have ended; return the songs' new records."""
    running = {song.run_id: song for song in ledger.songs(SongState.running) if song.run_id}
    ends = ends_of(client, running)
    records = [move_ended(ledger, inbox, running[run], end, rules, time.time()) for run, end in ends.items()]
    return [song for song in records if song is not None]


def set_aside(ledger: Ledger, inbox: Path, scanned: InboxScan, rules: WatchRules) -> None:
    """Move what needs no run: files that cannot be read, and further copies of what is done."""
    for record in scanned.unreadable:
        if record.problems >= rules.attempts:
            give_up_unreadable(ledger, inbox, record)
    if rules.move_done:
        for song in scanned.done_before:
            move_finished(ledger, inbox, song)


def start(
    client: SyncPrefectClient, ledger: Ledger, inbox: Path, outbox: Path, options: AnalysisOptions, rules: WatchRules
) -> list[SongRecord]:
    """Start the songs that are due, and return their new records: running, or failed where no run can be made of a song.

    A watcher killed in between starts none of them twice: the key of a try stays.
    """
    songs = songs_to_start(ledger, rules, time.time())
    records = []
    if songs:
        deployment = deployment_id(client)
        for song in songs:
            try:
                run = start_run(client, deployment, song, options, place_in(outbox, inbox, song))
            except AudioPathRefused as error:  # no link to its name can be made: the others go on
                records.append(give_up(ledger, inbox, replace(song, message=str(error)), time.time()))
                continue
            records.append(song.to(SongState.running, time.time(), run_id=run))
            ledger.put_song(records[-1])
    return records
