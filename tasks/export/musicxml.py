"""MusicXML 4.0: a lead sheet. The melody on the grid of the beats, with its words; chords over it, sections as rehearsal marks.

What is used of the format is in version 3.1 too. Every bar is written out: what repeats is there as often as it is played. The beats before
the first downbeat are a pickup bar. A syllable that no note was heard for is a note without pitch, with a cross for its head; what is sung
so fast that the grid does not keep it apart shares a note. Without a pulse, a quarter note is half a second, which the sheet says.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from xml.etree import ElementTree

from schemas.song_map import Chord, Key, SongMap
from tasks.common.harmony import harte, spelling
from tasks.export.chord_kinds import kind_of
from tasks.export.grid import QUARTER, Bar, Grid, grid_of
from tasks.export.headings import headings
from tasks.export.note_values import Value, values
from tasks.export.options import ExportOptions
from tasks.export.quantised import quantised
from tasks.export.signatures import fifths_of
from tasks.export.song import Song
from tasks.export.sung import Text, sung_notes

#: Divisions of a quarter note, and the ticks of one.
_DIVISIONS: Final = 48
_TICKS: Final = QUARTER // _DIVISIONS
#: Chords begin on a sixteenth.
_STEP: Final = QUARTER // 4
_DOCTYPE: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
#: Characters that XML has no place for.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: A voice whose median is below this is written an octave higher than it sounds, as tenors are.
_LOW_VOICE: Final = 57
_BEAT_UNITS: Final = {1: "whole", 2: "half", 4: "quarter", 8: "eighth", 16: "16th", 32: "32nd", 64: "64th"}
_NO_PULSE: Final = "No steady pulse: a quarter note is half a second"

_Element = ElementTree.Element
_Span = TypeVar("_Span", Chord, Key)


def write(song: Song, options: ExportOptions) -> bytes:  # noqa: ARG001 (every writer takes them)
    """The lead sheet."""
    root = _Element("score-partwise", version="4.0")
    _add(_add(root, "work"), "work-title", song.map.title)
    identification = _add(root, "identification")
    if song.artist:
        _add(identification, "creator", song.artist, type="artist")
    _add(_add(identification, "encoding"), "software", "Performia")
    part = _add(_add(root, "part-list"), "score-part", id="P1")
    _add(part, "part-name", "Melody")
    _Sheet(song.map).write(_add(root, "part", id="P1"))
    ElementTree.indent(root, " ")
    return (_DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n").encode()


@dataclass(frozen=True, slots=True)
class _Sung:
    """A note on the grid. start, end: ticks. midi: None where it is spoken. held: whether its syllable goes on with the next note."""

    start: int
    end: int
    midi: int | None
    texts: tuple[Text, ...]
    held: bool


class _Sheet:
    def __init__(self, song_map: SongMap) -> None:
        self._map = song_map
        ends = [note.end for note in song_map.performance.melody]
        self._grid = grid_of(song_map, from_zero=False, until=max(ends, default=0.0))
        self._notes = _notes(song_map, self._grid)
        self._first = self._first_tick()
        self._places = {place for note in self._notes for place in (note.start, note.end)}
        pitches = [note.midi for note in self._notes if note.midi is not None]
        self._is_low = bool(pitches) and statistics.median(pitches) < _LOW_VOICE
        self._chords = self._at_ticks(song_map.chords, lambda time: self._grid.nearest(time, _STEP))
        self._bars = self._written_bars()
        self._keys = self._at_ticks(song_map.key, self._grid.bar_line)
        marks = zip(song_map.sections, headings(song_map.sections), strict=True)
        self._marks = [(max(self._grid.bar_line(section.start), self._first), heading) for section, heading in marks]

    def _first_tick(self) -> int:
        """Where the sheet begins: at the first beat that was heard, or that of the first note if it is earlier."""
        if not self._grid.has_pulse:
            return 0
        first = round(self._grid.tick(self._map.beats[0]))
        if self._notes and self._notes[0].start < first:
            bar = self._grid.bars[self._grid.bar_at(self._notes[0].start)]
            first = bar.tick + (self._notes[0].start - bar.tick) // bar.beat * bar.beat
        return first

    def _written_bars(self) -> list[Bar]:
        """The bars from the first one on, without those after the last note and chord in which no beat was heard."""
        bars = list(self._grid.bars[self._grid.bar_at(self._first) :])
        last = max([*(note.end for note in self._notes[-1:]), *(tick + 1 for tick, chord in self._chords if chord.root)], default=0)
        while self._grid.has_pulse and len(bars) > 1 and not bars[-1].is_heard and bars[-1].tick >= last:
            bars.pop()
        return bars

    def _at_ticks(self, spans: Iterable[_Span], place: Callable[[float], int]) -> list[tuple[int, _Span]]:
        """[(tick, span)] in order, one a tick, none before the sheet begins: of several the last."""
        found: dict[int, _Span] = {}
        for span in spans:
            found[max(place(span.start), self._first)] = span
        return sorted(found.items(), key=lambda item: item[0])

    def write(self, part: _Element) -> None:
        number = 0
        meter: tuple[int, int] | None = None
        for nth, bar in enumerate(self._bars):
            full = (bar.numerator, bar.denominator)
            start = max(bar.tick, self._first)
            is_pickup = nth == 0 and len(self._bars) > 1 and self._grid.has_pulse and self._is_short(bar, start)
            if is_pickup:
                full = (self._bars[1].numerator, self._bars[1].denominator)
            number += not is_pickup
            attributes = {"number": str(number), **({"implicit": "yes"} if is_pickup else {})}
            measure = _add(part, "measure", **attributes)
            self._attributes(measure, start, bar, full if full != meter else None)
            meter = full
            self._directions(measure, start, bar)
            self._music(measure, start, bar)
            if nth == len(self._bars) - 1:
                _add(_add(measure, "barline", location="right"), "bar-style", "light-heavy")

    def _is_short(self, bar: Bar, start: int) -> bool:
        following = self._bars[1]
        return start > bar.tick or (bar.length < following.length and bar.denominator == following.denominator)

    # --- what stands at the beginning of a bar ---

    def _attributes(self, measure: _Element, start: int, bar: Bar, meter: tuple[int, int] | None) -> None:
        keys = [key for tick, key in self._keys if start <= tick < bar.until]
        is_first = start == self._first
        if not (is_first or keys or meter):
            return
        attributes = _add(measure, "attributes")
        if is_first:
            _add(attributes, "divisions", _DIVISIONS)
        for key in keys[-1:]:
            signature = _add(attributes, "key")
            _add(signature, "fifths", fifths_of(key))
            _add(signature, "mode", key.mode)
        if meter:
            time = _add(attributes, "time", **({} if self._grid.has_pulse else {"print-object": "no"}))
            _add(time, "beats", meter[0])
            _add(time, "beat-type", meter[1])
        if is_first:
            clef = _add(attributes, "clef")
            _add(clef, "sign", "G")
            _add(clef, "line", 2)
            if self._is_low:
                _add(clef, "clef-octave-change", -1)

    def _directions(self, measure: _Element, start: int, bar: Bar) -> None:
        if start == self._first:
            self._tempo(measure, bar)
        for tick, heading in self._marks:
            if start <= tick < bar.until or (bar is self._bars[-1] and tick >= bar.until):
                _add(_direction(measure), "rehearsal", heading)

    def _tempo(self, measure: _Element, bar: Bar) -> None:
        bpm = self._map.tempo.bpm_global if self._grid.has_pulse else None
        if not self._grid.has_pulse:
            _add(_direction(measure), "words", _NO_PULSE)
        elif bpm is not None:
            metronome = _add(_direction(measure), "metronome")
            _add(metronome, "beat-unit", _BEAT_UNITS[bar.denominator])
            _add(metronome, "per-minute", f"{bpm:.6g}")
        quarters = 120.0 if bpm is None else bpm * 4 / bar.denominator
        _add(measure, "sound", tempo=f"{quarters:.6g}")

    # --- notes and chords ---

    def _music(self, measure: _Element, start: int, bar: Bar) -> None:
        chords = [(tick, chord) for tick, chord in self._chords if start <= tick < bar.until]
        here = [note for note in self._notes if note.start < bar.until and note.end > start]
        if not here:
            _harmonies(measure, chords, start)
            note = _add(measure, "note")
            _add(note, "rest", measure="yes")
            _add(note, "duration", (bar.until - start) // _TICKS)
            _add(note, "voice", 1)
            return
        for sung, value in self._pieces(here, start, bar):
            end = value.start + value.length
            _harmonies(measure, [(tick, chord) for tick, chord in chords if value.start <= tick < end], value.start)
            self._note(measure, sung, value, bar)

    def _pieces(self, notes: Sequence[_Sung], start: int, bar: Bar) -> Iterator[tuple[_Sung | None, Value]]:
        """(note, or None for a rest; value) over a bar, in order."""
        now = start
        for note in notes:
            begin, end = max(note.start, start), min(note.end, bar.until)
            yield from ((None, value) for value in values(now, begin, bar, self._places))
            yield from ((note, value) for value in values(begin, end, bar, self._places))
            now = end
        yield from ((None, value) for value in values(now, bar.until, bar, self._places))

    def _note(self, measure: _Element, sung: _Sung | None, value: Value, bar: Bar) -> None:
        note = _add(measure, "note")
        end = value.start + value.length
        is_first, is_last = sung is not None and value.start == sung.start, sung is not None and end == sung.end
        if sung is None:
            _add(note, "rest")
        elif sung.midi is None:
            unpitched = _add(note, "unpitched")
            _add(unpitched, "display-step", "B")
            _add(unpitched, "display-octave", 4)
        else:
            _pitch(_add(note, "pitch"), sung.midi, self._key_at(value.start))
        _add(note, "duration", value.length // _TICKS)
        ties = [kind for kind, is_tied in (("stop", not is_first), ("start", not is_last)) if sung is not None and is_tied]
        for kind in ties:
            _add(note, "tie", type=kind)
        _add(note, "voice", 1)
        _add(note, "type", value.type)
        for _ in range(value.dots):
            _add(note, "dot")
        if value.triplet:
            modification = _add(note, "time-modification")
            _add(modification, "actual-notes", 3)
            _add(modification, "normal-notes", 2)
            _add(modification, "normal-type", "eighth")
        if sung is not None and sung.midi is None:
            _add(note, "notehead", "x")
        _notations(note, ties, value, bar)
        if sung is not None and is_first and sung.texts:
            _lyric(note, sung)

    def _key_at(self, tick: int) -> Key | None:
        return next((key for place, key in reversed(self._keys) if place <= tick), None)


def _notes(song_map: SongMap, grid: Grid) -> tuple[_Sung, ...]:
    notes = sung_notes(song_map)
    slots = quantised([(note.start, note.end) for note in notes], grid)
    found = []
    for nth, slot in enumerate(slots):
        pitches = [midi for member in (slot.main, *slot.members) if (midi := notes[member].midi) is not None]
        texts = tuple(text for member in slot.members if (text := notes[member].text) is not None)
        held = nth + 1 < len(slots) and all(notes[member].goes_on for member in slots[nth + 1].members)
        found.append(_Sung(slot.start, slot.end, pitches[0] if pitches else None, texts, held))
    return tuple(found)


def _pitch(pitch: _Element, midi: int, key: Key | None) -> None:
    name = spelling.respell(spelling.tonic_name(midi, "major"), key.tonic if key else None, key.mode if key else "major")
    alter = name.count("#") - name.count("b")
    _add(pitch, "step", name[0])
    if alter:
        _add(pitch, "alter", alter)
    _add(pitch, "octave", (midi - alter) // 12 - 1)


def _notations(note: _Element, ties: Sequence[str], value: Value, bar: Bar) -> None:
    cell = (value.start - bar.tick) % QUARTER
    tuplets = [kind for kind, is_there in (("start", cell == 0), ("stop", cell + value.length == QUARTER)) if value.triplet and is_there]
    if not ties and not tuplets:
        return
    notations = _add(note, "notations")
    for kind in ties:
        _add(notations, "tied", type=kind)
    for kind in tuplets:
        _add(notations, "tuplet", type=kind, bracket="yes")


def _lyric(note: _Element, sung: _Sung) -> None:
    lyric = _add(note, "lyric", number="1")
    for nth, text in enumerate(sung.texts):
        if nth:
            _add(lyric, "elision", " " if sung.texts[nth - 1].after else "")
        _add(lyric, "syllabic", _syllabic(text))
        _add(lyric, "text", text.text)
    if sung.held and sung.texts[-1].ends_word:
        _add(lyric, "extend")


def _syllabic(text: Text) -> str:
    if text.parts == 1:
        return "single"
    return "begin" if text.part == 0 else "end" if text.ends_word else "middle"


def _harmonies(measure: _Element, chords: Iterable[tuple[int, Chord]], start: int) -> None:
    """Chord symbols that stand before what begins at `start` (ticks)."""
    for tick, chord in chords:
        harmony = _add(measure, "harmony")
        parts = harte.parse(chord.label)
        if parts is None:
            _add(_add(harmony, "root"), "root-step", "C", text="")
            _add(harmony, "kind", "none", text=chord.display)
        else:
            _named(harmony, "root", parts.root)
            kind, degrees = kind_of(parts.quality)
            _add(harmony, "kind", kind, text=harte.HarteChord(parts.root, parts.quality).display[len(parts.root) :])
            if parts.bass_note:
                _named(harmony, "bass", parts.bass_note)
            for degree in degrees:
                added = _add(harmony, "degree", **{"print-object": "no"})
                _add(added, "degree-value", degree.value)
                _add(added, "degree-alter", degree.alter)
                _add(added, "degree-type", degree.kind)
        if tick > start:
            _add(harmony, "offset", (tick - start) // _TICKS)


def _named(harmony: _Element, what: str, name: str) -> None:
    """A note's name as `root` or `bass`."""
    element = _add(harmony, what)
    _add(element, f"{what}-step", name[0])
    if alter := name.count("#") - name.count("b"):
        _add(element, f"{what}-alter", alter)


def _direction(measure: _Element) -> _Element:
    """The direction-type of a new direction above the staff."""
    return _add(_add(measure, "direction", placement="above"), "direction-type")


def _add(parent: _Element, name: str, text: str | int | None = None, /, **attributes: str) -> _Element:
    element = ElementTree.SubElement(parent, name, attributes)
    if text is not None:
        element.text = _NO_XML.sub("\ufffd", str(text))
    return element
