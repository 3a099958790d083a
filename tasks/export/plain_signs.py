"""Signs that mean nothing to a format, in place of those that would, for formats without escapes. Pure."""

from __future__ import annotations

import re
from typing import Final

_BRACES: Final = str.maketrans({"{": "(", "}": ")", "\\": "∖"})
_TAG: Final = re.compile(r"<(?=[/a-zA-Z!?])([^<>]*)>")


def without_braces(text: str) -> str:
    """Text without braces and backslashes."""
    return text.translate(_BRACES)


def without_tags(text: str) -> str:
    """Text in which what looks like HTML's tags is in quotation marks of that shape."""
    return _TAG.sub(r"‹\1›", text)
