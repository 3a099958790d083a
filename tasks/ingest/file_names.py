"""Names of files that are no UTF-8. Linux allows any bytes, Python reads them as surrogates (PEP 383), and JSON, which is how Prefect, the
manifest and the Song Map write, allows neither.

Such a song is read through a link whose name is text. Its folder and its title are named after the link.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from tasks.common.errors import AudioPathRefused
from tasks.common.settings import Settings
from tasks.ingest.tags import encoding_of

#: File systems allow 255 bytes.
_MAX_NAME_BYTES: Final = 200


def is_text(path: Path | str) -> bool:
    """Whether a path can be written as UTF-8."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def as_text(path: Path | str) -> str:
    r"""A path, or what was said of it, for JSON and people: bytes that are no UTF-8 are written as \xe9."""
    return re.sub("[\ud800-\udfff]", lambda half: _as_byte(ord(half[0])), str(path))


def _as_byte(half: int) -> str:
    return f"\\x{half - 0xDC00:02x}" if 0xDC80 <= half <= 0xDCFF else "\N{REPLACEMENT CHARACTER}"


def with_text_name(path: Path, settings: Settings) -> Path:
    """The path itself where it is text; else a link to it, below the data directory, whose path is. Raises AudioPathRefused."""
    if is_text(path):
        return path
    target = path.absolute()
    raw = os.fsencode(target)
    link = settings.data_dir / "names" / hashlib.sha256(raw).hexdigest()[:16] / _text_name(os.fsencode(path.name))
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            link.symlink_to(target)
        if os.readlink(link) != str(target):
            raise AudioPathRefused(f"{as_text(path)}: its name is no UTF-8", "Rename the file")
    except OSError as error:
        raise AudioPathRefused(
            f"{as_text(path)}: its name is no UTF-8, and no link to it can be made ({error})", "Rename the file"
        ) from error
    return link


def _text_name(raw: bytes) -> str:
    """The name in the encoding that it looks to be in, without what is not printed, and short enough."""
    name = _decode(raw)
    name = "".join("_" if character == "/" or not character.isprintable() else character for character in name)
    stem, ending = os.path.splitext(name)
    room = max(1, _MAX_NAME_BYTES - len(ending.encode("utf-8")))
    return stem.encode("utf-8")[:room].decode("utf-8", "ignore") + ending


def _decode(raw: bytes) -> str:
    return raw.decode(encoding_of(raw), "replace")
