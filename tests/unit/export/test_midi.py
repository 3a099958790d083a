"""MIDI, as pretty_midi reads it: what goes in comes out, to half a tick; nothing of the tempo map's rounding adds up."""

from __future__ import annotations

import io
from functools import cache

import mido
import numpy as np
import pretty_midi
import pytest
from odd_songs import SONGS, Maker, song_of

from schemas.song_map import SongMap
from tasks.common.harmony import harte
from tasks.common.harmony.spelling import pitch_class
from tasks.export.grid import QUARTER
from tasks.export.headings import headings
from tasks.export.midi import voiced, write
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.sung import texts_of

#: Half a tick where a quarter note lasts a second, the longest here, and what a tempo is rounded by within a bar.
TICK_SEC = 1 / QUARTER / 2 + 4e-6


@cache
def content(name: str, quantised: bool = False) -> bytes:
    return write(Song(song_of(name)), ExportOptions(quantised=quantised))


@cache
def read(name: str, quantised: bool = False) -> pretty_midi.PrettyMIDI:
    return pretty_midi.PrettyMIDI(io.BytesIO(content(name, quantised)), charset="utf-8")


@cache
def read_by_mido(name: str, quantised: bool = False) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(content(name, quantised)), charset="utf-8", clip=False)


def notes(file: pretty_midi.PrettyMIDI, track: str) -> list[pretty_midi.Note]:
    found = [instrument for instrument in file.instruments if instrument.name == track]
    return sorted((note for instrument in found for note in instrument.notes), key=lambda note: (note.start, note.pitch))


def placed(name: str, kind: str, quantised: bool = False) -> list[tuple[int, mido.MetaMessage]]:
    """(tick, message) of the meta events of a kind."""
    found = []
    for track in read_by_mido(name, quantised).tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == kind:
                found.append((now, message))
    return found


@pytest.mark.parametrize("name", SONGS)
def test_notes_sound_when_they_were_heard(name: str) -> None:
    performance = song_of(name).performance
    for track, part in (("Melody", performance.melody), ("Bass", performance.bass)):
        found = notes(read(name), track)
        assert [note.pitch for note in found] == [note.midi for note in part]
        for note, heard in zip(found, part, strict=True):
            assert note.start == pytest.approx(heard.start, abs=TICK_SEC)
            assert note.end == pytest.approx(heard.end, abs=TICK_SEC)


@pytest.mark.parametrize("name", SONGS)
def test_chords_are_their_tones_over_their_bass(name: str) -> None:
    chords = [chord for chord in song_of(name).chords if chord.root]
    found = notes(read(name), "Chords")
    starts = sorted({note.start for note in found})
    assert len(starts) == len(chords)
    for start, chord in zip(starts, chords, strict=True):
        together = sorted(note.pitch for note in found if note.start == start)
        parts = harte.parse(chord.label)
        assert parts is not None
        bass = pitch_class(parts.bass_note or parts.root)
        assert together[0] % 12 == bass
        tones = {(pitch_class(parts.root) + tone) % 12 for tone in harte.tones(parts.quality)}
        assert {pitch % 12 for pitch in together} == tones | {bass}
        assert start == pytest.approx(chord.start, abs=TICK_SEC)
    names = [(event.time, event.text) for event in read(name).text_events]
    assert [text for _, text in names] == [chord.display for chord in song_of(name).chords]


@pytest.mark.parametrize("name", SONGS)
def test_lyrics_are_whole_in_any_script(name: str) -> None:
    song_map = song_of(name)
    found = read(name).lyrics
    assert "".join(lyric.text for lyric in found) == "".join(text.text + text.after for text in texts_of(song_map)).replace("\n", "\r")
    for lyric, text in zip(found, texts_of(song_map), strict=True):
        assert lyric.time == pytest.approx(text.start, abs=TICK_SEC)


@pytest.mark.parametrize("name", [name for name in SONGS if song_of(name).bars])
def test_bars_begin_where_they_were_heard(name: str) -> None:
    starts = np.array([bar.start for bar in song_of(name).bars])
    downbeats = read(name).get_downbeats()
    assert np.abs(downbeats[np.searchsorted(downbeats, starts - 1e-3)] - starts).max() < 4e-6


