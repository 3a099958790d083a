"""The folder watch: songs dropped into the inbox become runs of `analyze-song`, once each.

    dead runs ended ──► ended runs: done, again later, or failed/ ──► look: what is new and has settled ──► start what is due

Scheduled: every look is a run of its own, short, and goes on where the last one was. `tasks.folder_watch` decides; this wires it to the
server.
"""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
import time
from pathlib import Path

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows.life import LIFE, confine
from flows.runs import deployment_id, ends_of, start_run
from flows.watch_view import look_state, watch_run_name
from schemas.options import AnalysisOptions
from schemas.results import digest_of
from tasks.common.liveness import reap_dead_runs
from tasks.common.settings import get_settings
from tasks.folder_watch.fates import give_up_unreadable, move_finished, settle_fate
from tasks.folder_watch.ledger import Ledger, SongRecord, SongState, opened
from tasks.folder_watch.look import Looked, look
from tasks.folder_watch.report import WatchReport
from tasks.folder_watch.rules import WatchRules
from tasks.folder_watch.starts import options_digest, place_in, songs_to_start


@flow(name="watch-folder", flow_run_name=watch_run_name, **LIFE)
def watch_folder(
    inbox: Path | None = None,
    outbox: Path | None = None,
    options: AnalysisOptions = AnalysisOptions(),  # noqa: B008 (frozen)
    rules: WatchRules = WatchRules(),  # noqa: B008 (frozen)
) -> WatchReport:
    """Look into the inbox once: follow the runs that were started, accept what has settled, start what is due.

    Args:
        inbox: The watched folder. Empty: PERFORMIA_INBOX_DIR.
        outbox: Where the songs' folders go; it mirrors the inbox. Empty: PERFORMIA_OUTPUT_DIR.
        options: How the songs are analysed.
        rules: How the folder is watched.

    Raises FolderNotFound, FolderIsFile, FolderUnreadable, DeploymentMissing, StorageError.
    """
    confine(inbox, outbox)
    inbox, outbox = (inbox or get_settings().inbox).absolute(), (outbox or get_settings().songs_dir).absolute()
    if inbox == get_settings().inbox.absolute():
        inbox.mkdir(parents=True, exist_ok=True)
    dead = reap_dead_runs()
    with (
        opened(get_settings().data_dir / "watch" / f"{digest_of(str(inbox))[:16]}.sqlite") as ledger,
        get_client(sync_client=True) as client,
    ):
        if ledger is None:
            return look_state(WatchReport(inbox=str(inbox), busy=True))
        ended = follow(client, ledger, inbox, rules)
        looked = look(ledger, inbox, options_digest(options), rules)
        set_aside(ledger, inbox, looked, rules)
        started = start(client, ledger, inbox, outbox, options, rules)

        def name(path: str) -> str:
            return str(Path(path).relative_to(inbox))

        return look_state(
            WatchReport(
                inbox=str(inbox),
                files=looked.files,
                unsettled=tuple(map(name, looked.unsettled)),
                skipped=tuple((name(str(skipped.path)), skipped.reason) for skipped in looked.skipped),
                accepted=tuple(name(song.path) for song in looked.accepted),
                started=tuple(name(song.path) for song in started),
                ended=tuple((name(song.path), f"{song.state}: {song.message}" if song.message else song.state.value) for song in ended),
                dead_runs=tuple(run.name for run in dead),
                songs=ledger.count(),
            )
        )


def follow(client: SyncPrefectClient, ledger: Ledger, inbox: Path, rules: WatchRules) -> list[SongRecord]:
    """Enter how the runs under way have ended; return the songs' new records."""
    running = {song.run_id: song for song in ledger.songs(SongState.running) if song.run_id}
    ends = ends_of(client, running)
    fates = [settle_fate(ledger, inbox, running[run], end, rules, time.time()) for run, end in ends.items()]
    return [song for song in fates if song is not None]


def set_aside(ledger: Ledger, inbox: Path, looked: Looked, rules: WatchRules) -> None:
    """Move what needs no run: files that cannot be read, and further copies of what is done."""
    for record in looked.unreadable:
        if record.problems >= rules.attempts:
            give_up_unreadable(ledger, inbox, record)
    if rules.move_done:
        for song in looked.done_before:
            move_finished(ledger, inbox, song)


def start(
    client: SyncPrefectClient, ledger: Ledger, inbox: Path, outbox: Path, options: AnalysisOptions, rules: WatchRules
) -> list[SongRecord]:
    """Start the songs that are due. A watcher killed in between starts none of them twice: the key of a try stays."""
    songs = songs_to_start(ledger, rules, time.time())
    if songs:
        deployment = deployment_id(client)
        for song in songs:
            run = start_run(client, deployment, song, options, place_in(outbox, inbox, song))
            ledger.put_song(song.to(SongState.running, time.time(), run_id=run))
    return songs
