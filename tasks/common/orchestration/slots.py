"""Slots of scarce resources: so many steps at once use the GPU, and no more, however many songs are analysed.

A slot is one of a Prefect global concurrency limit named like the tag that a task carries (`gpu`, `cpu-heavy`, ...), so that it is seen and
changed in the UI, and holds for all machines of one server. It is taken inside the task, after the cache look-up: Prefect's own tag limits
are taken before it, so a cached step would wait for nothing.

Prefect frees the slot of a killed process when its lease ends, a minute or two later. Here every lease is also a locked file of this
machine: the kernel unlocks it with the process, and whoever waits next gives the slot back at once. One process a machine asks the server
at short intervals, the others queue behind it, so a free slot is taken within half a second.

Each limit has a queue of its own, first come, first served. A step takes its slots one after the other, every step in the same order, so
that no two wait for each other: `memory-heavy`, `gpu`, `cpu-heavy`. Who waits for the rarer one holds nothing that others could use.
"""

from __future__ import annotations

import contextvars
import functools
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import MissingContextError
from prefect.logging.loggers import get_logger, get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from tasks.common.errors import ApiUnreachable
from tasks.common.locks import Lock, hold, try_to_hold
from tasks.common.orchestration.prefect_private import take_slots
from tasks.common.settings import get_settings
from tasks.common.shown_url import shown_failure

_LEASE_SEC: Final = 120.0
_RENEW_SEC: Final = 30.0
_POLL_SEC: Final = 0.3
#: After how many refusals the leases of dead processes are looked for again.
_LOOK_FOR_DEAD: Final = 5
_GIVE_UP_SEC: Final = 120.0
_ABSENT_SEC: Final = 30.0

#: When a limit was last found absent, by server; it is not asked for again for a while.
_absent: dict[tuple[str, str], float] = {}
#: Servers that did not answer for so long that nobody waits for them again, until they do.
_given_up: set[str] = set()
_warned: set[str] = set()


@contextmanager
def slots(names: Sequence[str], waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold one slot of each of these limits. Waits as long as it takes; a limit that the server does not have limits nothing.

    waiting: called once if no slot is free at once. Raises ApiUnreachable if the server cannot be asked for two minutes.
    """
    wanted = sorted(set(names), reverse=True)
    waits = functools.cache(waiting)
    with ExitStack() as stack:
        client = stack.enter_context(get_client(sync_client=True)) if wanted else None
        for name in wanted:
            assert client is not None
            limit = (str(client.api_url), name)
            if time.monotonic() - _absent.get(limit, -_ABSENT_SEC) < _ABSENT_SEC:
                continue
            lease = _acquire(client, name, waits)
            if lease is None:
                _absent[limit] = time.monotonic()
            else:
                stack.callback(_release, client, lease)
                stack.enter_context(_renewed(lease))
        yield


class Lease:
    """A slot held at the server, and the locked file that says that their holder lives."""

    def __init__(self, lease_id: str, path: Path, lock: Lock):
        self.id = lease_id
        self.path = path
        self.lock = lock


def slots_dir() -> Path:
    return get_settings().data_dir / "slots"


def free_dead_leases(client: SyncPrefectClient) -> int:
    """Give back the slots of processes of this machine that died. Returns of how many."""
    freed = 0
    for path in slots_dir().glob("*.lease"):
        lock = None
        with suppress(OSError):
            lock = try_to_hold(path)
        if lock is None:
            continue
        try:
            client.release_concurrency_slots_with_lease(uuid.UUID(path.stem))
            path.unlink(missing_ok=True)
            freed += 1
        except (httpx.HTTPError, ValueError):
            continue  # asked again later; the lease also ends by itself
        finally:
            lock.release()
    return freed


def _acquire(client: SyncPrefectClient, name: str, waiting: Callable[[], None]) -> Lease | None:
    """The lease of a slot of a limit; None where the server lacks the limit."""
    folder = slots_dir()
    folder.mkdir(parents=True, exist_ok=True)
    server = str(client.api_url)
    # First come, first served: only one thread of this machine asks for a limit's slots at a time. It waits itself, and not the client too.
    with hold(folder / f"{name}.queue"), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
        refused = 0
        unreachable_since: float | None = None
        while True:
            try:
                lease, found = take_slots(client, (name,), _LEASE_SEC)
                _given_up.discard(server)
                return _hold(lease, found, name, folder)
            except httpx.HTTPStatusError as error:
                if error.response.status_code == httpx.codes.LOCKED:
                    unreachable_since = None
                    _given_up.discard(server)
                elif error.response.is_server_error:  # it is too busy
                    unreachable_since = _still_waiting(server, unreachable_since, error)
                else:
                    raise
            except httpx.TransportError as error:
                unreachable_since = _still_waiting(server, unreachable_since, error)
            if refused == 0:
                waiting()
            if refused % _LOOK_FOR_DEAD == 0:
                free_dead_leases(client)
            refused += 1
            time.sleep(_POLL_SEC)


def _still_waiting(server: str, since: float | None, error: Exception) -> float:
    """Since when the server has not answered. Raises ApiUnreachable after a while, and at once for one that was given up before."""
    since = since or time.monotonic()
    if server in _given_up or time.monotonic() - since > _GIVE_UP_SEC:
        _given_up.add(server)
        raise ApiUnreachable(f"The Prefect server does not answer ({shown_failure(error)})") from error
    return since


def _hold(lease: str, found: set[str], name: str, folder: Path) -> Lease | None:
    if name not in found:
        _warn_of_absent(name)
        return None
    path = folder / f"{lease}.lease"
    return Lease(lease, path, hold(path))


def _release(client: SyncPrefectClient, lease: Lease) -> None:
    try:
        client.release_concurrency_slots_with_lease(uuid.UUID(lease.id))
        lease.path.unlink(missing_ok=True)
    except httpx.HTTPError:
        get_logger(__name__).warning("could not give a slot back; the next one to wait for it will", exc_info=True)
    finally:
        lease.lock.release()


@contextmanager
def _renewed(lease: Lease) -> Iterator[None]:
    """Renew a lease while the block runs. A server that does not answer for a while is asked again: the work goes on."""
    done = threading.Event()

    def renew() -> None:
        with get_client(sync_client=True) as client:
            while not done.wait(_RENEW_SEC):
                try:
                    client.renew_concurrency_lease(uuid.UUID(lease.id), _LEASE_SEC)
                except httpx.HTTPError as error:
                    get_logger(__name__).warning("could not renew the lease of a slot: %s", shown_failure(error))

    # The settings of this context (the server's address) go into the thread.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(renew,), name="slot-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _warn_of_absent(name: str) -> None:
    if name not in _warned:
        _warned.add(name)
        _logger().warning("The server has no limit named %s: nothing is limited. `performia setup` makes it.", name)


def _logger() -> Any:
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger(__name__)
