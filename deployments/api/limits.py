"""How much one key may ask of one process of the API: requests a minute, uploads at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from deployments.api.problems import ProblemError
from tasks.common.errors import TooManyRequests
from tasks.common.settings import Settings

_MINUTE_SEC: Final = 60.0
_UPLOAD_RETRY_SEC: Final = 5
#: Keys that ask no more are forgotten once there are so many.
_MANY: Final = 1000


class Limits:
    """Counted by the name of the key. A bucket of a minute's requests fills up as time goes by."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic):
        self._most = settings.api_requests_per_minute
        self._uploads_at_once = settings.api_uploads_at_once
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._uploads: dict[str, int] = {}

    def request(self, who: str) -> None:
        """Count a request. Raises ProblemError of TooManyRequests."""
        now = self._clock()
        left, at = self._buckets.get(who, (float(self._most), now))
        left = min(float(self._most), left + (now - at) * self._most / _MINUTE_SEC)
        if left < 1.0:
            wait = (1.0 - left) * _MINUTE_SEC / self._most
            raise ProblemError(
                TooManyRequests(f"The key may send {self._most} requests a minute"), {"retry-after": str(max(1, round(wait + 0.5)))}
            )
        if len(self._buckets) > _MANY:
            self._buckets = {key: known for key, known in self._buckets.items() if now - known[1] < _MINUTE_SEC}
        self._buckets[who] = (left - 1.0, now)

    @contextmanager
    def upload(self, who: str) -> Iterator[None]:
        """An upload is under way while the block runs. Raises ProblemError of TooManyRequests."""
        if self._uploads.get(who, 0) >= self._uploads_at_once:
            raise ProblemError(
                TooManyRequests(f"{self._uploads_at_once} uploads of the key may arrive at once"), {"retry-after": str(_UPLOAD_RETRY_SEC)}
            )
        self._uploads[who] = self._uploads.get(who, 0) + 1
        try:
            yield
        finally:
            self._uploads[who] -= 1
            if not self._uploads[who]:
                del self._uploads[who]
