"""When something is due in a watched folder without anything having changed: a file has settled, a pause is over."""

from __future__ import annotations

from flows.folder_watch.ledger import Ledger, SongState
from flows.folder_watch.rules import WatchRules


def next_moment(ledger: Ledger, rules: WatchRules) -> float:
    """The unix time at which to look again: when the first file will have settled, or may be read again, or a try is due. Else infinity."""
    since, unreadable_since = ledger.unsettled_since()
    running = len(ledger.songs(SongState.running))
    next_try = ledger.next_try() if running < rules.at_once else None
    moments = (
        None if since is None else since + rules.settle_sec,
        None if unreadable_since is None else unreadable_since + rules.pause_sec,
        next_try,
    )
    return min((moment for moment in moments if moment is not None), default=float("inf"))
