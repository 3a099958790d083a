"""What the installed packages give the tests to hear with: the one place that chooses."""

from __future__ import annotations

from tasks.common import models
from tasks.common.models import wheels as model_wheels

#: The best size of Whisper that packages carry here. The two of `base` may be absent; that of `tiny.en` never is.
WHISPER = "tiny.en" if model_wheels.missing(models.get("whisper-base")) else "base"