@pytest.mark.parametrize("name", SONGS)
def test_one_note_spans_the_whole_song(name: str) -> None:
    (span,) = notes(read(name), "Song")
    assert span.start == 0
    assert span.end == pytest.approx(song_of(name).duration_sec, abs=TICK_SEC)


@pytest.mark.parametrize("name", SONGS)
def test_sections_are_markers_and_the_song_has_its_name(name: str) -> None:
    song_map = song_of(name)
    assert [message.text for _, message in placed(name, "marker")] == list(headings(song_map.sections))
    for (tick, _), section in zip(placed(name, "marker"), song_map.sections, strict=True):
        assert read(name).tick_to_time(tick) == pytest.approx(section.start, abs=TICK_SEC)
    assert read_by_mido(name).tracks[0].name == Song(song_map).name
    assert read_by_mido(name).type == 1


def test_meters_and_keys_change_where_the_song_does() -> None:
    song_map = song_of("changing")
    meters = [(change.numerator, change.denominator) for change in read("changing").time_signature_changes]
    assert meters == [(1, 4), (4, 4), (3, 4), (4, 4), (7, 8), (4, 4)]
    for change, meter in zip(read("changing").time_signature_changes[2:], song_map.meter.changes[1:], strict=True):
        assert change.time == pytest.approx(meter.start, abs=1e-5)
    keys = read("changing").key_signature_changes
    assert [pretty_midi.key_number_to_key_name(key.key_number) for key in keys] == ["C minor", "Db Major"]
    assert [message.key for _, message in placed("changing", "key_signature")] == ["Cm", "C#"]
    assert keys[1].time == pytest.approx(song_map.key[1].start, abs=1e-5)


@pytest.mark.parametrize(("name", "meter"), [("waltz", (3, 4)), ("six_eight", (6, 8)), ("pickup", (4, 4))])
def test_meters(name: str, meter: tuple[int, int]) -> None:
    last = read(name).time_signature_changes[-1]
    assert (last.numerator, last.denominator) == meter


def test_beats_of_a_pickup_are_where_they_were_heard() -> None:
    song_map = song_of("pickup")
    beats = read("pickup").get_beats()
    for beat in song_map.beats[:2]:
        assert min(abs(beats - beat)) < 0.005  # its two beats share a tempo


def test_without_a_pulse_nothing_claims_a_meter() -> None:
    assert read("no_pulse").time_signature_changes == []
    assert content("no_pulse", quantised=True) == content("no_pulse")


@pytest.mark.parametrize("name", ["plain", "pickup", "waltz", "six_eight", "changing", "japanese"])
def test_quantised_notes_stand_on_the_grid_with_their_syllables(name: str) -> None:
    song_map = song_of(name)
    places = [tick for tick, message in placed(name, "note_on", quantised=True) if message.channel == 0]
    assert len(places) == len(song_map.performance.melody)
    assert all(tick % (QUARTER // 4) == 0 or tick % (QUARTER // 3) == 0 for tick in places)
    assert [tick for tick, _ in placed(name, "lyrics", quantised=True)] == places
    # the tempo breathes within a bar by a few milliseconds, and these songs were made on halves and quarters of a beat, or next to them
    for note, heard in zip(notes(read(name, True), "Melody"), song_map.performance.melody, strict=True):
        assert note.start == pytest.approx(heard.start, abs=0.1)


def test_quantised_lyrics_lose_no_word_where_notes_are_too_fast_for_the_grid() -> None:
    assert "".join(lyric.text for lyric in read("breathless", True).lyrics) == "".join(lyric.text for lyric in read("breathless").lyrics)


def test_voices_beside_the_melody_have_a_track() -> None:
    voices = [{"start": 2.0, "end": 3.0, "midi": midi, "conf": 0.5, "cents": 0.0, "bends": []} for midi in (55, 59)]

    def sung_in_parts(document: dict) -> None:  # type: ignore[type-arg]
        document["performance"]["harmony"] = voices

    song: SongMap = Maker(changes=sung_in_parts).make()
    found = pretty_midi.PrettyMIDI(io.BytesIO(write(Song(song), ExportOptions())))
    assert [(note.pitch, round(note.start, 2)) for note in notes(found, "Voices")] == [(55, 2.0), (59, 2.0)]


def test_no_chord_is_silent() -> None:
    assert voiced("N") == voiced("X") == ()
    assert voiced("C:maj/3") == (40, 55, 60, 64)
