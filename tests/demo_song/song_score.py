"""The score of the demo song: form, chords, words and tune, in bars and eighth notes.

Nothing here knows about audio. Every other module turns positions into seconds with `Score.time`, so
the sound and the annotations come from the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

TITLE = "River Shine"
ARTIST = "Performia"
LICENCE = "CC0-1.0"

BPM = 112.0
BEATS_PER_BAR = 4
EIGHTHS_PER_BAR = 8
LEAD_IN_SEC = 0.5
RING_OUT_SEC = 2.2
KEY_TONIC = "G"
KEY_MODE = "major"


@dataclass(frozen=True)
class ChordSpan:
    """One chord: its Harte label, where it stands in its section (in eighths) and how it is voiced."""

    label: str
    start: int
    length: int
    bass: int
    voicing: tuple[int, ...]


@dataclass(frozen=True)
class Syllable:
    """One sung syllable. `start` and `length` are in eighths from the start of its line."""

    text: str
    ipa: str
    ends_word: bool
    start: int
    length: int
    midi: int


@dataclass(frozen=True)
class LyricLine:
    """One line of words, sung over two bars that begin at eighth `start` of its section."""

    text: str
    start: int
    syllables: tuple[Syllable, ...]

    @property
    def ipa(self) -> str:
        """The line's phonemes, words divided by spaces."""
        return "".join(s.ipa + (" " if s.ends_word else "") for s in self.syllables).rstrip()


@dataclass(frozen=True)
class Section:
    """A part of the form: its kind, its length and what is played and sung in it."""

    label: str
    bars: int
    chords: tuple[ChordSpan, ...]
    lines: tuple[LyricLine, ...]
    start_bar: int


@dataclass(frozen=True)
class Score:
    """The whole song."""

    sections: tuple[Section, ...]

    @property
    def bars(self) -> int:
        """Number of bars in the song."""
        return sum(section.bars for section in self.sections)

    @property
    def duration(self) -> float:
        """Length of the audio in seconds, with the silence before and the ring-out after the bars."""
        return self.time(self.bars * EIGHTHS_PER_BAR) + RING_OUT_SEC

    def time(self, eighth: float) -> float:
        """Seconds from sample 0 to the given eighth, counted from the first bar line."""
        return LEAD_IN_SEC + eighth * 30.0 / BPM

    def section_eighth(self, section: Section) -> int:
        """The eighth on which a section begins."""
        return section.start_bar * EIGHTHS_PER_BAR


# Harte label -> bass note and the notes of the upper parts (MIDI numbers).
VOICINGS: dict[str, tuple[int, tuple[int, ...]]] = {
    "G:maj": (43, (59, 62, 67)),
    "D:maj/3": (42, (62, 66, 69)),
    "E:min7": (40, (59, 62, 64, 67)),
    "C:maj7": (36, (59, 60, 64, 67)),
    "A:min7": (45, (60, 64, 67, 69)),
    "D:7": (38, (60, 62, 66, 69)),
    "C:maj": (36, (60, 64, 67)),
    "D:maj": (38, (62, 66, 69)),
    "E:min": (40, (59, 64, 67)),
    "G:maj/3": (35, (62, 67, 71)),
}

# One entry a bar; two chords in a bar are divided by a blank and last half a bar each.
VERSE_CHORDS = ("G:maj", "D:maj/3", "E:min7", "C:maj7", "G:maj", "D:maj/3", "A:min7", "D:7")
CHORUS_CHORDS = ("C:maj", "D:maj", "E:min", "G:maj/3", "C:maj", "D:maj", "A:min7 D:7", "G:maj")
INTRO_CHORDS = ("G:maj", "E:min7", "C:maj7", "D:7")
OUTRO_CHORDS = ("C:maj7", "D:7", "G:maj", "G:maj")

# (start, length) in eighths for each syllable of a two-bar line.
VERSE_LONG = ((0, 2), (2, 1), (3, 3), (6, 2), (8, 1), (9, 1), (10, 2), (12, 2))
VERSE_SHORT = ((0, 2), (2, 1), (3, 3), (6, 2), (8, 2), (10, 2), (12, 3))
CHORUS_RHYTHM = ((0, 3), (3, 1), (4, 2), (6, 2), (8, 2), (10, 1), (11, 4))

VERSE_RHYTHMS = (VERSE_LONG, VERSE_SHORT, VERSE_LONG, VERSE_SHORT)
VERSE_TUNE = (
    (50, 52, 55, 55, 54, 52, 54, 50),
    (52, 54, 55, 55, 52, 52, 55),
    (50, 52, 55, 57, 57, 55, 54, 50),
    (52, 52, 55, 57, 54, 54, 57),
)
CHORUS_RHYTHMS = (CHORUS_RHYTHM,) * 4
CHORUS_TUNE = (
    (55, 57, 60, 59, 57, 59, 57),
    (55, 57, 59, 59, 62, 60, 59),
    (60, 60, 62, 60, 62, 60, 57),
    (57, 60, 62, 60, 59, 57, 55),
)

