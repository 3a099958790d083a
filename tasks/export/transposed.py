"""A Song Map in another key: chords, keys and notes moved by semitones and spelled anew, times as they were. Pure.

A key gets the name with the fewer accidentals in its signature, a chord's root the name it has in the key that holds there, its bass the
name of its degree above that root: Bb:maj/3 in F major (over D), three semitones up, is Db:maj/3 in Ab major (over F), never C#.

    transposed(song_map, 2)      # sounds a whole tone higher
    shapes(song_map, 3)          # what the hands play with a capo at the third fret; what sounds is as it was
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.results import KeySpan
from schemas.song_map import Chord, ChordAlternative, Key, Note, PartFacts, SongMap
from tasks.common.harmony import harte, naming, spelling
from tasks.common.harmony.on_beats import key_of

_OCTAVE = 12
_HIGHEST_MIDI = 127


def transposed(song_map: SongMap, semitones: int) -> SongMap:
    """The map of the song as it sounds `semitones` higher (lower where negative). By whole octaves, all names stay as they are.

    A note that would leave MIDI's 0 to 127 sounds in the nearest octave within.
    """
    if semitones == 0:
        return song_map
    moved = shapes(song_map, -semitones)
    performance = song_map.performance
    parts = performance.parts
    return moved.model_copy(
        update={
            "performance": performance.model_copy(
                update={
                    "melody": tuple(_note(note, semitones) for note in performance.melody),
                    "bass": tuple(_note(note, semitones) for note in performance.bass),
                    "harmony": tuple(_note(note, semitones) for note in performance.harmony),
                    "parts": parts.model_copy(update={"melody": _facts(parts.melody, semitones), "bass": _facts(parts.bass, semitones)}),
                }
            )
        }
    )


def shapes(song_map: SongMap, capo: int) -> SongMap:
    """The map with its chords and keys as a guitarist with a capo at that fret thinks of them; notes and the sound stay as they are."""
    if capo % _OCTAVE == 0:
        return song_map
    keys = tuple(_key(key, -capo) for key in song_map.key)
    spans = [KeySpan(start=key.start, end=key.end, tonic=key.tonic, mode=key.mode, confidence=key.conf) for key in keys]
    return song_map.model_copy(update={"key": keys, "chords": tuple(_chord(chord, -capo, spans) for chord in song_map.chords)})


def transposed_label(label: str, semitones: int, key: KeySpan | None = None) -> str:
    """A chord's label in Harte's syntax, moved and named as `key` (the one it gets into) names it; N and X stay. Raises ValueError."""
    chord = harte.parse(label)
    if chord is None or semitones % _OCTAVE == 0:
        return label
    root = spelling.name_at(7 * (spelling.pitch_class(chord.root) + semitones) % _OCTAVE)
    return naming.in_key(harte.HarteChord(root, chord.quality, chord.bass).label, key)


def _key(key: Key, semitones: int) -> Key:
    return key.model_copy(update={"tonic": spelling.tonic_name(spelling.pitch_class(key.tonic) + semitones, key.mode)})


def _chord(chord: Chord, semitones: int, keys: Sequence[KeySpan]) -> Chord:
    key = key_of(chord.start, chord.end, keys)
    label = transposed_label(chord.label, semitones, key)
    parts = harte.parse(label)
    names = {"root": parts.root, "quality": parts.quality, "bass": parts.bass_note} if parts else {}
    alternatives = tuple(_alternative(other, semitones, key) for other in chord.alternatives)
    return chord.model_copy(update={"label": label, "display": harte.display(label), "alternatives": alternatives, **names})


def _alternative(other: ChordAlternative, semitones: int, key: KeySpan | None) -> ChordAlternative:
    label = transposed_label(other.label, semitones, key)
    return other.model_copy(update={"label": label, "display": harte.display(label)})


def _note(note: Note, semitones: int) -> Note:
    moved = _within_midi(note.midi + semitones)
    bends = tuple((time, round(midi + moved - note.midi, 3)) for time, midi in note.bends)
    return note.model_copy(update={"midi": moved, "bends": bends})


def _facts(part: PartFacts | None, semitones: int) -> PartFacts | None:
    if part is None or part.lowest_midi is None or part.highest_midi is None:
        return part
    moved = sorted(_within_midi(midi + semitones) for midi in (part.lowest_midi, part.highest_midi))
    return part.model_copy(update={"lowest_midi": moved[0], "highest_midi": moved[1]})


def _within_midi(midi: int) -> int:
    while midi > _HIGHEST_MIDI:
        midi -= _OCTAVE
    while midi < 0:
        midi += _OCTAVE
    return midi
