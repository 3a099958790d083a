"""What people paste as the lyrics of a song, read into sections, lines and words. Pure; a line's text is what was given.

Understood, also mixed: plain lines; section headers (`[Chorus]`, `Verse 2:`, `(Refrain)`); a header without lines that stands for lines
given before; `(x2)`, `2x`, `bis`; chords over lines; ChordPro (chords in the line, directives); LRC with its tags and offset, several times
a line, and times of words (enhanced LRC); SubRip and WebVTT; UltraStar. Times are seconds.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from schemas.results import SectionLabel

#: A line is not said to be sung more often than this.
MAX_REPEATS: Final = 12
#: More words than any song has: what says that lines are sung again adds none beyond.
MOST_WORDS: Final = 6_000
#: A longer line is several: it is no line that somebody sings in one breath, and patterns are matched against it. So with chords.
_LONGEST_LINE: Final = 500
_LONGEST_CHORD: Final = 20


@dataclass(frozen=True)
class GivenWord:
    """A word with its punctuation. time: where its file says that it starts (s). aside: in parentheses, as people write ad-libs."""

    text: str
    time: float | None = None
    aside: bool = False


@dataclass(frozen=True)
class GivenLine:
    """A line. text: as given, without times and chords. section: index into the sections; None before the first header.

    repeat: whether it is here because something says that lines are sung again (`(x2)`, a header alone), not for itself.
    """

    text: str
    words: tuple[GivenWord, ...]
    section: int | None = None
    time: float | None = None
    repeat: bool = False


@dataclass(frozen=True)
class GivenText:
    """A song's lyrics. sections: the headers as given, without brackets and repeats. timed: lines have times."""

    lines: tuple[GivenLine, ...]
    sections: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[GivenWord, ...]:
        return tuple(word for line in self.lines for word in line.words)

    @property
    def timed(self) -> bool:
        return any(line.time is not None for line in self.lines)


#: Names of sections, lower case, and the function each has in a song; in the languages that the songs are in which people sent.
SECTION_NAMES: Final[dict[str, SectionLabel]] = {
    "intro": "intro", "introduction": "intro", "einleitung": "intro", "entrada": "intro",
    "verse": "verse", "vers": "verse", "strophe": "verse", "couplet": "verse", "verso": "verse", "estrofa": "verse", "strofa": "verse",
    "pre-chorus": "prechorus", "prechorus": "prechorus", "pre chorus": "prechorus", "pre-refrain": "prechorus", "pré-refrain": "prechorus",
    "pre-hook": "prechorus", "build": "prechorus", "pre-coro": "prechorus", "pre-estribillo": "prechorus", "lift": "prechorus",
    "chorus": "chorus", "refrain": "chorus", "hook": "chorus", "estribillo": "chorus", "coro": "chorus", "ritornello": "chorus",
    "refrão": "chorus", "post-chorus": "chorus", "postchorus": "chorus", "kehrreim": "chorus",
    "bridge": "bridge", "middle eight": "bridge", "middle 8": "bridge", "pont": "bridge", "puente": "bridge", "brücke": "bridge",
    "ponte": "bridge", "c-part": "bridge", "c-teil": "bridge",
    "solo": "solo", "guitar solo": "solo", "gitarrensolo": "solo", "piano solo": "solo", "sax solo": "solo",
    "instrumental": "instrumental", "instrumental break": "instrumental", "interlude": "interlude", "zwischenspiel": "interlude",
    "interludio": "interlude", "interlúdio": "interlude",
    "break": "break", "breakdown": "break", "drop": "break",
    "outro": "outro", "ending": "outro", "coda": "outro", "end": "outro", "schluss": "outro", "fin": "outro", "final": "outro",
}  # fmt: skip

