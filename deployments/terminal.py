"""Where the commands and the service talk to a person: on standard error, so that standard output stays free for results."""

from __future__ import annotations

import json
import re
from typing import Any

from rich.console import Console


def error_console() -> Console:
    return Console(stderr=True, highlight=False)


def shown(text: object) -> str:
    """Text from a file or a name, as a terminal may be given it: on one line, without control characters, which could redraw it."""
    from tasks.ingest.file_names import as_text
    from tasks.packager.summary import one_line

    return one_line(as_text(str(text)))


def print_json(value: Any) -> None:
    """A value as JSON on standard output. Halves of characters and control characters are written as escapes."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    try:
        print(text, flush=True)
    except UnicodeEncodeError:  # the terminal's encoding is none of Unicode
        print(json.dumps(value, indent=1), flush=True)
