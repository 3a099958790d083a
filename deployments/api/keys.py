"""Who may do what at the HTTP API: keys, of which only hashes are kept, each with a name and scopes.

On this machine no key is needed as long as there is none. Where there is one, or where the request comes from elsewhere, every call wants
one. A key is 256 random bits, so that a plain SHA-256 of it can be neither guessed nor searched for.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal

from fastapi import Depends
from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import HTTPConnection

from deployments.api.problems import ProblemError
from schemas.results import Frozen
from tasks.common.errors import ApiKeyMissing, OptionInvalid, ScopeMissing, SettingInvalid
from tasks.common.settings import Settings
from tasks.common.storage.atomic import atomic_write

Scope = Literal["read", "write", "admin"]
#: Each scope holds those before it. read: look and listen. write: send songs, and change the jobs that the key asked for. admin: change
#: everything, songs too, which are everybody's.
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
#: So that a key is recognised where it does not belong.
PREFIX: Final = "performia_"


class Key(Frozen):
    """A key as it is kept. sha256: of the whole key, in hex."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...] = ("read", "write")

    def may(self, scope: Scope) -> bool:
        """Whether the key has the scope, or one that holds it."""
        return any(SCOPES.index(own) >= SCOPES.index(scope) for own in self.scopes)


_KEYS: Final = TypeAdapter(tuple[Key, ...])
#: Whoever asks on this machine while there is no key.
ANYBODY: Final = Key(name="anybody", sha256="0" * 64, scopes=("admin",))


class KeyRing:
    """The keys that are in force: those of the settings, and those of the file that `performia api keys` writes, as it is now."""

    def __init__(self, settings: Settings):
        self._file = keys_file(settings)
        self._given = given_keys(settings)
        self._read: tuple[tuple[int, int] | None, tuple[Key, ...]] = (None, ())
        self._guard = threading.Lock()

    def keys(self) -> tuple[Key, ...]:
        """Every key. Raises SettingInvalid where the file is there and cannot be read."""
        with self._guard:
            try:
                status = self._file.stat()
            except FileNotFoundError:
                return self._given
            state = (status.st_mtime_ns, status.st_ino)
            if self._read[0] != state:
                self._read = (state, read_keys(self._file))
            return (*self._given, *self._read[1])

    def holder(self, key: str | None, at_home: bool) -> Key:
        """The key that was given. at_home: whether who asks is on this machine. Raises ProblemError of ApiKeyMissing."""
        keys = self.keys()
        if not keys and at_home:
            return ANYBODY
        if not key:
            raise ProblemError(ApiKeyMissing("This service wants a key"))
        given = key_hash(key)
        found = [kept for kept in keys if hmac.compare_digest(kept.sha256, given)]
        if not found:
            raise ProblemError(ApiKeyMissing("This service does not know the key"))
        return found[0]


def require(scope: Scope) -> Any:
    """A dependency of a call: the Key of whoever asks, who has this scope. `keys: Annotated[Key, require("read")]`."""

    def holder(connection: HTTPConnection) -> Key:
        return who_asks(connection, scope)

    return Depends(holder)


def who_asks(connection: HTTPConnection, scope: Scope) -> Key:
    """The key of a request, which is counted. Raises ProblemError of ApiKeyMissing, TooManyRequests, ScopeMissing."""
    ring: KeyRing = connection.app.state.keys
    # The last key may be revoked while the API listens beyond this machine: that opens nothing.
    key = ring.holder(given_key(connection), is_loopback((connection.scope.get("server") or ("",))[0]))
    connection.app.state.limits.request(key.name)
    if not key.may(scope):
        raise ProblemError(ScopeMissing(f"The key {key.name!r} lacks the scope {scope!r}"))
    return key


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key_hash(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def keys_file(settings: Settings) -> Path:
    """Where `performia api keys` keeps the hashes."""
    return settings.data_dir / "api-keys.json"


def read_keys(file: Path) -> tuple[Key, ...]:
    """The keys in a file; none where there is no file. Raises SettingInvalid."""
    try:
        return _KEYS.validate_json(file.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise SettingInvalid(f"{file} does not hold keys", "Delete it and make new ones with `performia api keys add`") from error


def add_key(settings: Settings, name: str, scopes: Iterable[Scope]) -> str:
    """Make a key and keep its hash; return the key, which nobody can be told again. Raises OptionInvalid."""
    key = PREFIX + secrets.token_urlsafe(32)
    try:
        made = Key(name=name, sha256=key_hash(key), scopes=tuple(scopes))
    except ValidationError as error:
        raise OptionInvalid(f"{name!r} cannot be the name of a key", "Use letters, digits, blanks, dots, _ and -") from error

    def added(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if any(kept.name == name for kept in keys):
            raise OptionInvalid(f"There is a key {name!r} already", "Revoke it first, or take another name")
        return (*keys, made)

    _change(settings, added)
    return key


def revoke_key(settings: Settings, name: str) -> None:
    """Forget a key: from then on it opens nothing. Raises OptionInvalid."""

    def without(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if not any(kept.name == name for kept in keys):
            raise OptionInvalid(f"There is no key {name!r}", "`performia api keys list` shows the names")
        return tuple(kept for kept in keys if kept.name != name)

    _change(settings, without)


def _change(settings: Settings, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    from tasks.common.locks import hold

    file = keys_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = hold(file.with_suffix(".lock"))
    try:
        keys = change(read_keys(file))
        old = os.umask(0o077)  # nobody else of the machine reads them
        try:
            atomic_write(file, json.dumps([key.model_dump(mode="json") for key in keys], indent=1).encode())
        finally:
            os.umask(old)
    finally:
        lock.release()


def given_keys(settings: Settings) -> tuple[Key, ...]:
    """The keys of the settings. Raises SettingInvalid, which says nothing of what stands there."""
    if not settings.api_keys:
        return ()
    try:
        return _KEYS.validate_json(settings.api_keys)
    except ValidationError:
        raise SettingInvalid("Not understood: PERFORMIA_API_KEYS") from None


def given_key(connection: HTTPConnection) -> str | None:
    """The key that a request brings."""
    kind, _, key = connection.headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else connection.headers.get("x-api-key")
