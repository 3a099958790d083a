"""Keys and limits of the HTTP API."""

from __future__ import annotations

import json
import stat
import sys

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from deployments.api.app import create_app
from deployments.api.keys import ANYBODY, KeyRing, add_key, is_loopback, key_hash, keys_file, revoke_key
from deployments.api.limits import Limits
from deployments.api.problems import ProblemError
from deployments.api.process import refuse_open_door
from deployments.cli.main import app
from tasks.common.errors import ApiKeyNeeded, OptionInvalid, SettingInvalid
from tasks.common.settings import get_settings


def test_without_a_key_anybody_on_this_machine_may_do_everything() -> None:
    holder = KeyRing(get_settings()).holder(None, at_home=True)
    assert holder is ANYBODY
    assert holder.may("admin")


def test_revoking_the_last_key_opens_nothing_to_others() -> None:
    key = add_key(get_settings(), "phone", ["read"])
    app = create_app(get_settings().model_copy(update={"allowed_hosts": ("nas",)}))
    here, elsewhere = (TestClient(app, base_url=f"http://{host}:8000") for host in ("127.0.0.1", "nas"))
    asked = {"authorization": f"Bearer {key}"}
    assert [client.get("/v1/options", headers=asked).status_code for client in (here, elsewhere)] == [200, 200]
    revoke_key(get_settings(), "phone")
    for headers in ({}, asked):
        assert [client.get("/v1/options", headers=headers).status_code for client in (here, elsewhere)] == [200, 401]


def test_a_key_opens_what_its_scope_holds_until_it_is_revoked() -> None:
    ring = KeyRing(get_settings())
    key = add_key(get_settings(), "phone", ["write"])
    holder = ring.holder(key, at_home=False)
    assert [holder.may(scope) for scope in ("read", "write", "admin")] == [True, True, False]
    for wrong in (None, "", key[:-1], f"{key}x", key.upper(), "\udce9"):
        with pytest.raises(ProblemError, match="API_KEY_MISSING"):
            ring.holder(wrong, at_home=True)
    with pytest.raises(OptionInvalid, match="already"):
        add_key(get_settings(), "phone", ["read"])
    revoke_key(get_settings(), "phone")
    assert ring.holder(key, at_home=True) is ANYBODY  # there is none now
    with pytest.raises(OptionInvalid, match="no key"):
        revoke_key(get_settings(), "phone")


def test_only_hashes_are_kept_and_nobody_else_reads_them() -> None:
    key = add_key(get_settings(), "phone", ["read"])
    file = keys_file(get_settings())
    assert key not in file.read_text()
    assert key_hash(key) in file.read_text()
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keys_of_the_settings_count_too_and_what_is_none_is_not_told() -> None:
    given = json.dumps([{"name": "nas", "sha256": key_hash("s3cret"), "scopes": ["admin"]}])
    assert KeyRing(get_settings().model_copy(update={"api_keys": given})).holder("s3cret", at_home=False).name == "nas"
    with pytest.raises(SettingInvalid) as refused:
        KeyRing(get_settings().model_copy(update={"api_keys": "s3cret"}))
    assert "s3cret" not in str(refused.value)
    keys_file(get_settings()).parent.mkdir(parents=True, exist_ok=True)
    keys_file(get_settings()).write_text("{")
    with pytest.raises(SettingInvalid):
        KeyRing(get_settings()).keys()


def test_the_command_makes_lists_and_revokes_keys() -> None:
    runner = CliRunner()
    made = runner.invoke(app, ["api", "keys", "add", "phone", "--scope", "read"])
    assert KeyRing(get_settings()).holder(made.stdout.strip(), at_home=False).name == "phone"
    assert json.loads(runner.invoke(app, ["api", "keys", "list", "--json"]).stdout) == [{"name": "phone", "scopes": ["read"]}]
    assert "phone" in runner.invoke(app, ["api", "keys", "list"]).stdout
    assert isinstance(runner.invoke(app, ["api", "keys", "add", "x", "--scope", "all"]).exception, OptionInvalid)
    assert runner.invoke(app, ["api", "keys", "revoke", "phone"]).exit_code == 0
    assert KeyRing(get_settings()).keys() == ()


def test_beyond_this_machine_it_does_not_listen_without_a_key() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        assert is_loopback(host)
        refuse_open_door(host)
    for host in ("0.0.0.0", "::", "192.168.1.4", "nas"):
        with pytest.raises(ApiKeyNeeded):
            refuse_open_door(host)
    add_key(get_settings(), "phone", ["read"])
    refuse_open_door("0.0.0.0")


def test_requests_are_counted_by_key_and_come_back_with_time() -> None:
    now = 0.0
    limits = Limits(get_settings().model_copy(update={"api_requests_per_minute": 60}), clock=lambda: now)
    for _ in range(60):
        limits.request("a")
    limits.request("b")
    with pytest.raises(ProblemError, match="TOO_MANY_REQUESTS") as refused:
        limits.request("a")
    assert int(refused.value.headers["retry-after"]) >= 1
    now += float(refused.value.headers["retry-after"])
    limits.request("a")


def test_uploads_at_once_are_counted_and_end() -> None:
    limits = Limits(get_settings().model_copy(update={"api_uploads_at_once": 1}))
    with limits.upload("a"), limits.upload("b"), pytest.raises(ProblemError, match="TOO_MANY_REQUESTS"):
        limits.upload("a").__enter__()
    with limits.upload("a"):
        pass
