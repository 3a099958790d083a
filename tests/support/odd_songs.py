"""Song Maps of the odd kinds that an export must write: no words, no chords, no pulse, a pickup, 3/4, 6/8, changes of meter and key, names
in any script, text that is markup elsewhere, more than an hour and a half. Made here, valid, and the same every time.

`song_of(name)` gives one, `SONGS` are the names; `Maker` makes others.
"""

from __future__ import annotations

import copy
import functools
import json
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from schemas.song_map import SongMap
from tasks.common.harmony import harte, spelling

EXAMPLE = Path(__file__).parents[1] / "unit" / "packager" / "golden" / "song_map.json"
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}

#: A word, or a word in its syllables.
Sung = str | tuple[str, ...]


@dataclass
class Maker:
    """A song by bars and beats. All places are beats from the first downbeat (float; negative in the pickup); a beat is the meter's own.

    meters: numerator, denominator and how many bars, in order. pickup: beats before the first downbeat. steady: False for a song without
    beats, whose places are seconds after `first_sec`. lines: (beat, words, beats a syllable). chords: (beat, Harte label).
    keys: (beat, tonic, mode). sections: (beat, label, group). The melody has a note for each syllable, the bass one for each chord.
    """

    title: str = "Plain Song"
    artist: str | None = "The Testers"
    language: str | None = "en"
    bpm: float = 100.0
    first_sec: float = 0.5
    meters: Sequence[tuple[int, int, int]] = ((4, 4, 8),)
    pickup: int = 0
    steady: bool = True
    lines: Sequence[tuple[float, Sequence[Sung], float]] = ()
    chords: Sequence[tuple[float, str]] = ()
    keys: Sequence[tuple[float, str, str]] = ((0, "C", "major"),)
    sections: Sequence[tuple[float, str, str]] = ()
    tail_sec: float = 1.7
    changes: Callable[[dict[str, Any]], None] = field(default=lambda document: None)

    def make(self) -> SongMap:
        document: dict[str, Any] = copy.deepcopy(json.loads(EXAMPLE.read_text(encoding="utf-8")))
        self._write_beats(document)
        self._write_music(document)
        self._write_words(document)
        document["title"] = self.title
        document["source"]["tags"] |= {"title": self.title, "artist": self.artist}
        self.changes(document)
        return SongMap.from_json(json.dumps(document))

    # --- time ---

    @property
    def _counts(self) -> list[int]:
        return [numerator for numerator, _, bars in self.meters for _ in range(bars)]

    def time(self, beat: float) -> float:
        """Seconds of a place. The tempo breathes by a few per mille, so that no time is round."""
        if not self.steady:
            return round(self.first_sec + beat, 6)
        count = beat + self.pickup
        return round(self.first_sec + count * 60 / self.bpm + 0.011 * math.sin(count / 3), 6)

    @property
    def duration(self) -> float:
        return round(self.time(sum(self._counts)) + self.tail_sec, 6)

    def _write_beats(self, document: dict[str, Any]) -> None:
        counts = self._counts if self.steady else []
        total = sum(counts)
        beats = [self.time(nth) for nth in range(-self.pickup, total)] if self.steady else []
        firsts = [self.pickup + sum(counts[:nth]) for nth in range(len(counts))]
        ends = [beats[first] for first in firsts[1:]] + [self.time(total)] * bool(counts)
        document["duration_sec"] = self.duration
        document["beats"] = beats
        document["beat_conf"] = [0.9] * len(beats)
        document["downbeats"] = [beats[first] for first in firsts]
        document["bars"] = [
            {"start": beats[first], "end": end, "first_beat": first, "beats": count}
            for first, end, count in zip(firsts, ends, counts, strict=True)
        ]
        changes, place = [], 0
        for nth, (numerator, denominator, bars) in enumerate(self.meters):
            start = 0.0 if nth == 0 else self.time(place)
            place += numerator * bars
            end = self.duration if nth == len(self.meters) - 1 else self.time(place)
            changes.append({"start": start, "end": end, "numerator": numerator, "denominator": denominator, "conf": 0.8})
        longest = max(changes, key=lambda change: change["end"] - change["start"])
        document["meter"] = {name: longest[name] for name in ("numerator", "denominator", "conf")} | {"changes": changes}
        bpm = self.bpm if self.steady else None
        document["tempo"] = {
            "bpm_global": bpm,
            "curve": [[beats[0], self.bpm]] if self.steady else [],
            "confidence": 0.9 if self.steady else 0.0,
            "candidates": [{"bpm": bpm, "weight": 1.0}] if self.steady else [],
        }

    def _covering(self, places: Sequence[float]) -> list[tuple[float, float]]:
        """Spans from 0 to the end of the song that begin at these places, the first at 0."""
        times = [0.0, *(self.time(place) for place in places[1:]), self.duration]
        return list(pairwise(times))

    # --- music ---

    def _write_music(self, document: dict[str, Any]) -> None:
        keys = self._covering([beat for beat, *_ in self.keys]) if self.keys else []
        document["key"] = [
            {"start": start, "end": end, "tonic": tonic, "mode": mode, "conf": 0.7}
            for (start, end), (_, tonic, mode) in zip(keys, self.keys, strict=True)
        ]
        spans = self._covering([beat for beat, _ in self.chords]) if self.chords else []
        document["chords"] = [self._chord(start, end, label, document) for (start, end), (_, label) in zip(spans, self.chords, strict=True)]
        bass = [
            self._note(chord["start"] + 0.01, chord["end"] - 0.01, 36 + spelling.pitch_class(chord["bass"] or chord["root"]))
            for chord in document["chords"]
            if chord["root"]
        ]
        document["performance"]["bass"] = bass
        document["performance"]["harmony"] = []
        sections = self._covering([beat for beat, *_ in self.sections]) if self.sections else []
        document["sections"] = []
        for (start, end), (_, label, group) in zip(sections, self.sections, strict=True):
            index = 1 + sum(section["label"] == label for section in document["sections"])
            document["sections"].append({"start": start, "end": end, "label": label, "index": index, "group": group, "conf": 0.6})
        document["levels"] = {"coarse": [], "fine": [], "repeats": []}

    def _chord(self, start: float, end: float, label: str, document: dict[str, Any]) -> dict[str, Any]:
        parts = harte.parse(label)
        beats = document["beats"]
        on = [bisect_right(beats, time - 1e-6) if beats else None for time in (start, end)]
        return {
            "start": start,
            "end": end,
            "label": label,
            "conf": 0.8,
            "display": harte.display(label),
            "root": parts.root if parts else None,
            "quality": parts.quality if parts else None,
            "bass": parts.bass_note if parts else None,
            "start_beat": on[0],
            "end_beat": on[1],
            "alternatives": [],
        }

    def _note(self, start: float, end: float, midi: int) -> dict[str, Any]:
        return {"start": round(start, 6), "end": round(end, 6), "midi": midi, "conf": 0.75, "cents": 4.0, "bends": []}

    # --- words ---

    def _write_words(self, document: dict[str, Any]) -> None:
        lines, notes = [], []
        for beat, words, length in self.lines:
            written, place = [], beat
            for word in words:
                parts = (word,) if isinstance(word, str) else word
                bounds = [self.time(place + nth * length) for nth in range(len(parts) + 1)]
                bounds[-1] = round(bounds[-1] - 0.02, 6)
                place += length * len(parts)
                cut = [
                    {"start": start, "end": end, "text": text} for text, start, end in zip(parts, bounds, bounds[1:], strict=False)
                ]  # fmt: skip
                written.append(
                    {
                        "start": bounds[0],
                        "end": bounds[-1],
                        "text": "".join(parts),
                        "conf": 0.9,
                        "syllables": cut if len(parts) > 1 else [],
                    }
                )
                notes += [self._note(part["start"], part["end"], self._pitch(len(notes) + nth)) for nth, part in enumerate(cut)]
            separator = "" if self.language in ("ja", "zh") else " "
            text = separator.join(word["text"] for word in written)
            lines.append({"start": written[0]["start"], "end": written[-1]["end"], "text": text, "conf": 0.9, "words": written})
        document["lyrics"] = lines
        document["performance"]["melody"] = notes
        document["performance"]["parts"] = {"melody": self._facts(notes), "bass": self._facts(document["performance"]["bass"])}
        document["voice"] = {
            "language": self.language if lines else None,
            "language_conf": 0.9 if lines else None,
            "activity": [[line["start"], line["end"]] for line in lines],
            "transcribed_from": "vocals",
        }

    def _pitch(self, nth: int) -> int:
        """A melody that goes up and down the scale of the first key from C4 on."""
        _, tonic, mode = self.keys[0] if self.keys else (0, "C", "major")
        step = (0, 1, 2, 4, 3, 2, 1, 0, 5, 4)[nth % 10]
        return 60 + (spelling.pitch_class(tonic) + _SCALES[mode][step]) % 12

    def _facts(self, notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
        pitches = [note["midi"] for note in notes]
        return {
            "lowest_midi": min(pitches, default=None),
            "highest_midi": max(pitches, default=None),
            "polyphonic": False,
            "polyphonic_share": 0.0,
        }


VERSE: Sequence[tuple[float, Sequence[Sung], float]] = (
    (8, [("Shi", "ning"), ("ri", "ver,"), "carry", "me"], 0.5),
    (12, ["Down", "to", "the", "sea"], 0.75),
    (16, [("O", "ver"), "and", ("o", "ver"), "again"], 0.5),
    (20, ["Sing", "with", "me"], 1.0),
)
CHORDS: Sequence[tuple[float, str]] = (
    (0, "C:maj"),
    (4, "A:min7"),
    (8, "F:maj"),
    (10, "G:7"),
    (12, "C:maj/3"),
    (16, "D:min7"),
    (18, "G:sus4(b7)"),
    (20, "E:hdim7"),
    (24, "Bb:maj7"),
    (28, "N"),
)
SECTIONS: Sequence[tuple[float, str, str]] = ((0, "intro", "A"), (8, "verse", "B"), (16, "chorus", "C"), (24, "outro", "A"))


def _plain() -> Maker:
    return Maker(lines=VERSE, chords=CHORDS, sections=SECTIONS)


def _instrumental() -> Maker:
    return Maker(title="No Words", language=None, chords=CHORDS, sections=SECTIONS)


def _no_chords() -> Maker:
    return Maker(title="A Cappella", lines=VERSE, sections=SECTIONS)


def _no_pulse() -> Maker:
    chords = ((0, "D:min"), (6.5, "A:maj/3"), (17.25, "D:min"))
    lines = ((5, ["Slow", "and", "free"], 1.3), (14.5, [("hea", "ven")], 2.0))
    return Maker(title="Rubato", steady=False, lines=lines, chords=chords, keys=((0, "D", "minor"),), sections=((0, "verse", "A"),))


def _nothing() -> Maker:
    """What is left where every optional step failed, and there is no pulse."""
    return Maker(title="Noise", artist=None, language=None, steady=False, keys=())


def _pickup() -> Maker:
    lines = ((-1, ["Oh", "say,", "can", "you", "see"], 1.0), (7, ["by", "the", "dawn's"], 1.0))
    return Maker(
        title="Upbeat",
        pickup=2,
        bpm=90.0,
        lines=lines,
        chords=((-2, "N"), (0, "G:maj"), (4, "D:7"), (8, "G:maj")),
        keys=((0, "G", "major"),),
        sections=((0, "verse", "A"), (8, "chorus", "B"), (16, "outro", "C")),
    )


def _waltz() -> Maker:
    lines = ((6, ["One", "two", "three"], 1.0), (9, [("wal", "tzing"), "a", "way"], 0.75))
    return Maker(
        title="Waltz",
        meters=((3, 4, 12),),
        bpm=140.0,
        lines=lines,
        chords=((0, "F:maj"), (6, "D:min"), (9, "Bb:maj"), (12, "C:7"), (15, "F:maj")),
        keys=((0, "F", "major"),),
        sections=((0, "intro", "A"), (6, "verse", "B"), (18, "solo", "C")),
    )


def _six_eight() -> Maker:
    lines = ((12, [("Rol", "ling"), "home", "a", "cross", "the", "sea"], 1.0), (24, [("rol", "ling"), "home"], 3.0))
    return Maker(
        title="Shanty",
        meters=((6, 8, 8),),
        bpm=180.0,
        lines=lines,
        chords=((0, "E:min"), (6, "D:maj"), (12, "E:min"), (15, "B:min"), (24, "C:maj"), (30, "E:min")),
        keys=((0, "E", "minor"),),
        sections=((0, "intro", "A"), (12, "verse", "B"), (36, "outro", "A")),
    )


def _changing() -> Maker:
    """4/4, two bars of 3/4, 4/4, a bar of 7/8 whose beats are eighths; C minor to C# major; a word held over a change of chord."""
    lines = ((4, ["Hold", ("on", "ward"), "still"], 1.5), (14, ["Turn", "the", ("cor", "ner")], 0.6), (24, [("Sharp", "er"), "now"], 1.0))
    return Maker(
        title="Changes",
        meters=((4, 4, 3), (3, 4, 2), (4, 4, 2), (7, 8, 1), (4, 4, 2)),
        bpm=120.0,
        lines=lines,
        chords=(
            (0, "C:min"),
            (5.5, "Ab:maj"),
            (12, "Bb:7"),
            (15, "Eb:maj"),
            (18, "C#:maj"),
            (22, "G#:maj/3"),
            (26, "F#:maj"),
            (33, "C#:maj"),
        ),
        keys=((0, "C", "minor"), (18, "C#", "major")),
        sections=((0, "verse", "A"), (12, "bridge", "B"), (18, "chorus", "C")),
    )


def _japanese() -> Maker:
    lines = ((8, ["さくら", "さくら"], 1.5), (16, [("や", "よ", "い"), "の", "空", "は"], 0.5))
    return Maker(title="さくら", artist="日本古謡", language="ja", lines=lines, chords=CHORDS, sections=SECTIONS)


def _arabic() -> Maker:
    lines = ((8, ["يا", "ليل", "يا", "عين"], 0.75), (16, ["حبيبي"], 2.0))
    return Maker(title="يا ليل", artist="فرقة", language="ar", lines=lines, chords=CHORDS, sections=SECTIONS)


def _combining() -> Maker:
    """Letters of two code points, beyond the basic plane, joined emoji, and letters that NFC would change."""
    lines = ((8, ["Cafe\u0301", "nai\u0308ve", "𝄞𝔘", "👩\u200d🎤"], 0.5), (16, ["हिन्दी", "ไทย", "Ångström"], 0.75))
    return Maker(title="E\u0301tude № 1 👩\u200d🎤", artist="Ólöf & Þór", language="fr", lines=lines, chords=CHORDS, sections=SECTIONS)


def _markup() -> Maker:
    """Text that is markup, a time, a comment, a tag or a separator in some format or other."""
    lines = (
        (8, ["{\\k50}", "<b>bold</b>", "[00:01.00]", "<00:01.00>"], 0.5),
        (12, ["#hash", "-", "*star*", "a|b", "~"], 0.5),
        (16, ["-->", "&amp;", "C:\\new\\N", '"quoted,"'], 0.5),
        (20, ["[Am]", "{comment:", "x}", "%percent"], 0.5),
    )
    return Maker(title='[ti:"A" <B>]\\{C}, #D; 100%', artist="AC/DC: {The} | [Band]", lines=lines, chords=CHORDS, sections=SECTIONS)


def _long() -> Maker:
    """A hundred minutes, with words at both ends: the minutes have three digits, and so have the hours' bounds been passed."""
    bars = 2501
    lines = ((8, ["Begin"], 1.0), (bars * 4 - 8, [("fi", "nal"), "words"], 1.0))
    return Maker(
        title="Long", meters=((4, 4, bars),), lines=lines, chords=((0, "C:maj"), (bars * 4 - 8, "G:maj")), sections=((0, "verse", "A"),)
    )


def _breathless() -> Maker:
    """Words of a few hundredths of a second that follow each other at once, over two lines without a gap."""
    words = [f"w{nth}" for nth in range(60)]
    lines = ((8, words[:37], 0.0617), (8 + 37 * 0.0617, words[37:], 0.0371))
    return Maker(title="Fast", lines=lines, chords=CHORDS, sections=SECTIONS)


def _lines_without_words() -> Maker:
    """Lines of which only the beginning and the end are known; no artist."""

    def changes(document: dict[str, Any]) -> None:
        for line in document["lyrics"]:
            line["words"] = []

    return Maker(title="Lines", artist=None, lines=VERSE, chords=CHORDS, sections=SECTIONS, changes=changes)


_MAKERS: dict[str, Callable[[], Maker]] = {
    "plain": _plain,
    "instrumental": _instrumental,
    "no_chords": _no_chords,
    "no_pulse": _no_pulse,
    "nothing": _nothing,
    "pickup": _pickup,
    "waltz": _waltz,
    "six_eight": _six_eight,
    "changing": _changing,
    "japanese": _japanese,
    "arabic": _arabic,
    "combining": _combining,
    "markup": _markup,
    "long": _long,
    "breathless": _breathless,
    "lines_without_words": _lines_without_words,
}
SONGS = tuple(_MAKERS)


@functools.cache
def song_of(name: str) -> SongMap:
    """One of `SONGS`."""
    return _MAKERS[name]().make()
