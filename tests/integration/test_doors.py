"""What strangers get from our servers: pages of other origins in this machine's browser, rebound names, other users of the machine.

Against `performia serve`, against the private API of a running `performia analyze`, and against the server of the songs' files; with plain
requests, and as an evil page in a real browser.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from browser import BROWSER
from service import Service, free_port, tones
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from deployments.checkup.server import check_exposure

EVIL = "http://evil.example"


@dataclass(frozen=True)
class Target:
    """A server that a stranger talks to. auth: what only its owner knows. page: something of it that a browser could show."""

    url: str
    auth: tuple[str, str] | None
    page: str | None = None

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    @property
    def socket(self) -> str:
        return self.url.replace("http://", "ws://")

    def flows(self) -> set[str]:
        """The names of all flows that the server knows, as its owner sees them."""
        with httpx.Client(base_url=self.url, auth=self.auth, timeout=30) as client:
            answer = client.post("/flows/filter", json={}, headers=csrf(client))
            answer.raise_for_status()
            return {flow["name"] for flow in answer.json()}

    def events(self) -> str:
        """All that the server tells its owner of events."""
        with httpx.Client(base_url=self.url, auth=self.auth, timeout=30) as client:
            answer = client.post("/events/filter", json={}, headers=csrf(client))
            answer.raise_for_status()
            return answer.text


def csrf(client: httpx.Client) -> dict[str, str]:
    """As Prefect's client proves that it is no page."""
    answer = client.get("/csrf-token", params={"client": "tests"})
    return {"Prefect-Csrf-Client": "tests", "Prefect-Csrf-Token": answer.json()["token"]} if answer.status_code == httpx.codes.OK else {}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[Service]:
    """`performia serve` with a song that has a Song Map."""
    folder = tmp_path_factory.mktemp("doors")
    shutil.copytree(prefect_database, folder / "prefect")
    found = Service(folder, folder / "prefect", PERFORMIA_ALLOWED_HOSTS='["music.example.org"]')
    try:
        found.start()
        run = found.run("analyze-song/analyze-song", song=str(tones(found.inbox / "song.wav", 220)))
        assert found.ended(run)["state_type"] == "COMPLETED"
        yield found
    finally:
        found.kill_all()