_CHORD: Final = (
    r"[A-GH](?:[#♯b♭])?(?:maj|min|mi|ma|m|M|dim|aug|sus|add|no|omit|\+|-|°|ø|Δ|[#♯b♭]?\d++|\((?:[^()\s]{1,8})\))*+"
    r"(?:/[A-GH][#♯b♭]?)?\*?"
)
_CHORD_TOKEN: Final = re.compile(rf"^(?:\(?{_CHORD}\)?|N\.?C\.?|[|/%\-–.:]+|[x×]\d+|\d+[x×]|\([x×]?\d+[x×]?\))$")
_CHORD_NAME: Final = re.compile(rf"^(?:{_CHORD}|N\.?C\.?)$")
_INLINE_CHORD: Final = re.compile(r"\[([^\[\]\n]{1,14})\]")
_TAB: Final = re.compile(r"^\s*(?:[A-Ga-gh]?[#b]?\s*)?[|:][-\d|hpbrx/\\~()\s]{6,}$")
_DIRECTIVE: Final = re.compile(r"^\s*\{\s*([\w-]+)\s*(?::\s*|\s+)?(.*?)\s*\}\s*$")
_TIME: Final = r"\[\s*(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\s*\]"
_LINE_TIME: Final = re.compile(rf"^\s*{_TIME}")
_WORD_TIME: Final = re.compile(r"<\s*(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\s*>")
_TAG: Final = re.compile(r"^\s*\[\s*([a-zA-Z#]{2,12})\s*:\s*(.*?)\s*\]\s*$")
_LRC_TAGS: Final = frozenset({"ti", "ar", "al", "au", "by", "re", "ve", "la", "length", "offset", "tool", "id", "lr", "#"})
_CUE: Final = re.compile(r"^\s*(?:(\d{1,2}):)?(\d{1,2}):(\d{2})[.,](\d{3})\s+-->\s+")
_TIMES: Final = (
    r"(?:[x×]\s?(\d{1,2})|(\d{1,2})\s?[x×]|(?:repeat|wiederholen)\s+(?:[x×]\s?)?(\d{1,2})(?:\s?[x×]|\s+times)?|(bis|twice|repeat))"
)
_REPEAT_END: Final = re.compile(rf"\s*(?:[\(\[]\s*{_TIMES}\s*[\)\]]|(?<=\s)(?:[x×](\d{{1,2}})|(\d{{1,2}})[x×]))\s*$", re.IGNORECASE)
_REPEAT_ALONE: Final = re.compile(rf"^\s*[\(\[]?\s*{_TIMES}\s*[\)\]]?\s*[.!]?\s*$", re.IGNORECASE)
_SAY_AGAIN: Final = re.compile(r"^(?:repeat|wiederholung|rep\.?|répéter|repetir)[\s:]+", re.IGNORECASE)
_ULTRASTAR: Final = re.compile(r"^[ \t]*#(?:TITLE|ARTIST|BPM|GAP|VERSION)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_NOTE: Final = re.compile(r"^[:*FRG]\s+(-?\d+)\s+\d+\s+-?\d+\s(.*)$")
#: Scripts that put no spaces between words: each character counts as one.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]"
)


def read_text(text: str) -> GivenText:
    """Read lyrics. An empty text, or one without any word, has no lines."""
    text = unicodedata.normalize("NFC", text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", ""))
    if _ULTRASTAR.search(text) and any(_NOTE.match(line) for line in text.split("\n")):
        return _ultrastar(text)
    return _Reader([part for line in text.split("\n") for part in textwrap.wrap(" ".join(line.split()), _LONGEST_LINE) or [""]]).read()


def plain_word(text: str) -> str:
    """A word as it is compared: lower case letters and digits without accents; empty where it has none."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in folded if character.isalnum())


def section_function(header: str) -> SectionLabel | None:
    """The function in a song that a header names, such as chorus; None where it names none that is known."""
    name = re.sub(r"\s+", " ", re.split(r"[:–—(|]|\s-\s", header.strip().casefold())[0]).strip(" .")
    name = re.sub(r"^(?:final|last|first|second|third|\d+(?:st|nd|rd|th|\.)?)\s+", "", name)
    name = re.sub(r"\s*(?:\d+|[ivx]+|[a-d])$", "", name).strip()
    return SECTION_NAMES.get(name)


def words_of(line: str) -> tuple[GivenWord, ...]:
    """The words of a line; signs without a letter or digit are no words, and stay in the line's text."""
    found: list[GivenWord] = []
    depth = 0
    for token in line.split():
        depth += token.count("(") + token.count("（")
        aside = depth > 0
        depth = max(0, depth - token.count(")") - token.count("）"))
        found += [GivenWord(part, aside=aside) for part in _parts(token) if plain_word(part)]
    return tuple(found)


def _parts(token: str) -> list[str]:
    """A token in words: one, or where its script has no spaces, a character each, with the signs after it."""
    if not _UNSPACED.search(token):
        return [token]
    parts: list[str] = []
    spaced = False
    for character in token:
        alone = bool(_UNSPACED.match(character))
        joins = bool(parts) and (not character.isalnum() or (not alone and spaced) or not plain_word(parts[-1]))
        if joins:
            parts[-1] += character
        else:
            parts.append(character)
        spaced = not alone
    return parts


def is_chord_line(line: str) -> bool:
    """Whether a line is of nothing but chords, and at least one of them could be no word."""
    tokens = line.split()
    if not tokens or not all(len(token) <= _LONGEST_CHORD and _CHORD_TOKEN.match(token) for token in tokens):
        return False
    names = [token for token in tokens if _CHORD_NAME.match(token.strip("()"))]
    return bool(names) and (len(tokens) > 1 or names[0] not in ("A", "Am", "E", "B", "Do"))


def _seconds(minutes: str, seconds: str, fraction: str | None) -> float:
    return int(minutes) * 60 + int(seconds) + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)


