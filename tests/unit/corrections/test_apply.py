"""Corrections hold in the map they were made in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.corrections.apply import Correcting, apply, beats_of_map
from tasks.corrections.lyrics import sample_of_words
from tasks.corrections.placing import word_at
from tasks.packager.validation import validate

Correct = Callable[..., Correcting]
AM = c.ChordAt(start=8.0, end=10.0, label="A:min", before="G:maj", after="F:maj")


def fates(correcting: Correcting) -> list[str]:
    return [outcome.outcome for outcome in correcting.outcomes]


def texts(song_map: SongMap) -> list[str]:
    return [line.text for line in song_map.lyrics]


def labels(song_map: SongMap, start: float, end: float) -> list[tuple[float, float, str]]:
    return [(chord.start, chord.end, chord.label) for chord in song_map.chords if start <= chord.start < end]


def test_nothing_said_is_the_machines_map(song_map: SongMap) -> None:
    assert apply(song_map, ()).song_map is song_map


def test_a_tempo_halved_keeps_every_second_beat_and_carries_the_chords(song_map: SongMap, correct: Correct) -> None:
    done = correct(song_map, c.TempoHalved(bpm=120.0))
    made = done.song_map
    assert fates(done) == ["applied"]
    assert (made.tempo.bpm_global, made.tempo.confidence, made.tempo.by) == (60.0, 1.0, "person")
    assert made.beats == song_map.beats[::2]
    assert made.downbeats == song_map.downbeats[::2]
    assert [chord.start for chord in made.chords] == [chord.start for chord in song_map.chords]
    assert [chord.start_beat for chord in made.chords[:3]] == [0, 2, 4]


def test_a_tempo_doubled_puts_a_beat_between_any_two(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.TempoDoubled(bpm=120.0)).song_map
    assert made.beats[:3] == (0.0, 0.25, 0.5)
    assert made.downbeats[:3] == (0.0, 1.0, 2.0)
    assert made.tempo.bpm_global == 240.0


def test_the_same_word_elsewhere_is_not_the_one_that_was_made_right(song_map: SongMap, correct: Correct) -> None:
    gone = c.WordAt(time=9.8, text="unheard", before=("quite", "other"), after=("words", "here"))
    made = correct(song_map, c.WordText(word=gone, text="walking"))
    assert song_map.lyrics[0].words[0].text == "walking"  # 1.8 s before
    assert fates(made) == ["conflict"]


def test_halved_and_doubled_again_is_what_it_was(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.TempoHalved(bpm=120.0), c.TempoDoubled(bpm=60.0)).song_map
    assert made.beats == song_map.beats
    assert made.tempo.bpm_global == 120.0


@pytest.mark.parametrize(("beats", "first"), [(1, 0.5), (2, 1.0), (-1, 1.5)])
def test_the_one_moves_by_beats(song_map: SongMap, correct: Correct, beats: int, first: float) -> None:
    done = correct(song_map, c.DownbeatMoved(beats=beats, downbeat=8.0 + 0.5 * beats))
    assert fates(done) == ["applied"]
    assert done.song_map.downbeats[0] == first
    assert done.song_map.by_person == ("downbeats",)
    assert all(bar.beats == 4 for bar in done.song_map.bars[:-1])


def test_the_one_moves_from_a_time_on(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.DownbeatMoved(beats=2, downbeat=33.0, since=32.0)).song_map
    assert [time for time in made.downbeats if 28 <= time < 38] == [28.0, 30.0, 33.0, 35.0, 37.0]


def test_a_one_between_the_beats_that_are_heard_now_is_a_conflict(song_map: SongMap, correct: Correct) -> None:
    half = correct(song_map, c.TempoHalved(bpm=120.0)).song_map
    done = correct(half, c.DownbeatMoved(beats=-1, downbeat=1.5), on=song_map)
    assert fates(done) == ["conflict"]
    assert done.song_map.downbeats == half.downbeats


def test_beats_are_shifted_with_chords_and_sections(song_map: SongMap, correct: Correct) -> None:
    done = correct(song_map, c.BeatsShifted(ms=40, heard=song_map.beats[::8]))
    made = done.song_map
    assert made.beats[:2] == (0.04, 0.54)
    assert made.chords[1].start == pytest.approx(2.04)
    assert made.sections[1].start == pytest.approx(8.04)
    assert set(made.beat_conf) == {1.0}


def test_taps_mean_the_heard_beats_near_them(song_map: SongMap, correct: Correct) -> None:
    taps = tuple(10.0 + 0.5 * k + 0.03 * (-1) ** k for k in range(16))
    done = correct(song_map, c.BeatsTapped(times=taps))
    assert fates(done) == ["obsolete"]
    assert done.song_map.beats == song_map.beats


def test_taps_at_half_the_tempo_halve_the_whole_song(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.BeatsTapped(times=tuple(10.5 + k for k in range(8)), downbeat=10.5)).song_map
    assert made.beats[:3] == (0.5, 1.5, 2.5)
    assert 10.5 in made.downbeats
    assert made.tempo.bpm_global == 60.0


def test_taps_beside_every_beat_take_their_place_as_far_as_they_go(song_map: SongMap, correct: Correct) -> None:
    # Of the heard beats, none stays within half a beat of a tap.
    made = correct(song_map, c.BeatsTapped(times=tuple(round(10.25 + 0.5 * k, 3) for k in range(8)))).song_map
    assert [time for time in made.beats if 9 <= time < 15] == [
        *(9.0, 9.5),
        *(10.25 + 0.5 * k for k in range(8)),
        14.5,
    ]


def test_a_grid_is_replaced(song_map: SongMap, correct: Correct) -> None:
    beats = tuple((round(0.2 + 0.6 * k, 3), k % 3 + 1) for k in range(100))
    made = correct(song_map, c.BeatsReplaced(beats=beats)).song_map
    assert made.beats == tuple(time for time, _ in beats)
    assert (made.meter.numerator, made.tempo.bpm_global) == (3, 100.0)
    assert made.by_person == ("beats", "downbeats")


def test_a_meter_counts_the_bars_anew(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.MeterSet(numerator=3, denominator=4)).song_map
    assert made.downbeats[:3] == (0.0, 1.5, 3.0)
    assert (made.meter.numerator, made.meter.by, made.meter.conf) == (3, "person", 1.0)


def test_a_key_spells_the_chords(song_map: SongMap, correct: Correct) -> None:
    sharp = correct(song_map, c.ChordReplaced(chord=AM, label="F#:min")).song_map
    machine = sharp.model_copy(update={"by_person": ()})
    made = correct(machine, c.KeySet(tonic="Db", mode="major", start=0.0, end=32.0)).song_map
    assert [(key.end, key.tonic, key.by) for key in made.key] == [(32.0, "Db", "person"), (64.0, "A", None)]
    assert labels(made, 8, 10) == [(8.0, 10.0, "Gb:min")]


def test_a_chord_is_another_one_here(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.ChordReplaced(chord=AM, label="A:min7")).song_map
    assert [chord.label for chord in made.chords].count("A:min7") == 1
    chord = next(chord for chord in made.chords if chord.label == "A:min7")
    assert (chord.start, chord.end, chord.display, chord.conf, chord.by, chord.start_beat) == (8.0, 10.0, "Am7", 1.0, "person", 16)


def test_a_chord_is_another_one_everywhere_the_progression_repeats(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.ChordReplaced(chord=AM, label="A:min7", everywhere=True)).song_map
    # The first bar has nothing before it: there it is no such progression.
    assert [chord.start for chord in made.chords if chord.label == "A:min7"] == [8.0 * k for k in range(1, 8)]


def test_a_chord_is_split_and_neighbours_are_merged(song_map: SongMap, correct: Correct) -> None:
    split = correct(song_map, c.ChordSplit(chord=AM, at=9.1, labels=("A:min", "E:7"))).song_map
    assert labels(split, 8, 10) == [(8.0, 9.0, "A:min"), (9.0, 10.0, "E:7")]
    last = c.ChordAt(start=10.0, end=12.0, label="F:maj")
    merged = correct(song_map, c.ChordsMerged(first=AM, last=last, label="D:min7")).song_map
    assert labels(merged, 8, 12) == [(8.0, 12.0, "D:min7")]


def test_a_section_is_relabelled_and_all_are_counted_anew(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.SectionRelabelled(section=c.SectionAt(start=8, end=24, label="verse"), label="chorus")).song_map
    assert [(section.label, section.index) for section in made.sections] == [
        ("intro", 1), ("chorus", 1), ("chorus", 2), ("verse", 1), ("outro", 1),
    ]  # fmt: skip


def test_a_section_is_moved_split_and_merged(song_map: SongMap, correct: Correct) -> None:
    chorus = c.SectionAt(start=24, end=40, label="chorus")
    moved = correct(song_map, c.SectionMoved(section=chorus, start=20.0)).song_map
    assert [(section.start, section.end) for section in moved.sections[1:3]] == [(8.0, 20.0), (20.0, 40.0)]
    split = correct(song_map, c.SectionSplit(section=chorus, at=32.0, labels=("chorus", "solo"))).song_map
    assert [(s.start, s.label, s.group) for s in split.sections[2:4]] == [(24.0, "chorus", "C"), (32.0, "solo", "E")]
    verse = c.SectionAt(start=40, end=56, label="verse")
    merged = correct(song_map, c.SectionsMerged(first=chorus, second=verse, label="bridge")).song_map
    assert [(s.start, s.end, s.label) for s in merged.sections[2:3]] == [(24.0, 56.0, "bridge")]
    assert merged.levels.repeats == ()


def test_a_word_is_another_several_or_none(song_map: SongMap, correct: Correct) -> None:
    made = correct(
        song_map,
        c.WordText(word=word_at(song_map.lyrics, 2, 0), text="Here"),
        c.WordText(word=word_at(song_map.lyrics, 3, 1), text="me on"),
        c.WordText(word=word_at(song_map.lyrics, 0, 1), text=""),
    ).song_map
    assert texts(made)[0] == "walking the river road"
    assert texts(made)[2:4] == ["Here the water singing low", "carry me on along the stones"]
    on = made.lyrics[3].words[1:3]
    assert [word.text for word in on] == ["me", "on"]
    assert (on[0].start, on[1].end) == (song_map.lyrics[3].words[1].start, song_map.lyrics[3].words[1].end)
    assert {word.by for word in on} == {"person"}


def test_a_word_has_another_time_and_its_neighbours_make_room(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.WordTime(word=word_at(song_map.lyrics, 0, 1), start=8.4, end=9.3)).song_map
    assert [(word.start, word.end) for word in made.lyrics[0].words[:3]] == [(8.0, 8.4), (8.4, 9.3), (9.3, 9.7)]
    first = correct(song_map, c.WordTime(word=word_at(song_map.lyrics, 1, 0), start=11.9, end=12.2)).song_map
    assert first.lyrics[1].start == 11.9


def test_a_word_does_not_pass_another(song_map: SongMap, correct: Correct) -> None:
    done = correct(song_map, c.WordTime(word=word_at(song_map.lyrics, 0, 1), start=10.0, end=10.4))
    assert fates(done) == ["conflict"]
    assert done.song_map.lyrics == song_map.lyrics


def test_a_line_is_split_and_joined_again(song_map: SongMap, correct: Correct) -> None:
    split = correct(song_map, c.LineSplit(word=word_at(song_map.lyrics, 1, 2))).song_map
    assert texts(split)[1:3] == ["nobody knows", "where it goes"]
    again = correct(song_map, c.LineSplit(word=word_at(song_map.lyrics, 1, 2)), c.LinesJoined(word=word_at(split.lyrics, 2, 0))).song_map
    assert texts(again) == texts(song_map)


def test_all_lyrics_are_shifted(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.LyricsShifted(ms=-250, heard=sample_of_words(song_map.lyrics))).song_map
    assert made.lyrics[0].start == pytest.approx(7.75)
    assert made.by_person == ("lyrics",)


def test_given_lyrics_that_no_step_has_aligned_are_a_conflict_that_says_so(song_map: SongMap, correct: Correct) -> None:
    assert fates(correct(song_map, c.LyricsGiven(text="an altogether different song"))) == ["conflict"]
    assert fates(correct(song_map, c.LyricsGiven(text="\n".join(texts(song_map))))) == ["applied"]


def test_a_note_has_another_pitch_and_another_time(song_map: SongMap, correct: Correct) -> None:
    note = song_map.performance.melody[0]
    at = c.NoteAt(part="melody", start=note.start, end=note.end, midi=note.midi)
    made = correct(
        song_map, c.NotePitch(note=at, midi=90), c.NoteTime(note=at.model_copy(update={"midi": 90}), start=7.9, end=8.3)
    ).song_map
    first = made.performance.melody[0]
    assert (first.midi, first.start, first.end, first.conf, first.by) == (90, 7.9, 8.3, 1.0, "person")
    assert made.performance.parts.melody is not None
    assert made.performance.parts.melody.highest_midi == 90


def test_title_and_artist(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.TitleSet(title="Road"), c.ArtistSet(artist="Ann")).song_map
    assert (made.title, made.source.tags.artist, made.by_person) == ("Road", "Ann", ("title", "artist"))


def test_what_is_taken_back_does_not_count_and_what_takes_it_back_can_be(song_map: SongMap, log_of: Any) -> None:
    log = log_of(song_map, c.TitleSet(title="Road"))
    first = log.operations[0].id
    off = log.operations[0].model_copy(update={"id": "a" * 12, "change": c.Undo(operation=first)})
    on = off.model_copy(update={"id": "b" * 12, "change": c.Undo(operation=off.id)})
    assert apply(song_map, (*log.operations, off)).song_map.title == song_map.title
    assert apply(song_map, (*log.operations, off, on)).song_map.title == "Road"


def test_what_is_heard_so_by_now_is_obsolete(song_map: SongMap, correct: Correct) -> None:
    change = c.ChordReplaced(chord=AM, label="A:min7")
    better = correct(song_map, change).song_map
    assert fates(correct(better, change, on=song_map)) == ["obsolete"]
    word = c.WordText(word=word_at(song_map.lyrics, 2, 0), text="Here")
    assert fates(correct(correct(song_map, word).song_map, word, on=song_map)) == ["obsolete"]
    tempo = c.TempoHalved(bpm=120.0)
    assert fates(correct(correct(song_map, tempo).song_map, tempo, on=song_map)) == ["obsolete"]


def test_a_tempo_that_is_another_one_by_now_is_a_conflict(song_map: SongMap, correct: Correct) -> None:
    assert fates(correct(song_map, c.TempoHalved(bpm=170.0))) == ["conflict"]


def test_a_corrected_map_is_valid_and_is_read_again(song_map: SongMap, correct: Correct) -> None:
    made = correct(song_map, c.TempoHalved(bpm=120.0), c.ChordReplaced(chord=AM, label="A:min7", everywhere=True)).song_map
    assert validate(json.loads(made.to_json())) == []
    assert SongMap.from_json(made.to_json()) == made


def test_a_map_and_its_beats_are_the_same_grid(song_map: SongMap) -> None:
    beats = beats_of_map(song_map)
    assert beats.downbeats == song_map.downbeats
    assert [beat.position for beat in beats.beats[:5]] == [1, 2, 3, 4, 1]
