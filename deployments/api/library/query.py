"""What is asked of the library: text, key, tempo, order and page. Pure.

A text is any text: nothing in it is an operator of the index. Each of its words is the beginning of a word of the song (`lov som` finds
"Love Someone"), and all of them must be there, in its title, artist, album or lyrics.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from deployments.api.library.words import words
from tasks.common.errors import OptionInvalid

Order = Literal["relevance", "title", "artist", "bpm", "duration", "created"]
#: The orders that can be asked for; `-` before one turns it around.
ORDERS: Final[tuple[Order, ...]] = ("relevance", "title", "artist", "bpm", "duration", "created")
MOST_ON_PAGE: Final = 200
_MOST_WORDS: Final = 32

KEY_PATTERN: Final = r"\s*([A-Ga-g])\s*(#|♯|b|♭)?[\s:_-]*(m|M|min|minor|maj|major)?\s*"
_KEY: Final = re.compile(KEY_PATTERN)
_PITCH_CLASSES: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: the last song's value in the order, and its id."""

    value: str | float
    song_id: str


@dataclass(frozen=True, slots=True)
class SongQuery:
    """text: see above. key: code of `key_code`. bpm: the slowest and the fastest tempo. after: where the page before ended."""

    text: str = ""
    key: str | None = None
    bpm_min: float | None = None
    bpm_max: float | None = None
    order: Order = "created"
    descending: bool = True
    limit: int = 50
    after: Place | None = None

    @property
    def match(self) -> str | None:
        """The text for FTS5: quoted words and stars; None where the text has no word."""
        # A run of text is a phrase: the characters of a script without spaces stand in their order, as do "rock" and "roll" of rock-roll.
        phrases = [found for part in self.text.split()[:_MOST_WORDS] if (found := words(part)[:_MOST_WORDS])]
        return " ".join(f'"{" ".join(phrase)}"*' for phrase in phrases) or None

    @property
    def has_words(self) -> bool:
        return self.match is not None

    def cursor(self, place: Place) -> str:
        """An opaque text that says where this query goes on."""
        content = json.dumps([self._asked(), place.value, place.song_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")

    def place_of(self, cursor: str) -> Place:
        """Where a cursor goes on. Raises OptionInvalid where it is not one of this query."""
        try:
            asked, value, song_id = json.loads(base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True))
        except (binascii.Error, ValueError, TypeError, RecursionError):
            raise OptionInvalid("The cursor is none of this service's", _GO_ON) from None
        if asked != self._asked() or not isinstance(song_id, str) or not isinstance(value, self._value_type()) or isinstance(value, bool):
            raise OptionInvalid("The cursor is of another query", _GO_ON)
        if isinstance(value, int | float) and not math.isfinite(value):
            raise OptionInvalid("The cursor is of another query", _GO_ON)
        return Place(value, song_id)

    def _value_type(self) -> Any:
        return str if self.order in ("title", "artist", "created") else (int, float)

    def _asked(self) -> list[Any]:
        return [self.match, self.key, self.bpm_min, self.bpm_max, self.order, self.descending]


_GO_ON: Final = "Take `next` of the page before, with the same query"


def song_query(
    text: str = "",
    key: str | None = None,
    bpm_min: float | None = None,
    bpm_max: float | None = None,
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> SongQuery:
    """A query as a caller words it. Raises OptionInvalid.

    sort: one of `ORDERS`, `-` before it turns it around. Left out: by relevance where there is a text, else the newest first.
    """
    name = (sort or "").removeprefix("-") or ("relevance" if words(text) else "created")
    if name not in ORDERS:
        raise OptionInvalid(f"Songs cannot be sorted by {name[:40]!r}", f"Sort by {', '.join(ORDERS)}, with - before it for the other way")
    descending = sort.startswith("-") if sort else name == "created"
    if name == "relevance" and not words(text):
        name = "created"  # of nothing that is looked for, nothing is more relevant
    query = SongQuery(text, key_code(key) if key else None, bpm_min, bpm_max, name, descending, limit)  # type: ignore[arg-type]
    return query if cursor is None else SongQuery(**{**_fields(query), "after": query.place_of(cursor)})


def key_code(key: str) -> str:
    """What stands for a key in the index, the same for all its names: `Am`, `A minor` and `a:min` are `9m`, `C#` and `Db major` `1M`.

    Raises OptionInvalid.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise OptionInvalid(f"{key[:40]!r} is no key", "Write it as C, F#m, Bb major or A:min")
    letter, sign, mode = found.groups()
    pitch = (_PITCH_CLASSES[letter.upper()] + {"#": 1, "♯": 1, "b": -1, "♭": -1}.get(sign, 0)) % 12
    return f"{pitch}{'m' if mode in ('m', 'min', 'minor') else 'M'}"


def _fields(query: SongQuery) -> dict[str, Any]:
    return {name: getattr(query, name) for name in SongQuery.__slots__}