@pytest.fixture(scope="module")
def files(service: Service) -> str:
    """The URL of the song's folder."""
    (listening,) = {
        connection.laddr.port
        for connection in psutil.Process(service.process.pid).net_connections("inet")  # type: ignore[union-attr]
        if connection.status == psutil.CONN_LISTEN and _answers(f"http://127.0.0.1:{connection.laddr.port}/song/song_map.json")
    }
    return f"http://127.0.0.1:{listening}/song"


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def analyze(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[Target]:
    """The private API of a `performia analyze` whose steps do not come to an end."""
    folder = tmp_path_factory.mktemp("analyze")
    shutil.copytree(prefect_database, folder / "prefect")
    command = Service(folder, folder / "prefect", LIGHT_SECONDS="600")
    song = tones(folder / "song.wav", 220)
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments.cli.main", "analyze", str(song), "-o", str(folder / "out")],
        env=command.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        command.wait(lambda: bool(command.executions()), 120, "no step starts")
        (server,) = command.pids("deployments.server.api_process")
        line = psutil.Process(server).cmdline()
        password = psutil.Process(server).environ().get("PREFECT_SERVER_API_AUTH_STRING", "")
        user, _, word = password.partition(":")
        yield Target(f"http://127.0.0.1:{line[-2]}/api", (user, word) if password else None)
    finally:
        command.kill_all()
        process.wait()


@pytest.fixture(scope="module", params=["serve", pytest.param("analyze", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "analyze":
        found: Target = request.getfixturevalue("analyze")
        return found
    service: Service = request.getfixturevalue("service")
    return Target(service.url, None, f"{service.url.removesuffix('/api')}/runs")


# Plain requests -----------------------------------------------------------------------------------------------------------------------


def test_a_preflight_for_another_origin_allows_nothing(target: Target) -> None:
    headers = {"Origin": EVIL, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = httpx.options(f"{target.url}/flows/", headers=headers)
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:9", "https://127.0.0.1.evil.example", ""])
def test_another_origin_reads_and_changes_nothing(target: Target, origin: str) -> None:
    with httpx.Client(base_url=target.url, auth=target.auth, headers={"Origin": origin}) as client:
        for answer in (client.get("/flows/00000000-0000-0000-0000-000000000000"), client.post("/flows/filter", json={})):
            assert answer.status_code == httpx.codes.FORBIDDEN
            assert "access-control-allow-origin" not in answer.headers
        # Without a content type, a browser sends it unasked, and Prefect takes it for JSON.
        assert client.post("/flows/", content=b'{"name": "evil"}').status_code == httpx.codes.FORBIDDEN
    assert "evil" not in target.flows()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1@evil.example", ""])
def test_a_name_that_was_led_here_is_not_answered_to(target: Target, host: str) -> None:
    host = host.format(port=target.port)
    headers = {"Host": host, "Origin": f"http://{host}"}
    with httpx.Client(base_url=target.url, auth=target.auth, headers=headers) as client:
        for answer in (client.get("/admin/version"), client.get("/health"), client.post("/flows/", json={"name": "evil"})):
            assert answer.status_code == httpx.codes.FORBIDDEN
            assert "PERFORMIA_ALLOWED_HOSTS" in answer.text
    assert httpx.get(target.url.removesuffix("/api") + "/", headers={"Host": host}).status_code == httpx.codes.FORBIDDEN
    assert "evil" not in target.flows()


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "127.0.0.1:8080"])
def test_the_names_of_this_machine_are_answered_to(target: Target, host: str) -> None:
    host = host.format(port=target.port)
    with httpx.Client(base_url=target.url, auth=target.auth, headers={"Host": host, "Origin": f"http://{host.lower()}"}) as client:
        assert client.get("/admin/version").status_code == httpx.codes.OK
        assert client.post("/flows/filter", json={}, headers=csrf(client)).status_code == httpx.codes.OK


def test_a_name_in_the_settings_is_answered_to(service: Service) -> None:
    for host, status in (("music.example.org", 200), ("Music.example.org:443", 200), ("example.org", 403)):
        assert httpx.get(f"{service.url}/health", headers={"Host": host}).status_code == status
    headers = {"Host": "music.example.org", "Origin": "https://music.example.org"}
    assert httpx.get(f"{service.url}/admin/version", headers=headers).status_code == httpx.codes.OK


@pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out", "work_pools/performia/workers/connect"])
def test_no_page_of_another_origin_gets_a_web_socket(target: Target, path: str) -> None:
    url = f"{target.url}/{path}"
    rebound = f"evil.example:{target.port}"
    for headers in ({"Origin": EVIL}, {"Origin": "null"}, {"Host": rebound, "Origin": f"http://{rebound}"}):
        assert upgraded(url, headers) == httpx.codes.FORBIDDEN
    assert upgraded(url, {}) == httpx.codes.SWITCHING_PROTOCOLS
    assert upgraded(url, {"Origin": f"http://127.0.0.1:{target.port}"}) == httpx.codes.SWITCHING_PROTOCOLS


def upgraded(url: str, headers: dict[str, str]) -> int:
    """The status of the answer to who asks for a WebSocket."""
    ask = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "prefect"}
    with httpx.stream("GET", url, headers={**ask, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}) as answer:
        return answer.status_code


def test_a_program_gets_a_web_socket(target: Target) -> None:
    assert greeted(f"{target.socket}/events/out", target.auth)


def greeted(url: str, auth: tuple[str, str] | None) -> bool:
    """Whether a WebSocket goes on after this password was said."""
    subprotocols: Any = ["prefect"]
    with connect(url, subprotocols=subprotocols, proxy=None) as opened:
        opened.send(json.dumps({"type": "auth", "token": ":".join(auth) if auth else None}))
        try:
            return bool(json.loads(opened.recv(20))["type"] == "auth_success")
        except ConnectionClosed:
            return False


@pytest.mark.parametrize("auth", [None, ("performia", "guessed"), ("performia", "")])
def test_the_private_api_answers_its_own_command_only(analyze: Target, auth: tuple[str, str] | None) -> None:
    with httpx.Client(base_url=analyze.url, auth=auth) as client:
        for path in ("/admin/version", "/admin/settings", "/csrf-token?client=x"):
            assert client.get(path).status_code == httpx.codes.UNAUTHORIZED
        for path in ("/flow_runs/filter", "/logs/filter", "/flows/"):
            assert client.post(path, json={"name": "stranger"}).status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
        assert client.get("/health").status_code == httpx.codes.OK
    assert not greeted(f"{analyze.socket}/events/in", auth)
    assert "stranger" not in analyze.flows()


def test_the_password_of_the_private_api_is_for_this_user_alone_and_written_nowhere(
    analyze: Target, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert analyze.auth is not None
    word = analyze.auth[1]
    assert len(word) >= 32
    for process in psutil.process_iter(["pid"]):
        try:
            assert word not in " ".join(process.cmdline())
            if word in str(process.environ()):
                assert (Path("/proc") / str(process.pid) / "environ").stat().st_mode & 0o077 == 0
        except psutil.Error:
            continue
    server = next(process for process in psutil.process_iter() if str(analyze.port) in process.cmdline()[-2:])
    home = Path(server.environ()["PREFECT_HOME"]).parent
    assert [path for path in home.rglob("*") if path.is_file() and word.encode() in path.read_bytes()] == []


def test_every_command_has_a_password_of_its_own() -> None:
    from deployments.server.embedded_api import EmbeddedApi

    first, second = (EmbeddedApi(Path(os.devnull))._password for _ in range(2))
    assert first is not None
    assert first != second


def test_the_check_up_sees_that_only_our_own_pages_are_answered(service: Service) -> None:
    finding = check_exposure(service.url)
    assert (finding.level, finding.found) == ("ok", "loopback only, and no pages but its own")


def test_songs_files_are_read_by_no_page_and_under_no_other_name(service: Service, files: str) -> None:
    song_map, picture = f"{files}/song_map.json", f"{files}/timeline.svg"
    for headers in ({"Host": "evil.example"}, {"Origin": EVIL}, {"Origin": "null"}, {"Origin": service.url.removesuffix("/api")}):
        assert httpx.get(song_map, headers=headers).status_code == httpx.codes.FORBIDDEN
    for site in ("cross-site", "same-site"):
        for destination in ("script", "image", "audio", "iframe", "object", "empty"):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": destination, "Referer": f"{EVIL}/"}
            assert httpx.get(picture, headers=headers).status_code == httpx.codes.FORBIDDEN
    ui = {"Referer": f"http://localhost:{service.port}/", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert httpx.get(picture, headers={**ui, "Sec-Fetch-Dest": "image"}).headers["cross-origin-resource-policy"] == "cross-origin"
    assert httpx.get(song_map, headers={**ui, "Sec-Fetch-Dest": "script"}).status_code == httpx.codes.FORBIDDEN
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    opened = httpx.get(song_map, headers=link)
    assert opened.json()["duration_sec"] == pytest.approx(4.0)
    # Browsers that do not say from where obey this.
    assert opened.headers["cross-origin-resource-policy"] == "same-origin"


# In a browser -------------------------------------------------------------------------------------------------------------------------

#: What a page can try. `readable` collects what it could read, `sent` what it only fired off.
ATTACK = """
async ({api, socket, page, files}) => {
  const readable = {};
  const attempt = async (name, action) => { try { readable[name] = await action(); } catch (error) { readable[name] = null; } };
  const late = seconds => new Promise((_, no) => setTimeout(() => no(new Error("time")), 1000 * seconds));
  const within = (seconds, promise) => Promise.race([promise, late(seconds)]);
  const json = {"Content-Type": "application/json"};
  await attempt("read", async () => await (await fetch(`${api}/admin/version`)).text());
  await attempt("list", async () => await (await fetch(`${api}/flows/filter`, {method: "POST", headers: json, body: "{}"})).text());
  await attempt("create", async () =>
    (await fetch(`${api}/flows/`, {method: "POST", headers: json, body: '{"name": "evil-json"}'})).status);
  await attempt("token", async () => (await (await fetch(`${api}/csrf-token?client=evil`)).json()).token);
  // These need no preflight: the browser sends them without asking the server.
  for (const [name, body] of [["evil-untyped", new Blob(['{"name": "evil-untyped"}'])], ["evil-text", '{"name": "evil-text"}']])
    await fetch(`${api}/flows/`, {method: "POST", mode: "no-cors", body}).catch(() => null);
  navigator.sendBeacon(`${api}/flows/`, new Blob(['{"name": "evil-beacon"}']));
  const frame = Object.assign(document.body.appendChild(document.createElement("iframe")), {name: "sink"});
  const form = Object.assign(document.body.appendChild(document.createElement("form")),
    {method: "POST", action: `${api}/flows/`, enctype: "text/plain", target: "sink"});
  form.appendChild(Object.assign(document.createElement("input"), {name: '{"name": "evil-form", "labels": {"a": "', value: '"}}'}));
  const submitted = new Promise(done => frame.addEventListener("load", done));
  form.submit();
  await within(10, submitted).catch(() => null);
  const wire = (path, message) => within(10, new Promise((yes, no) => {
    const opened = new WebSocket(`${socket}/${path}`, "prefect");
    opened.onerror = () => no(new Error("closed"));
    opened.onclose = () => no(new Error("closed"));
    opened.onopen = () => opened.send(JSON.stringify({type: "auth", token: null}));
    opened.onmessage = answer => { if (message) opened.send(JSON.stringify(message)); setTimeout(() => yes(answer.data), 1500); };
  }));
  const event = {occurred: new Date().toISOString(), event: "evil.event", id: crypto.randomUUID ? crypto.randomUUID() :
    "11111111-2222-4333-8444-555555555555", resource: {"prefect.resource.id": "evil.resource"}, related: [], payload: {}};
  await attempt("events in", () => wire("events/in", event));
  await attempt("events out", () => wire("events/out", {type: "filter", filter: {occurred: {since: "2020-01-01T00:00:00Z"}}}));
  const element = (tag, source, loaded) => within(10, new Promise((yes, no) => {
    const made = Object.assign(document.createElement(tag), {src: source});
    made[loaded] = () => yes(tag); made.onerror = () => no(new Error("refused"));
    document.body.appendChild(made);
  }));
  await attempt("script of the api", () => element("script", `${api}/health`, "onload"));
  if (files) {
    await attempt("song map", async () => await (await fetch(`${files}/song_map.json`)).text());
    await attempt("song map as a script", () => element("script", `${files}/song_map.json`, "onload"));
    await attempt("picture", () => element("img", `${files}/timeline.svg`, "onload"));
    await attempt("sound", () => element("audio", `${files}/stems/vocals.flac`, "onloadedmetadata"));
  }
  if (page) {
    const shown = Object.assign(document.createElement("iframe"), {src: page, name: "ui"});
    const loaded = new Promise(done => shown.addEventListener("load", done));
    document.body.appendChild(shown);
    await within(10, loaded).catch(() => null);
  }
  return readable;
}
"""


@pytest.fixture(scope="module")
def evil_page() -> Iterator[str]:
    """The URL of a page of somebody else's."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>free songs</title><body>")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{EVIL}:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for which the evil names lead to this machine, as they do on the evil page's side of a rebinding."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as found:
        rules = "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP rebound.example 127.0.0.1"
        launched = found.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", rules])
        yield launched
        launched.close()


def test_an_evil_page_gets_nothing_and_changes_nothing(
    target: Target, request: pytest.FixtureRequest, browser: Any, evil_page: str
) -> None:
    files = request.getfixturevalue("files") if target.page else None
    page = browser.new_page()
    page.goto(evil_page)
    told = {"api": target.url, "socket": target.socket, "page": target.page, "files": files}
    readable = page.evaluate(ATTACK, told)
    assert len(readable) == (11 if files else 7)
    assert {name: found for name, found in readable.items() if found is not None} == {}
    assert [frame.title() for frame in page.frames if frame.name == "ui" and "Prefect" in frame.title()] == []
    page.close()
    assert not [name for name in target.flows() if name.startswith("evil")]
    assert "evil.event" not in target.events()


def test_a_page_whose_name_was_rebound_to_this_machine_gets_nothing(target: Target, browser: Any) -> None:
    """Its requests are of the same origin as itself, for the browser: only the name that it was loaded under tells."""
    page = browser.new_page()
    origin = f"http://rebound.example:{target.port}"
    page.goto(f"{origin}/api/health")  # stands for what the evil server sent before its name was led here; it runs the attack, too
    told = {"api": f"{origin}/api", "socket": f"ws://rebound.example:{target.port}/api", "page": None, "files": None}
    readable = page.evaluate(ATTACK, told)
    assert "PERFORMIA_ALLOWED_HOSTS" in readable.pop("read")
    assert "PERFORMIA_ALLOWED_HOSTS" in readable.pop("list")
    assert readable.pop("create") == httpx.codes.FORBIDDEN
    assert {name: found for name, found in readable.items() if found is not None} == {}
    page.close()
    assert not [name for name in target.flows() if name.startswith("evil")]
    assert "evil.event" not in target.events()
