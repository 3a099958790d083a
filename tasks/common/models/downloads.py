"""Downloading model files: resumed, digest-checked, never visible half done, and quick to notice that there is no network."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from tasks.common.errors import ModelDownloadFailed
from tasks.common.progress import Progress, silent
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import sha256_file
from tasks.common.storage.atomic import move_atomic

#: How long an answer of `hub_reachable` holds: about one run.
_REMEMBER_SEC = 120.0

_answers: dict[str, tuple[float, bool]] = {}
_guard = threading.Lock()


def hub_reachable(url: str) -> bool:
    """Whether the host of `url` answers within `hub_timeout_sec`. Asked once a run and host, not once a model."""
    import httpx

    host = urlsplit(url).netloc
    with _guard:
        known = _answers.get(host)
        if known is not None and time.monotonic() - known[0] < _REMEMBER_SEC:
            return known[1]
        timeout = get_settings().hub_timeout_sec
        # httpx's timeout is per phase (look-up, connect, answer); a name look-up that hangs escapes it, so the whole has a deadline too.
        answer: list[bool] = []

        def ask() -> None:
            try:
                httpx.head(url, timeout=timeout, follow_redirects=False)
                answer.append(True)
            except httpx.HTTPError:
                answer.append(False)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(timeout)
        reachable = bool(answer and answer[0])
        _answers[host] = (time.monotonic(), reachable)
        return reachable


def forget_hubs() -> None:
    """Ask again next time."""
    with _guard:
        _answers.clear()


def download(url: str, target: Path, sha256: str | None = None, progress: Progress = silent) -> None:
    """Download `url` to `target`. What an earlier attempt got (`<target>.part`) is kept and resumed.

    sha256: the digest, or its first digits. Raises ModelDownloadFailed; a file with another digest is thrown away.
    """
    import httpx

    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    timeout = httpx.Timeout(30.0, connect=get_settings().hub_timeout_sec)
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with httpx.stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
            if response.status_code == 416:  # the part is whole already, or longer than the file is now
                pass
            else:
                response.raise_for_status()
                if response.status_code != 206:
                    have = 0
                total = have + int(response.headers.get("Content-Length", 0))
                with part.open("ab" if have else "wb") as file:
                    for chunk in response.iter_raw():  # as it comes: a chunk held back is lost when the line breaks
                        file.write(chunk)
                        have += len(chunk)
                        progress(have / total if total else 0.0, f"downloading {target.name}: {have / 1e6:.0f} of {total / 1e6:.0f} MB")
                if total and have < total:
                    raise ModelDownloadFailed(f"The download of {target.name} broke off after {have} of {total} bytes")
    except httpx.HTTPError as error:
        raise ModelDownloadFailed(f"Could not download {target.name}: {error or type(error).__name__}") from error
    digest = sha256_file(part)
    if sha256 and not digest.startswith(sha256):
        part.unlink()
        raise ModelDownloadFailed(f"{target.name} arrived damaged: its SHA-256 is {digest}, expected {sha256}")
    move_atomic(part, target)
