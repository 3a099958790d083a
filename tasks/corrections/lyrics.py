"""Words and lines as a person put them right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import median
from typing import Final

from schemas import corrections as c
from schemas import song_map as m
from tasks.corrections.draft import LEAST_SEC, Draft
from tasks.corrections.outcome import Conflict, Outcome, applied, clock, moved, obsolete
from tasks.corrections.placing import FoundWord, find_word, plain, word_at

#: A word this near to where it is to be is there (s).
_THERE_SEC: Final = 0.01
#: Words of two analyses differ by less than this in the middle (s); by more, the one is off as a whole.
_JITTER_SEC: Final = 0.03
#: Share of the words heard before that must be heard again, for what is said of all of them.
_SEEN_AGAIN: Final = 0.4


def word_text(draft: Draft, change: c.WordText) -> Outcome:
    """Another word, several, or none."""
    wanted = change.text.split()
    found = find_word(draft.lyrics, change.word, change.text if len(wanted) == 1 else None)
    line, was = draft.lyrics[found.line], found.word
    where = f"{clock(was.start)} {was.text!r} is {' '.join(wanted)!r}" if wanted else f"{clock(was.start)} {was.text!r} is no word"
    if len(wanted) > 1 and _is_sung(line.words, found.place, wanted):
        return obsolete(f"{where}, and heard so")
    if wanted == [was.text]:
        draft.lyrics[found.line] = _with_words(line, found.place, [was.model_copy(update={"conf": 1.0, "by": "person"})])
        return obsolete(f"{clock(was.start)} {was.text!r} is heard so")
    renewed = _with_words(line, found.place, _sung_over(was, wanted))
    if renewed.words:
        draft.lyrics[found.line] = renewed
    else:
        del draft.lyrics[found.line]
    as_it_was = found.as_heard and plain(was.text) == plain(change.word.text)
    return applied(where) if as_it_was else moved(f"{where}, where {change.word.text!r} was heard before")


def word_time(draft: Draft, change: c.WordTime) -> Outcome:
    """Another time of a word; what is beside it makes room."""
    found = find_word(draft.lyrics, change.word)
    start, end = round(change.start, 6), round(min(change.end, draft.duration), 6)
    if end - start < LEAST_SEC:
        raise Conflict("the word would have no length")
    there = abs(found.word.start - start) <= _THERE_SEC and abs(found.word.end - end) <= _THERE_SEC
    _make_room(draft.lyrics, found, start, end)
    said = found.word.model_copy(update={"start": start, "end": end, "conf": 1.0, "by": "person", "syllables": ()})
    line = draft.lyrics[found.line]
    words = tuple(said if place == found.place else word for place, word in enumerate(line.words))
    draft.lyrics[found.line] = line.model_copy(update={"words": words, **_bounds(line, words)})
    text = f"{found.word.text!r} from {clock(start)} to {clock(end)}"
    if there:
        return obsolete(f"{text} is heard so")
    return applied(text) if found.as_heard else moved(f"{text}, where {change.word.text!r} was heard before")


def line_split(draft: Draft, change: c.LineSplit) -> Outcome:
    """A line ends before a word."""
    found = find_word(draft.lyrics, change.word)
    line = draft.lyrics[found.line]
    text = f"a line begins with {found.word.text!r} at {clock(found.word.start)}"
    if found.place == 0:
        draft.lyrics[found.line] = line.model_copy(update={"by": "person"})
        return obsolete(f"{text}: it is heard so")
    first, second = line.words[: found.place], line.words[found.place :]
    head, tail = _split_text(line, found.place)
    draft.lyrics[found.line : found.line + 1] = [
        line.model_copy(update={"text": head, "words": first, "end": first[-1].end, "by": "person"}),
        line.model_copy(update={"text": tail, "words": second, "start": second[0].start, "by": "person"}),
    ]
    return applied(text) if found.as_heard else moved(text)


def lines_joined(draft: Draft, change: c.LinesJoined) -> Outcome:
    """A word goes on with the line before."""
    found = find_word(draft.lyrics, change.word)
    text = f"{found.word.text!r} at {clock(found.word.start)} goes on with the line before"
    if found.place:
        draft.lyrics[found.line] = draft.lyrics[found.line].model_copy(update={"by": "person"})
        return obsolete(f"{text}: it is heard so")
    if not found.line:
        raise Conflict("there is no line before")
    first, second = draft.lyrics[found.line - 1], draft.lyrics[found.line]
    words = (*first.words, *second.words)
    joined = first.model_copy(
        update={
            "text": f"{first.text} {second.text}",
            "words": words,
            "end": second.end,
            "conf": min(first.conf, second.conf),
            "by": "person",
        }
    )
    draft.lyrics[found.line - 1 : found.line + 1] = [joined]
    return applied(text) if found.as_heard else moved(text)


def lyrics_shifted(draft: Draft, change: c.LyricsShifted) -> Outcome:
    """All lyrics earlier or later, so that they are where the person put them."""
    if not draft.lyrics:
        raise Conflict("there are no lyrics")
    by = change.ms / 1000
    differs = _lag(draft.lyrics, change.heard)
    left = by if abs(differs) < _JITTER_SEC else round(by - differs, 6)
    if abs(left) < _THERE_SEC < abs(by):
        draft.said.add("lyrics")
        return obsolete("the lyrics are heard there")
    first, last = draft.lyrics[0].start + left, draft.lyrics[-1].end + left
    if first < 0 or last > draft.duration:
        raise Conflict("words would be outside the song")
    draft.lyrics = [_shifted(line, left) for line in draft.lyrics]
    draft.said.add("lyrics")
    text = f"all lyrics {1000 * left:+.0f} ms"
    return applied(text) if left == by else moved(text)


def lyrics_given(draft: Draft, change: c.LyricsGiven) -> Outcome:
    """The words are the person's, as the lyrics step aligned them; it has not yet where another text stands in the map."""
    sung = [plain(word.text) for line in draft.lyrics for word in line.words]
    given = {plain(word) for word in change.text.split()}
    if not sung or sum(word in given for word in sung) < 0.95 * len(sung):
        raise Conflict("the lyrics of this map are heard, and not those that were given: analyse the song again")
    draft.said.add("lyrics")
    return applied(f"{len(sung)} words as they were given")


