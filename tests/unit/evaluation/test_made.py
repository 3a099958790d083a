"""The made songs: what they say of themselves is what is played."""

from __future__ import annotations

import random
from itertools import pairwise

import mido
import pytest

from tasks.evaluation.datasets.arranged import chord_of
from tasks.evaluation.datasets.made import truth_of
from tasks.evaluation.datasets.made.compose import MadeSong, compose
from tasks.evaluation.datasets.made.harmony import Key, bars_of, parsed, scale_under
from tasks.evaluation.datasets.made.parts import DRUMS, Sounding, bass_bar, chord_bar, drum_bar, steps, walking_bar
from tasks.evaluation.datasets.made.styles import STYLES
from tasks.evaluation.datasets.made.timeline import Bar, Timeline, beat_times
from tasks.evaluation.datasets.synth import Band, Player, SoundingNote, as_midi, released

C_MAJOR = Key(0, "major")


def sounding(text: str, start: float, end: float, key: Key = C_MAJOR) -> Sounding:
    return Sounding(start, end, parsed(text, key), key)


# Harmony ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tonic", "mode", "label", "tones"),
    [
        ("4:maj", 6, "major", "Cb:maj", (11, 3, 6)),
        ("b7:maj", 0, "mixolydian", "Bb:maj", (10, 2, 5)),
        ("5:7/3", 2, "major", "A:7/3", (9, 1, 4, 7)),
        ("#4:dim7", 7, "major", "C#:dim7", (1, 4, 7, 10)),
        ("1:min/b3", 1, "minor", "C#:min/b3", (1, 4, 8)),
    ],
)
def test_a_degree_is_a_chord_in_its_key_spelled_as_the_key_has_it(
    text: str, tonic: int, mode: str, label: str, tones: tuple[int, ...]
) -> None:
    chord = parsed(text, Key(tonic, mode))
    assert (chord.label, chord.tones) == (label, tones)


def test_a_slash_chord_has_its_interval_in_the_bass() -> None:
    assert parsed("5:maj/3", C_MAJOR).bass_class == 11
    assert chord_of("F#:min7/b7") == parsed("3:min7/b7", Key(2, "major"))
    assert chord_of("G:sus4(b7)") is not None
    assert chord_of("N") is None


def test_what_is_no_chord_is_refused() -> None:
    with pytest.raises(ValueError, match="no chord"):
        parsed("8:maj", C_MAJOR)


def test_a_bar_can_be_like_the_one_before() -> None:
    assert bars_of("1:maj|%|4:maj 5:7") == [["1:maj"], ["1:maj"], ["4:maj", "5:7"]]


def test_a_melody_over_a_dominant_in_minor_takes_its_leading_note() -> None:
    a_minor = Key(9, "minor")
    assert {8, 11} <= set(scale_under(a_minor, parsed("5:7", a_minor)))
    assert 7 not in scale_under(a_minor, parsed("5:7", a_minor))


# Time ------------------------------------------------------------------------------------------------------------------------


def test_swing_moves_the_off_beats_and_leaves_the_beats() -> None:
    line = Timeline((Bar(0, 4),), (0.0, 1.0, 2.0, 3.0, 4.0), swing=0.66)
    assert [line.seconds(position) for position in (1, 1.5, 2)] == pytest.approx([1.0, 1.66, 2.0])
    sixteenths = Timeline((Bar(0, 4),), (0.0, 1.0, 2.0, 3.0, 4.0), swing=0.6, swing_units=2)
    assert [sixteenths.seconds(position) for position in (1.25, 1.5, 1.75)] == pytest.approx([1.3, 1.5, 1.8])


def test_a_pickup_has_beats_and_no_downbeat() -> None:
    line = Timeline((Bar(0, 1, is_pickup=True), Bar(1, 3), Bar(4, 3)), tuple(float(beat) for beat in range(8)))
    assert line.beats == (0, 1, 2, 3, 4, 5, 6)
    assert line.downbeats == (1, 4)
    assert line.meters() == ((1.0, 3),)


