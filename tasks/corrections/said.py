"""What a person says is right, as operations on the song that they see. Pure.

A person names a place by its time, or a word by its text; what an operation is placed by is looked up in the map here. Each function
returns what is to be appended to the log: (change, what it replaces, as it is shown). All raise CorrectionUnplaceable where the map has no
such place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from schemas import corrections as c
from schemas import song_map as m
from schemas.results import Mode, SectionLabel
from tasks.common.errors import CorrectionUnplaceable
from tasks.common.harmony import harte
from tasks.corrections.chords import alike
from tasks.corrections.log import sample_of_beats
from tasks.corrections.lyrics import sample_of_words
from tasks.corrections.outcome import clock
from tasks.corrections.placing import plain, word_at

Said = tuple[c.Change, str | None]
Spanned = TypeVar("Spanned", m.Chord, m.Section, m.Key, m.Note)

#: A person who names a time means a word, or a note, that is at most so far from it (s).
_REACH_SEC = 1.0
_MOST_LISTED = 8


# --- beats and key ---------------------------------------------------------------------------------------------------------------------


def tempo(song: m.SongMap, double: bool) -> Said:
    """Half or twice the tempo."""
    bpm = song.tempo.bpm_global
    if bpm is None:
        raise CorrectionUnplaceable("The song has no steady tempo", "Give its beats: `beats tap FILE`, or `beats replace FILE`")
    return c.TempoDoubled(bpm=bpm) if double else c.TempoHalved(bpm=bpm), f"{bpm:.4g} bpm"


def downbeat(song: m.SongMap, beats: int, since: float | None = None) -> Said:
    """The one is so many beats later, or earlier where it is negative."""
    if beats == 0:
        raise CorrectionUnplaceable("A one that moves by no beat stays", "Say by how many beats: 1, 2, or less than 0 for earlier")
    ones = [index for index, time in enumerate(song.beats) if time in set(song.downbeats) and (since is None or time >= since - 1e-6)]
    place = next((index + beats for index in ones if 0 <= index + beats < len(song.beats)), None)
    if place is None:
        raise CorrectionUnplaceable("There is no bar there")
    change = c.DownbeatMoved(beats=beats, downbeat=song.beats[place], since=since)
    return change, f"the one at {clock(song.beats[place - beats])}"


def downbeat_at(song: m.SongMap, time: float) -> Said:
    """The beat nearest to a time is a one."""
    if len(song.beats) < 2 or not song.downbeats:
        raise CorrectionUnplaceable("The song has no bars")
    target = min(range(len(song.beats)), key=lambda index: abs(song.beats[index] - time))
    ones = {index for index, beat in enumerate(song.beats) if beat in set(song.downbeats)}
    by = next((step for step in sorted(range(-31, 32), key=abs) if target - step in ones), 0)
    if by == 0:
        raise CorrectionUnplaceable(f"The beat at {clock(song.beats[target])} is a one already, or no bar begins near it")
    return c.DownbeatMoved(beats=by, downbeat=song.beats[target]), f"the one at {clock(song.beats[target - by])}"


def beats_shifted(song: m.SongMap, ms: float) -> Said:
    """All beats later, or earlier."""
    return c.BeatsShifted(ms=ms, heard=sample_of_beats(_there(song.beats, "beats"))), None


def beats_tapped(song: m.SongMap, times: Sequence[float], one: float | None = None) -> Said:
    """Beats as they were tapped along."""
    inside = sorted({round(time, 6) for time in times if 0 <= time <= song.duration_sec})
    if len(inside) < 4:
        raise CorrectionUnplaceable("Fewer than four taps lie in the song", "Tap along for a bar or more")
    return c.BeatsTapped(times=tuple(inside), downbeat=one), f"{len(song.beats)} beats"


def beats_replaced(song: m.SongMap, beats: Sequence[tuple[float, int]]) -> Said:
    """Another grid: (time, position in the bar) of each beat."""
    inside = [beat for beat in sorted(beats) if 0 <= beat[0] <= song.duration_sec]
    if len(inside) < 2:
        raise CorrectionUnplaceable("Fewer than two beats lie in the song")
    return c.BeatsReplaced(beats=tuple(inside)), f"{len(song.beats)} beats"


def meter(song: m.SongMap, numerator: int, denominator: Any, at: float | None = None) -> Said:
    """The meter of the song, or of the passage around a time."""
    was = next((span for span in song.meter.changes if at is not None and span.start <= at < span.end), song.meter)
    return c.MeterSet(numerator=numerator, denominator=denominator, at=at), f"{was.numerator}/{was.denominator}"


def key(song: m.SongMap, tonic: str, mode: Mode, start: float | None = None, end: float | None = None) -> Said:
    """The key of the song, or from one time to another."""
    if start is not None and end is not None and end <= start:
        raise CorrectionUnplaceable("The key would end before it begins", "Give --from and --until in this order")
    was = [span for span in song.key if (end is None or span.start < end) and (start is None or span.end > start)]
    return c.KeySet(tonic=tonic, mode=mode, start=start, end=end), ", ".join(f"{span.tonic} {span.mode}" for span in was) or None


# --- chords ----------------------------------------------------------------------------------------------------------------------------


def chord(song: m.SongMap, at: float, label: str, everywhere: bool = False) -> Said:
    """Another chord in the place of the one that sounds at a time."""
    place = chord_at(song, at)
    spans = tuple(c.PlaceSpan(start=other.start, end=other.end) for other in alike(song.chords, place)) if everywhere else ()
    return c.ChordReplaced(chord=place, label=label, everywhere=everywhere, places=spans), harte.display(place.label)


def chord_split(song: m.SongMap, at: float, labels: tuple[str, str]) -> Said:
    """A chord that changes at a time."""
    place = chord_at(song, at)
    if not place.start < at < place.end:
        raise CorrectionUnplaceable(f"A chord begins at {clock(at)} already", "Replace it, or give a time within a chord")
    return c.ChordSplit(chord=place, at=at, labels=labels), harte.display(place.label)


def chords_merged(song: m.SongMap, start: float, end: float, label: str | None = None) -> Said:
    """One chord in the place of those from one time to another; that of the first where none is given."""
    first, last = chord_at(song, start), chord_at(song, end)
    if last.start <= first.start:
        raise CorrectionUnplaceable("Both times lie in one chord", "Give a time in the first of the chords and one in the last")
    return c.ChordsMerged(first=first, last=last, label=label or first.label), f"{harte.display(first.label)} … {harte.display(last.label)}"


def chord_at(song: m.SongMap, at: float) -> c.ChordAt:
    """The chord that sounds at a time, as an operation names it."""
    index = _index_at(song.chords, at, "chords")
    found = song.chords[index]
    return c.ChordAt(
        start=found.start,
        end=found.end,
        label=found.label,
        before=song.chords[index - 1].label if index else None,
        after=song.chords[index + 1].label if index + 1 < len(song.chords) else None,
    )


# --- sections --------------------------------------------------------------------------------------------------------------------------


def section(song: m.SongMap, at: float, label: SectionLabel) -> Said:
    """Another name for the section at a time."""
    place = section_at(song, at)
    return c.SectionRelabelled(section=place, label=label), place.label


def section_moved(song: m.SongMap, at: float, start: float) -> Said:
    """The section at a time begins elsewhere."""
    place = section_at(song, at)
    if place.start <= 0:
        raise CorrectionUnplaceable("The first section begins with the song", "Split it, or move the beginning of the one after it")
    return c.SectionMoved(section=place, start=start), f"{place.label} from {clock(place.start)}"


def section_split(song: m.SongMap, at: float, labels: tuple[SectionLabel, SectionLabel]) -> Said:
    """A section begins at a time, within another."""
    place = section_at(song, at)
    return c.SectionSplit(section=place, at=at, labels=labels), place.label


def sections_merged(song: m.SongMap, at: float, label: SectionLabel | None = None) -> Said:
    """The section at a time and the one after it are one; with the name of the first where none is given."""
    index = _index_at(song.sections, at, "sections")
    if index + 1 == len(song.sections):
        raise CorrectionUnplaceable("There is no section after the last", "Give a time in the first of the two")
    first, second = _section(song.sections[index]), _section(song.sections[index + 1])
    return c.SectionsMerged(first=first, second=second, label=label or first.label), f"{first.label}, {second.label}"


def section_at(song: m.SongMap, at: float) -> c.SectionAt:
    return _section(song.sections[_index_at(song.sections, at, "sections")])


def _section(found: m.Section) -> c.SectionAt:
    return c.SectionAt(start=found.start, end=found.end, label=found.label)


# --- words -----------------------------------------------------------------------------------------------------------------------------


def word(song: m.SongMap, at: float | None, text: str | None, to: str) -> Said:
    """Another word; several; none."""
    place = find(song, at, text)
    return c.WordText(word=place, text=to.strip()), place.text


def word_time(song: m.SongMap, at: float | None, text: str | None, start: float | None, end: float | None) -> Said:
    """A word is sung at another time; where only the start is given it stays as long as it is."""
    place = find(song, at, text)
    held = next(word for line in song.lyrics for word in line.words if word.start == place.time and word.text == place.text)
    begins = held.start if start is None else start
    ends = begins + (held.end - held.start) if end is None and start is not None else held.end if end is None else end
    if ends <= begins:
        raise CorrectionUnplaceable("The word would end before it begins", "Give --start and --end in this order")
    return c.WordTime(word=place, start=round(begins, 6), end=round(ends, 6)), f"{held.text} {clock(held.start)} to {clock(held.end)}"


def line_split(song: m.SongMap, at: float | None, text: str | None = None) -> Said:
    """A line begins with the word."""
    place = find(song, at, text)
    return c.LineSplit(word=place), _line_of(song, place)


def lines_joined(song: m.SongMap, at: float | None, text: str | None = None) -> Said:
    """The line at a time goes on with the line before: named by any word of it."""
    place = find(song, at, text)
    number = next(index for index, line in enumerate(song.lyrics) if any(word.start == place.time for word in line.words))
    if number == 0:
        raise CorrectionUnplaceable("There is no line before the first")
    return c.LinesJoined(word=word_at(song.lyrics, number, 0)), song.lyrics[number].text


def lyrics_shifted(song: m.SongMap, ms: float) -> Said:
    """All lyrics later, or earlier."""
    return c.LyricsShifted(ms=ms, heard=sample_of_words(_there(song.lyrics, "lyrics"))), None


def lyrics_given(song: m.SongMap, text: str) -> Said:
    """What is sung, as the person has it."""
    if not text.strip():
        raise CorrectionUnplaceable("The lyrics are empty")
    return c.LyricsGiven(text=text), " / ".join(line.text for line in song.lyrics)[:200] or None


def find(song: m.SongMap, at: float | None, text: str | None) -> c.WordAt:
    """The word that is sung at a time, or has a text, or both."""
    places = [(line, place) for line, whole in enumerate(_there(song.lyrics, "lyrics")) for place in range(len(whole.words))]
    if text is not None:
        places = [(line, place) for line, place in places if plain(song.lyrics[line].words[place].text) == plain(text)]
        if not places:
            raise CorrectionUnplaceable(f"The word {text!r} is not in the lyrics")
    if at is None:
        if text is None:
            raise CorrectionUnplaceable("No word was named", "Say --at SECONDS, --text WORD, or both")
        if len(places) > 1:
            times = [f"{song.lyrics[line].words[place].start:.2f}" for line, place in places]
            listed = ", ".join(times[:_MOST_LISTED]) + (" …" if len(times) > _MOST_LISTED else "")
            raise CorrectionUnplaceable(f"The word {text!r} is sung {len(places)} times", f"Say which with --at: {listed}")
        return word_at(song.lyrics, *places[0])

    def far(place: tuple[int, int]) -> float:
        held = song.lyrics[place[0]].words[place[1]]
        return max(held.start - at, at - held.end, 0.0)

    # Where one word ends and the next begins, the one that begins is meant.
    best = min(places, key=lambda place: (far(place), -song.lyrics[place[0]].words[place[1]].start))
    if far(best) > _REACH_SEC:
        held = song.lyrics[best[0]].words[best[1]]
        raise CorrectionUnplaceable(f"No such word is sung near {clock(at)}; the nearest is {held.text!r} at {held.start:.2f}")
    return word_at(song.lyrics, *best)


def _line_of(song: m.SongMap, place: c.WordAt) -> str | None:
    return next((line.text for line in song.lyrics if any(word.start == place.time for word in line.words)), None)


# --- notes and names -------------------------------------------------------------------------------------------------------------------


def note_pitch(song: m.SongMap, part: c.PartName, at: float, midi: int) -> Said:
    """A note has another pitch."""
    place = note_at(song, part, at)
    return c.NotePitch(note=place, midi=midi), str(place.midi)


def note_time(song: m.SongMap, part: c.PartName, at: float, start: float | None, end: float | None) -> Said:
    """A note begins or ends elsewhere."""
    place = note_at(song, part, at)
    begins, ends = place.start if start is None else start, place.end if end is None else end
    if ends <= begins:
        raise CorrectionUnplaceable("The note would end before it begins", "Give --start and --end in this order")
    return c.NoteTime(note=place, start=begins, end=ends), f"{clock(place.start)} to {clock(place.end)}"


def note_at(song: m.SongMap, part: c.PartName, at: float) -> c.NoteAt:
    """The note of a part that sounds at a time, or the nearest."""
    notes: Sequence[m.Note] = _there(getattr(song.performance, part), f"notes in its {part}")
    best = min(notes, key=lambda note: (max(note.start - at, at - note.end, 0.0), -note.start))
    if max(best.start - at, at - best.end) > _REACH_SEC:
        raise CorrectionUnplaceable(f"The {part} has no note near {clock(at)}")
    return c.NoteAt(part=part, start=best.start, end=best.end, midi=best.midi)


def title(song: m.SongMap, text: str) -> Said:
    return c.TitleSet(title=text), song.title


def artist(song: m.SongMap, text: str) -> Said:
    return c.ArtistSet(artist=text), song.source.tags.artist


# --- taking back -----------------------------------------------------------------------------------------------------------------------


def undo(counting: Iterable[c.Operation], operation: str | None = None) -> Said:
    """The last operation that counts is taken back, or the one whose id begins so. Raises CorrectionUnplaceable."""
    held = list(counting)
    if not held:
        raise CorrectionUnplaceable("Nothing is put right in the song", "`performia correct SONG list` shows what is")
    meant = [entry for entry in held if entry.id.startswith(operation)] if operation else held[-1:]
    if len(meant) != 1:
        why = "several operations begin" if meant else "no operation that counts begins"
        raise CorrectionUnplaceable(f"{operation!r}: {why} so", "`performia correct SONG list` shows their ids")
    return c.Undo(operation=meant[0].id), meant[0].change.kind


def _index_at(spans: Sequence[Spanned], at: float, what: str) -> int:
    index = next((index for index, span in enumerate(_there(spans, what)) if span.start <= at < span.end), None)
    if index is None and spans and abs(spans[-1].end - at) < _REACH_SEC:
        index = len(spans) - 1
    if index is None:
        raise CorrectionUnplaceable(f"{clock(max(at, 0.0))} lies outside the {what}", "Give a time in the song, in seconds or as 1:02.5")
    return index


def _there(found: Any, what: str) -> Any:
    if not found:
        raise CorrectionUnplaceable(f"The song has no {what}")
    return found