# --- parts of the above ----------------------------------------------------------------------------------------------------------------


def _is_sung(words: Sequence[m.Word], place: int, wanted: Sequence[str]) -> bool:
    """Whether these words are heard one after the other, one of them at a place."""
    texts = [word.text for word in words]
    starts = range(max(0, place - len(wanted) + 1), place + 1)
    return any(texts[start : start + len(wanted)] == list(wanted) for start in starts)


def _sung_over(word: m.Word, texts: Sequence[str]) -> list[m.Word]:
    """Words in the place of one: each as long as it has letters."""
    if len(texts) == 1:
        return [word.model_copy(update={"text": texts[0], "conf": 1.0, "by": "person", "syllables": ()})]
    ends = list(accumulate(len(text) for text in texts))
    marks = [round(word.start + (word.end - word.start) * end / ends[-1], 6) for end in (0, *ends)] if ends else []
    if any(after - before < 1e-3 for before, after in pairwise(marks)):
        raise Conflict("the word is too short for so many")
    return [
        word.model_copy(update={"start": start, "end": end, "text": text, "conf": 1.0, "by": "person", "syllables": ()})
        for text, (start, end) in zip(texts, pairwise(marks), strict=True)
    ]


def _with_words(line: m.LyricLine, place: int, renewed: Sequence[m.Word]) -> m.LyricLine:
    """A line with other words in the place of one."""
    words = (*line.words[:place], *renewed, *line.words[place + 1 :])
    head, _ = _split_text(line, place)
    _, rest = _split_text(line, place + 1)
    glue = " " if _spaced(line) else ""
    text = glue.join(part for part in (head, *(word.text for word in renewed), rest) if part)
    return line.model_copy(update={"words": words, "text": text, **(_bounds(line, words) if words else {})})


def _spaced(line: m.LyricLine) -> bool:
    return len(line.words) < 2 or " " in line.text or any(word.text not in line.text for word in line.words)