class _Reader:
    """Reads lines one after the other."""

    def __init__(self, lines: Sequence[str]):
        self._raw = lines
        self._lines: list[GivenLine] = []
        self._headers: list[str] = []
        self._own: dict[int, list[GivenLine]] = {}  # each section's lines, as they are sung once
        self._section: int | None = None
        self._began = 0  # the first line of the block
        self._again = 1  # how often the section's header says that it is sung
        self._offset = 0.0
        self._cue: float | None = None
        self._is_cued = any(_CUE.match(line) for line in lines)
        self._has_directives = any(_DIRECTIVE.match(line) for line in lines)
        self._has_chords = any(is_chord_line(line) for line in lines)
        self._words = 0

    def read(self) -> GivenText:
        for number, raw in enumerate(self._raw):
            self._line(number, raw)
        self._end_section()
        if any(line.time is not None for line in self._lines):
            self._lines = _in_time(
                [replace(line, time=_shifted(line.time, self._offset), words=self._shifted(line)) for line in self._lines]
            )
        used = sorted({line.section for line in self._lines if line.section is not None})
        renumbered = {old: new for new, old in enumerate(used)}
        lines = tuple(replace(line, section=renumbered[line.section] if line.section is not None else None) for line in self._lines)
        return GivenText(lines, tuple(self._headers[index] for index in used))

    def _shifted(self, line: GivenLine) -> tuple[GivenWord, ...]:
        return tuple(replace(word, time=_shifted(word.time, self._offset)) for word in line.words)

    def _line(self, number: int, line: str) -> None:
        if not line:
            if not self._is_cued:
                self._began = len(self._lines) if self._section is None else self._began
            return
        if self._cued(number, line) or self._directed(line):
            return
        times, rest = _line_times(line)
        if not times and (tag := _TAG.match(rest)) and (tag[1].lower() in _LRC_TAGS):
            if tag[1].lower() == "offset":
                with_sign = re.match(r"^([+-]?\d+)$", tag[2])
                self._offset = int(with_sign[1]) / 1000 if with_sign else 0.0
            return
        if _TAB.match(rest) or is_chord_line(rest) or self._is_lone_chord(number, rest):
            return
        rest = _INLINE_CHORD.sub(lambda found: "" if _CHORD_NAME.match(found[1].strip()) else found[0], rest).strip()
        if not rest or self._repeats_block(rest) or self._heads(number, rest):
            return
        self._sung(rest, times)

    def _sung(self, text: str, times: Sequence[float]) -> None:
        again = 1
        if found := _REPEAT_END.search(text):
            again, text = _count(found), text[: found.start()].rstrip()
        stamps = [(found.start(), found.end(), _seconds(found[1], found[2], found[3])) for found in _WORD_TIME.finditer(text)]
        shown = " ".join(_WORD_TIME.sub(" ", text).split()) if stamps else text
        words = _timed_words(text, stamps) if stamps else words_of(shown)
        if not words:
            return
        starts: Sequence[float | None] = times or ([self._cue] if self._cue is not None else [stamps[0][2] if stamps else None])
        self._cue = None
        for nth, start in enumerate(starts):
            timed = words if nth == 0 else tuple(replace(word, time=None) for word in words)
            self._lines.append(GivenLine(shown, timed, self._section, start))
            self._words += len(words)
        self._add(GivenLine(shown, _untimed(words), self._section, None, repeat=True) for _ in range(again - 1))

    def _add(self, lines: Iterable[GivenLine]) -> None:
        """Add lines that are sung again."""
        for line in lines:
            if self._words + len(line.words) > MOST_WORDS:
                return
            self._lines.append(line)
            self._words += len(line.words)

    def _cued(self, number: int, line: str) -> bool:
        """SubRip and WebVTT: times and numbers are no lyrics."""
        if not self._is_cued:
            return False
        if cue := _CUE.match(line):
            self._cue = int(cue[1] or 0) * 3600 + int(cue[2]) * 60 + int(cue[3]) + int(cue[4]) / 1000
            return True
        follows = number + 1 < len(self._raw) and _CUE.match(self._raw[number + 1])
        return bool(follows) or line.startswith(("WEBVTT", "NOTE", "STYLE"))

    def _directed(self, line: str) -> bool:
        """ChordPro's directives, and its comments."""
        directive = _DIRECTIVE.match(line)
        if directive is None:
            return self._has_directives and line.startswith("#")
        name, value = directive[1].lower(), directive[2]
        starts = {
            "sov": "Verse",
            "soc": "Chorus",
            "sob": "Bridge",
            "start_of_verse": "Verse",
            "start_of_chorus": "Chorus",
            "start_of_bridge": "Bridge",
        }
        label = re.sub(r'^label\s*=\s*"(.*)"$', r"\1", value)
        if name in starts:
            self._open(label or starts[name])
        elif name in ("c", "comment", "ci", "comment_italic", "cb", "comment_box") and section_function(value):
            self._open(value)
        elif name == "chorus":
            self._open(label or "Chorus")
        elif name in ("eov", "eoc", "eob", "end_of_verse", "end_of_chorus", "end_of_bridge"):
            self._end_section()
        return True

    def _is_lone_chord(self, number: int, line: str) -> bool:
        """A letter alone is a chord where other lines are of chords, and a line to sing follows."""
        if not _CHORD_NAME.match(line) or number + 1 >= len(self._raw) or not self._raw[number + 1].strip():
            return False
        return self._has_chords

    def _repeats_block(self, line: str) -> bool:
        """A line that says how often what is above it is sung."""
        found = _REPEAT_ALONE.match(line)
        if found is None:
            return False
        above = [line for line in self._lines[self._began :] if not line.repeat]
        if self._section is not None and not above:
            self._again = _count(found)
        self._add(_again(line) for _ in range(_count(found) - 1) for line in above)
        return True

    def _heads(self, number: int, line: str) -> bool:
        """A section's header: in brackets whatever it is called, else where its name is known."""
        bracketed = re.match(r"^[\[【](.+)[\]】]\s*:?\s*(.*)$", line)
        name, rest = (bracketed[1], bracketed[2]) if bracketed else (line, "")
        if rest and not _REPEAT_ALONE.match(rest):
            return False
        if not bracketed:
            in_parentheses = re.match(r"^\((.+)\)$", line)
            name = in_parentheses[1] if in_parentheses else line.strip("*#_ ")
            name = re.sub(r":$", "", name)
            said = _SAY_AGAIN.sub("", name)
            if not section_function(_REPEAT_END.sub("", said)) or len(said.split()) > 4:
                return False
            if not (in_parentheses or line.endswith(":") or line.startswith(("*", "#", "_")) or self._stands_alone(number)):
                return False
        again = 1
        if found := _REPEAT_END.search(f"{name} {rest}"):
            again, name = _count(found), f"{name} {rest}"[: found.start()]
        self._open(_SAY_AGAIN.sub("", name).strip(" :"), again)
        return True

    def _stands_alone(self, number: int) -> bool:
        """Whether nothing is above the line."""
        return number == 0 or not self._raw[number - 1].strip()

    def _open(self, header: str, again: int = 1) -> None:
        self._end_section()
        self._headers.append(header)
        self._section, self._began, self._again = len(self._headers) - 1, len(self._lines), again

    def _end_section(self) -> None:
        """What a header says is added once its lines are known: without any, those of the last such section; and again, if it says so."""
        if self._section is not None:
            own = self._lines[self._began :]
            again = self._again - 1
            if not own:
                own, again = self._earlier(self._section), self._again
            self._own[self._section] = own
            self._add(replace(_again(line), section=self._section) for _ in range(again) for line in own)
        self._section, self._began, self._again = None, len(self._lines), 1

    def _earlier(self, section: int) -> list[GivenLine]:
        """The lines, sung once, of the last section before this one with its name; failing that, with its function."""
        header = self._headers[section]
        for alike in (lambda other: other.casefold() == header.casefold(), lambda other: _same_function(other, header)):
            for earlier in range(section - 1, -1, -1):
                lines = self._own.get(earlier)
                if lines and alike(self._headers[earlier]):
                    return lines
        return []