def test_nothing_sounds_in_a_hole_and_no_beat_falls_in_it() -> None:
    bars = (Bar(0, 2), Bar(2, 2))
    times = beat_times(bars, 60.0, "steady", 0.0, {2: 3.0}, random.Random(1))
    assert times == (0.0, 1.0, 5.0, 6.0, 7.0)
    line = Timeline(bars, times, holes={2: 3.0})
    assert (line.ending(2), line.seconds(2), line.seconds(1.5)) == (2.0, 5.0, 1.5)


@pytest.mark.parametrize(("curve", "faster"), [("accelerando", True), ("ritardando", False), ("ending", False)])
def test_tempo_curves_change_the_end_against_the_beginning(curve: str, faster: bool) -> None:
    bars = tuple(Bar(4 * bar, 4) for bar in range(12))
    gaps = [after - before for before, after in pairwise(beat_times(bars, 120.0, curve, 0.0, {}, random.Random(1)))]
    assert gaps[0] == pytest.approx(0.5)
    assert (gaps[-1] < 0.45) if faster else (gaps[-1] > 0.55)


# Parts -----------------------------------------------------------------------------------------------------------------------


def test_a_pattern_is_played_from_its_beginning_in_a_shorter_bar() -> None:
    notes = drum_bar({"K": "x...x...x...x...", "S": "....x.......x..."}, Bar(8, 2), 4, random.Random(1), loose=0.0)
    assert [(note.start, note.pitch) for note in notes] == [(8, DRUMS["K"]), (9, DRUMS["K"]), (9, DRUMS["S"])]


def test_a_bass_pattern_follows_the_chords_and_holds_its_notes() -> None:
    chords = [sounding("1:maj", 0, 2), sounding("5:maj/3", 2, 4)]
    assert [(note.start, note.end, note.pitch % 12) for note in bass_bar("1-5.1--.", Bar(0, 4), 4, chords, 33)] == [
        (0, 1, 0),
        (1, 1.5, 7),
        (2, 3.5, 11),
    ]


def test_a_walking_bass_has_a_note_on_every_beat() -> None:
    notes = walking_bar(Bar(0, 4), [sounding("2:min7", 0, 2), sounding("5:7", 2, 4)], 33, random.Random(3), None)
    assert {0, 1, 2, 3} <= {note.start for note in notes}
    assert all(28 <= note.pitch <= 60 for note in notes)


def test_a_held_chord_is_struck_again_where_the_chord_changes() -> None:
    notes = chord_bar("x---", Bar(0, 4), 4, [sounding("1:maj", 0, 2), sounding("4:maj", 2, 4)], "close", 60)
    assert sorted({(note.start, note.end) for note in notes}) == [(0, 2), (2, 4)]
    assert {note.pitch % 12 for note in notes if note.start == 2} == {5, 9, 0}


@pytest.mark.parametrize("name", STYLES)
def test_every_pattern_of_a_style_can_be_played(name: str) -> None:
    style = STYLES[name]
    drums = [(text, "xXo.") for pattern in style.drums for text in pattern.values()]
    bass = [(text, "1r3578d.-") for text in style.bass if text != "walk"]
    comps = [(text, "xX.-012345") for comp in style.chords for text in comp.patterns]
    for text, signs in (*drums, *bass, *comps):
        assert set(steps(text)) <= set(signs), text
        assert len(steps(text)) % style.meter == 0, text
    for progression in style.progressions:
        assert all(parsed(chord, Key(6, style.mode)) for bar in bars_of(progression) for chord in bar)


# Songs -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some() -> list[MadeSong]:
    return [compose(style, number) for number, style in enumerate(list(STYLES)[::4])]


def test_a_song_comes_out_the_same_every_time() -> None:
    first, again = compose("bossa", 1), compose("bossa", 1)
    assert first == again
    assert first != compose("bossa", 2)


