"""A Song Map in another key: there and back again it is the same, and every name is the one that the new key asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.results import KeySpan
from schemas.song_map import Chord, Key, SongMap
from tasks.common.harmony import harte, naming, spelling
from tasks.export.transposed import shapes, transposed, transposed_label

ROOT = Path(__file__).parents[3]
GOLDEN = SongMap.from_json((ROOT / "tests/unit/packager/golden/song_map.json").read_bytes())
QUALITIES = ("maj", "min", "7", "min7", "maj7", "sus4(b7)", "dim7", "hdim7", "maj(9)", "(1,5)", "aug", "min6")


def a_key(tonic: str, mode: str) -> Key:
    return Key.model_validate({"start": 0.0, "end": GOLDEN.duration_sec, "tonic": tonic, "mode": mode, "conf": 1.0})


def a_chord(label: str) -> Chord:
    chord = harte.parse(label)
    return GOLDEN.chords[0].model_copy(
        update={
            "label": label,
            "display": harte.display(label),
            "root": chord.root if chord else None,
            "quality": chord.quality if chord else None,
            "bass": chord.bass_note if chord else None,
            "alternatives": (),
        }
    )


def a_song(tonic: str, mode: str, labels: list[str]) -> SongMap:
    return GOLDEN.model_copy(update={"key": (a_key(tonic, mode),), "chords": tuple(a_chord(label) for label in labels)})


@st.composite
def songs(draw: st.DrawFn) -> SongMap:
    """A song in any key, its chords named as the analysis names them."""
    mode = draw(st.sampled_from(["major", "minor"]))
    tonic = spelling.tonic_name(draw(st.integers(0, 11)), mode)
    key = KeySpan(start=0, end=16, tonic=tonic, mode=mode, confidence=1)
    root = st.sampled_from(["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"])
    basses = st.sampled_from(["", "/3", "/b3", "/5", "/b7"])
    label = st.tuples(root, st.sampled_from(QUALITIES), basses).map(lambda parts: f"{parts[0]}:{parts[1]}{parts[2]}")
    labels = draw(st.lists(st.one_of(label, st.sampled_from(["N", "X"])), max_size=6))
    return a_song(tonic, mode, [naming.in_key(label, key) for label in labels])


def pitches(song: SongMap) -> list[int | None]:
    return [None if chord.root is None else spelling.pitch_class(chord.root) for chord in song.chords]


@settings(max_examples=40, deadline=None)
@given(songs(), st.integers(-24, 24))
def test_there_and_back_again_is_the_same(song: SongMap, semitones: int) -> None:
    assert transposed(transposed(song, semitones), -semitones) == song


@settings(max_examples=40, deadline=None)
@given(songs(), st.sampled_from([-24, -12, 0, 12, 24]))
def test_an_octave_has_the_same_names(song: SongMap, octaves: int) -> None:
    moved = transposed(song, octaves)
    assert (moved.chords, moved.key) == (song.chords, song.key)
    assert [note.midi - octaves for note in moved.performance.melody] == [note.midi for note in song.performance.melody]


@settings(max_examples=40, deadline=None)
@given(songs(), st.integers(-11, 11), st.integers(-11, 11))
def test_two_steps_are_one(song: SongMap, first: int, second: int) -> None:
    assert transposed(transposed(song, first), second) == transposed(song, first + second)


@settings(max_examples=40, deadline=None)
@given(songs(), st.integers(-11, 11))
def test_every_root_and_bass_moves_by_as_many_semitones_as_asked(song: SongMap, semitones: int) -> None:
    moved = transposed(song, semitones)
    for before, after in zip(song.chords, moved.chords, strict=True):
        assert before.quality == after.quality
        for name, new in ((before.root, after.root), (before.bass, after.bass)):
            assert (name is None) == (new is None)
            if name and new:
                assert (spelling.pitch_class(new) - spelling.pitch_class(name)) % 12 == semitones % 12
        if after.root is not None:
            assert after.display == harte.display(after.label)
    for key, new_key in zip(song.key, moved.key, strict=True):
        assert (spelling.pitch_class(new_key.tonic) - spelling.pitch_class(key.tonic)) % 12 == semitones % 12


@settings(max_examples=40, deadline=None)
@given(songs(), st.integers(0, 11))
def test_a_capo_changes_the_shapes_and_not_the_sound(song: SongMap, capo: int) -> None:
    shape = shapes(song, capo)
    assert shape.performance == song.performance
    assert [None if pitch is None else (pitch + capo) % 12 for pitch in pitches(shape)] == pitches(song)


@pytest.mark.parametrize(
    ("tonic", "mode", "semitones", "labels", "key", "moved"),
    [
        ("F", "major", 3, ["Bb:maj/3", "C:7", "D:min"], "Ab", ["Db:maj/3", "Eb:7", "F:min"]),
        ("C", "major", 2, ["C:maj", "F:maj", "Bb:maj", "F#:dim"], "D", ["D:maj", "G:maj", "C:maj", "G#:dim"]),
        ("C", "major", 1, ["C:maj", "E:min", "B:dim"], "Db", ["Db:maj", "F:min", "C:dim"]),
        ("C", "major", 6, ["C:maj", "F:maj", "E:min"], "F#", ["F#:maj", "B:maj", "A#:min"]),
        ("A", "minor", -3, ["A:min", "E:7", "G#:dim7", "F:maj"], "F#", ["F#:min", "C#:7", "F:dim7", "D:maj"]),
        ("E", "minor", 1, ["E:min", "B:7", "C:maj"], "F", ["F:min", "C:7", "Db:maj"]),
        ("E", "major", -2, ["E:maj", "A:maj/3", "B:sus4(b7)"], "D", ["D:maj", "G:maj/3", "A:sus4(b7)"]),
        ("Gb", "major", 12, ["Gb:maj", "Cb:maj"], "Gb", ["Gb:maj", "Cb:maj"]),
        ("Gb", "major", -1, ["Gb:maj", "Cb:maj"], "F", ["F:maj", "Bb:maj"]),
    ],
)
def test_names_are_those_that_the_key_asks_for(
    tonic: str, mode: str, semitones: int, labels: list[str], key: str, moved: list[str]
) -> None:
    song = transposed(a_song(tonic, mode, labels), semitones)
    assert song.key[0].tonic == key
    assert [chord.label for chord in song.chords] == moved


def test_each_chord_is_named_by_the_key_that_holds_there() -> None:
    song = a_song("A", "major", ["C#:min", "C#:min"])
    half = song.duration_sec / 2
    keys = (a_key("A", "major").model_copy(update={"end": half}), a_key("Ab", "major").model_copy(update={"start": half}))
    chords = (
        song.chords[0].model_copy(update={"start": 0.0, "end": half}),
        song.chords[1].model_copy(update={"start": half, "end": song.duration_sec}),
    )
    moved = transposed(song.model_copy(update={"key": keys, "chords": chords}), 5)
    assert [key.tonic for key in moved.key] == ["D", "Db"]
    assert [chord.label for chord in moved.chords] == ["F#:min", "Gb:min"]


def test_without_a_key_the_commonest_names_are_used() -> None:
    song = a_song("C", "major", ["C:maj", "G:min7/b3"]).model_copy(update={"key": ()})
    assert [chord.display for chord in transposed(song, 1).chords] == ["C#", "Abm7/Cb"]


def test_notes_move_with_their_bends_and_the_range_of_their_part() -> None:
    song = transposed(GOLDEN, -4)
    for part in ("melody", "bass", "harmony"):
        before, after = getattr(GOLDEN.performance, part), getattr(song.performance, part)
        assert [note.midi + 4 for note in after] == [note.midi for note in before]
        assert [[midi + 4 for _, midi in note.bends] for note in after] == [[midi for _, midi in note.bends] for note in before]
    assert GOLDEN.performance.parts.melody is not None
    assert song.performance.parts.melody is not None
    assert song.performance.parts.melody.lowest_midi == (GOLDEN.performance.parts.melody.lowest_midi or 0) - 4


def test_a_note_beyond_midi_sounds_in_the_nearest_octave() -> None:
    note = GOLDEN.performance.melody[0].model_copy(update={"midi": 125, "bends": ((1.0, 125.5),)})
    song = GOLDEN.model_copy(update={"performance": GOLDEN.performance.model_copy(update={"melody": (note,)})})
    moved = transposed(song, 5).performance.melody[0]
    assert (moved.midi, moved.bends) == (118, ((1.0, 118.5),))


def test_a_transposed_map_is_a_valid_map() -> None:
    for semitones in (-5, 7):
        SongMap.from_json(transposed(GOLDEN, semitones).to_json())


def test_no_chord_stays_no_chord() -> None:
    assert [transposed_label(label, 3) for label in ("N", "X")] == ["N", "X"]
    with pytest.raises(ValueError, match="Harte"):
        transposed_label("Hm7", 3)
