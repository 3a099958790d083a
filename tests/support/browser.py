"""A real browser for a test, where this machine has one."""

from __future__ import annotations

import shutil
from typing import Final

#: The program. Playwright's own browsers are not downloaded.
BROWSER: Final = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