def test_songs_agree_with_themselves(some: list[MadeSong]) -> None:
    for song in some:
        assert 30 < song.beats[-1] - song.beats[0] < 100, song.name
        assert all(after > before for before, after in pairwise(song.beats)), song.name
        assert set(song.downbeats) <= set(song.beats), song.name
        assert len(song.downbeats) == len(song.bar_lengths), song.name
        assert all(span.end > span.start for span in (*song.chords, *song.keys)), song.name
        assert all(after.start >= before.end - 1e-6 for before, after in pairwise(song.chords)), song.name
        assert all(0 <= n.pitch <= 127 and 0 <= n.start < n.end for player in song.band.players for n in player.notes), song.name


def test_no_single_sign_gives_the_bar_away(some: list[MadeSong]) -> None:
    """A tracker that took every crash, or every kick, or every change of chord for a first beat would fail on many of them."""

    def share(times: list[float], song: MadeSong) -> float:
        return sum(any(abs(time - downbeat) < 0.05 for downbeat in song.downbeats) for time in times) / max(1, len(times))

    drums = {song.name: [player for player in song.band.players if player.is_drums] for song in some}
    assert any(not players for players in drums.values())
    with_drums = [song for song in some if drums[song.name]]
    kicks = [share([n.start for n in drums[s.name][0].notes if n.pitch == DRUMS["K"]], s) for s in with_drums]
    crashes = [sum(n.pitch == DRUMS["C"] for n in drums[s.name][0].notes) for s in with_drums]
    assert min(kicks) < 0.3
    assert any(count <= 1 for count in crashes)
    assert any(share([span.start for span in song.chords], song) < 0.7 for song in some)


def test_meters_of_the_styles() -> None:
    assert set(compose("five_four_rock", 0).bar_lengths) == {5}
    assert set(compose("seven_eight", 0).bar_lengths) == {7}
    assert compose("alternating_4_3", 0).bar_lengths[:4] == (4, 3, 4, 3)
    assert any(len(set(compose("odd_bars_rock", number).bar_lengths)) > 1 for number in range(3))
    assert truth_of(compose("waltz_viennese", 0)).meter == 3


# MIDI ------------------------------------------------------------------------------------------------------------------------


def test_a_band_is_written_in_its_tuning_except_the_drums() -> None:
    note = SoundingNote(0.5, 1.0, 60, 90)
    band = Band((Player("bass", 33, (note,)), Player("drums", 0, (note,), is_drums=True)), cents=-50)
    _, bass, drums = as_midi(band).tracks
    (bend,) = [message for message in bass if message.type == "pitchwheel"]
    assert bend.pitch == -2048  # of 8192, which are two semitones
    assert not [message for message in drums if message.type == "pitchwheel"]
    assert {message.channel for message in drums if message.type == "note_on"} == {9}


def test_times_of_a_band_are_kept_and_a_key_is_released_before_it_is_struck_again() -> None:
    notes = (SoundingNote(0.25, 1.0, 60, 90), SoundingNote(0.75, 1.5, 60, 90))
    messages, now = [], 0.0
    for message in as_midi(Band((Player("piano", 0, notes),))):
        now += message.time
        if message.type in ("note_on", "note_off"):
            messages.append((round(now, 3), message.type))
    assert messages == [(0.25, "note_on"), (0.75, "note_off"), (0.75, "note_on"), (1.5, "note_off")]


def test_a_note_that_nobody_ends_ends_with_its_track() -> None:
    """FluidSynth wrote nine gigabytes of one organ note before somebody noticed."""
    track = mido.MidiTrack(
        [mido.Message("note_on", note=60, velocity=90, channel=3), mido.Message("note_on", note=64, velocity=90, time=10)]
    )
    track.append(mido.Message("note_off", note=64, time=10))
    track.append(mido.MetaMessage("end_of_track"))
    file = mido.MidiFile(tracks=[track])
    assert [(m.type, getattr(m, "note", None), m.channel) for m in released(file).tracks[0][3:]] == [
        ("note_off", 60, 3),
        ("control_change", None, 3),
        ("control_change", None, 0),
    ]