def _same_function(one: str, other: str) -> bool:
    numbered = re.compile(r"\d")
    return section_function(one) == section_function(other) == "chorus" and not (numbered.search(one) and numbered.search(other))


def _again(line: GivenLine) -> GivenLine:
    return replace(line, words=_untimed(line.words), time=None, repeat=True)


def _untimed(words: Iterable[GivenWord]) -> tuple[GivenWord, ...]:
    return tuple(replace(word, time=None) for word in words)


def _count(found: re.Match[str]) -> int:
    """How often: what a match of `_TIMES` says."""
    number = next((group for group in found.groups() if group and group.isdigit()), None)
    return max(1, min(MAX_REPEATS, int(number))) if number else 2


def _shifted(time: float | None, offset: float) -> float | None:
    """LRC: a positive offset shows the words sooner."""
    return None if time is None else max(0.0, round(time - offset, 3))


def _line_times(line: str) -> tuple[list[float], str]:
    times: list[float] = []
    while found := _LINE_TIME.match(line):
        times.append(_seconds(found[1], found[2], found[3]))
        line = line[found.end() :]
    return times, line.strip()


def _timed_words(text: str, stamps: Sequence[tuple[int, int, float]]) -> tuple[GivenWord, ...]:
    """The words of a line with a time before each, or some, of them."""
    found: list[GivenWord] = list(words_of(text[: stamps[0][0]]))
    ends = [start for start, _, _ in stamps[1:]] + [len(text)]
    for (_, begin, time), end in zip(stamps, ends, strict=True):
        words = words_of(text[begin:end])
        found += [replace(word, time=time if nth == 0 else None) for nth, word in enumerate(words)]
    return tuple(found)