def _split_text(line: m.LyricLine, place: int) -> tuple[str, str]:
    """The text of a line before and from a word on; where the words are not found in it, the words with spaces."""
    at = 0
    for word in line.words[:place]:
        near = line.text.find(word.text, at)
        if near < 0:
            return " ".join(word.text for word in line.words[:place]), " ".join(word.text for word in line.words[place:])
        at = near + len(word.text)
    return line.text[:at].rstrip(), line.text[at:].lstrip()


def _bounds(line: m.LyricLine, words: Sequence[m.Word]) -> dict[str, float]:
    """A line begins with its first word and ends with its last, but for what it had around them."""
    before, after = line.words[0].start - line.start, line.end - line.words[-1].end
    start = words[0].start if words[0] != line.words[0] or before > 0.5 else line.start
    end = words[-1].end if words[-1] != line.words[-1] or after > 0.5 else line.end
    return {"start": start, "end": end}


def _make_room(lines: list[m.LyricLine], found: FoundWord, start: float, end: float) -> None:
    """Shorten the words beside one, also of the lines beside it. Raises Conflict where one of them would be nothing."""
    flat = [(line, place) for line, whole in enumerate(lines) for place in range(len(whole.words))]
    index = flat.index((found.line, found.place))
    if index:
        line, place = flat[index - 1]
        word = lines[line].words[place]
        if word.start > start - LEAST_SEC:
            raise Conflict(f"it would begin before {word.text!r}, which is sung before it")
        _end_by(lines, line, place, start, same_line=line == found.line)
    if index + 1 < len(flat):
        line, place = flat[index + 1]
        word = lines[line].words[place]
        if word.end < end + LEAST_SEC:
            raise Conflict(f"it would end after {word.text!r}, which is sung after it")
        _begin_by(lines, line, place, end, same_line=line == found.line)


def _end_by(lines: list[m.LyricLine], line: int, place: int, time: float, same_line: bool) -> None:
    whole = lines[line]
    word = whole.words[place]
    if word.end > time:
        words = (*whole.words[:place], _cut(word, word.start, time), *whole.words[place + 1 :])
        whole = whole.model_copy(update={"words": words})
    lines[line] = whole if same_line else whole.model_copy(update={"end": min(whole.end, time)})


def _begin_by(lines: list[m.LyricLine], line: int, place: int, time: float, same_line: bool) -> None:
    whole = lines[line]
    word = whole.words[place]
    if word.start < time:
        words = (*whole.words[:place], _cut(word, time, word.end), *whole.words[place + 1 :])
        whole = whole.model_copy(update={"words": words})
    lines[line] = whole if same_line else whole.model_copy(update={"start": max(whole.start, time)})


def _cut(word: m.Word, start: float, end: float) -> m.Word:
    syllables = word.syllables if all(start <= part.start and part.end <= end for part in word.syllables) else ()
    return word.model_copy(update={"start": start, "end": end, "syllables": syllables})


def _shifted(line: m.LyricLine, by: float) -> m.LyricLine:
    def later(time: float) -> float:
        return round(time + by, 6)

    words = tuple(
        word.model_copy(
            update={
                "start": later(word.start),
                "end": later(word.end),
                "syllables": tuple(part.model_copy(update={"start": later(part.start), "end": later(part.end)}) for part in word.syllables),
            }
        )
        for word in line.words
    )
    return line.model_copy(update={"start": later(line.start), "end": later(line.end), "words": words})


def _lag(lines: Sequence[m.LyricLine], heard: Sequence[c.WordAt]) -> float:
    """By how much the words are later now than when they were heard (s, the median). Raises Conflict where they are other words."""
    if not heard:
        return 0.0
    found = []
    for at in heard:
        try:
            word = find_word(lines, at)
        except Conflict:
            continue
        if word.as_heard:
            found.append(word.word.start - at.time)
    if len(found) < max(1, _SEEN_AGAIN * len(heard)):
        raise Conflict("other words are heard now")
    return median(found)


def sample_of_words(lines: Sequence[m.LyricLine], most: int = 24) -> tuple[c.WordAt, ...]:
    """Some words of a song, from its start to its end."""
    places = [(line, place) for line, whole in enumerate(lines) for place in range(len(whole.words))]
    step = max(1, -(-len(places) // most))
    return tuple(word_at(lines, line, place) for line, place in places[::step])