# Words with '-' between the syllables of a word, and the same syllables in IPA with '.' between them.
VERSE_1 = (
    ("Morn-ing light is on the wa-ter", "mˈɔːɹ.nɪŋ lˈaɪt ɪz ˈɔn ðə wˈɔː.ɾɚ"),
    ("All the boats are out at sea", "ˈɔːl ðə bˈoʊts ɑːɹ ˈaʊt æt sˈiː"),
    ("Sum-mer wind is get-ting warm-er", "sˈʌ.mɚ wˈɪnd ɪz ɡˈɛ.tɪŋ wˈɔːɹ.mɚ"),
    ("And the day is good to me", "ænd ðə dˈeɪ ɪz ɡˈʊd tə mˈiː"),
)
VERSE_2 = (
    ("Eve-ning falls a-long the val-ley", "ˈiːv.nɪŋ fˈɔːlz ɐ.lˈɔŋ ðə vˈæ.li"),
    ("All the birds have gone to sleep", "ˈɔːl ðə bˈɜːdz hæv ɡˈɔn tə slˈiːp"),
    ("Lights are shin-ing in the al-ley", "lˈaɪts ɑːɹ ʃˈaɪ.nɪŋ ɪn ðɪ ˈæ.li"),
    ("And the sky is blue and deep", "ænd ðə skˈaɪ ɪz blˈuː ænd dˈiːp"),
)
CHORUS = (
    ("Come and see the riv-er shine", "kˈʌm ænd sˈiː ðə ɹˈɪ.vɚ ʃˈaɪn"),
    ("Find the gold on eve-ry stone", "fˈaɪnd ðə ɡˈoʊld ˈɔn ˈɛ.vɹi stˈoʊn"),
    ("We have bread and we have wine", "wiː hˈæv bɹˈɛd ænd wiː hˈæv wˈaɪn"),
    ("I will bring you safe-ly home", "aɪ wɪl bɹˈɪŋ juː sˈeɪf.li hˈoʊm"),
)

Words = tuple[tuple[str, str], ...]
Rhythms = tuple[tuple[tuple[int, int], ...], ...]
Tune = tuple[tuple[int, ...], ...]


def _chord_spans(bars: tuple[str, ...]) -> tuple[ChordSpan, ...]:
    spans = []
    for number, bar in enumerate(bars):
        labels = bar.split()
        length = EIGHTHS_PER_BAR // len(labels)
        for place, label in enumerate(labels):
            bass, voicing = VOICINGS[label]
            spans.append(ChordSpan(label, number * EIGHTHS_PER_BAR + place * length, length, bass, voicing))
    return tuple(spans)


def _line(words: str, ipa: str, start: int, rhythm: tuple[tuple[int, int], ...], tune: tuple[int, ...]) -> LyricLine:
    texts = [(part, n == len(parts)) for parts in (word.split("-") for word in words.split()) for n, part in enumerate(parts, 1)]
    phones = [part for word in ipa.split() for part in word.split(".")]
    if not len(texts) == len(phones) == len(rhythm) == len(tune):
        raise ValueError(f"syllables, phonemes, rhythm and tune do not match: {words!r}")
    syllables = tuple(
        Syllable(text, phone, ends, at, length, midi)
        for (text, ends), phone, (at, length), midi in zip(texts, phones, rhythm, tune, strict=True)
    )
    return LyricLine(words.replace("-", ""), start, syllables)


def _lines(words: Words, rhythms: Rhythms, tune: Tune) -> tuple[LyricLine, ...]:
    rows = zip(words, rhythms, tune, strict=True)
    return tuple(_line(*pair, n * 2 * EIGHTHS_PER_BAR, rhythm, notes) for n, (pair, rhythm, notes) in enumerate(rows))


def build_score() -> Score:
    """Put the parts in order: intro, verse, chorus, verse, chorus, outro."""
    chorus = _lines(CHORUS, CHORUS_RHYTHMS, CHORUS_TUNE)
    plan: tuple[tuple[str, tuple[str, ...], tuple[LyricLine, ...]], ...] = (
        ("intro", INTRO_CHORDS, ()),
        ("verse", VERSE_CHORDS, _lines(VERSE_1, VERSE_RHYTHMS, VERSE_TUNE)),
        ("chorus", CHORUS_CHORDS, chorus),
        ("verse", VERSE_CHORDS, _lines(VERSE_2, VERSE_RHYTHMS, VERSE_TUNE)),
        ("chorus", CHORUS_CHORDS, chorus),
        ("outro", OUTRO_CHORDS, ()),
    )
    sections, bar = [], 0
    for label, chords, lines in plan:
        sections.append(Section(label, len(chords), _chord_spans(chords), lines, bar))
        bar += len(chords)
    return Score(tuple(sections))