def _in_time(lines: Sequence[GivenLine]) -> list[GivenLine]:
    """The lines by their times; those without follow the line that they were given after."""
    keys: list[float] = []
    for line in lines:
        keys.append(line.time if line.time is not None else keys[-1] if keys else 0.0)
    return [lines[index] for index in sorted(range(len(lines)), key=lambda index: (keys[index], index))]


def _ultrastar(text: str) -> GivenText:
    """The text of an UltraStar chart, with the times that it says."""
    header = {found[1].upper(): found[2].strip() for found in re.finditer(r"^[ \t]*#(\w+)[ \t]*:(.*)$", text, re.MULTILINE)}

    def number(name: str) -> float:
        try:
            return float(header.get(name, "0").replace(",", "."))
        except ValueError:
            return 0.0

    beat = 15.0 / number("BPM") if number("BPM") > 0 else 0.0
    lines: list[GivenLine] = []
    syllables: list[tuple[float | None, str]] = []

    def end_line() -> None:
        shown = " ".join("".join(part for _, part in syllables).replace("~", "").split())
        words = [list(words_of(word)) for word in shown.split()]
        flat = tuple(word for group in words for word in group)
        if flat:
            lines.append(GivenLine(shown, flat, None, syllables[0][0]))
        syllables.clear()

    for raw in text.split("\n"):
        if note := _NOTE.match(raw.strip("\r")):
            time = round(number("GAP") / 1000 + int(note[1]) * beat, 3) if beat else None
            syllables.append((time, note[2]))
        elif raw.startswith("-"):
            end_line()
    end_line()
    return GivenText(tuple(lines))
