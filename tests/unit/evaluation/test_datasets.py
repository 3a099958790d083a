from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from tasks.common.errors import EvaluationDataNotFound, EvaluationDataUnusable, OptionInvalid
from tasks.evaluation.annotations import AnnotatedSong, Annotations, Span, TimedWord, TrueNote
from tasks.evaluation.datasets import LOADERS, load_songs, made, pop909, synth


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def tone(file: Path, level: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, np.full((100, 2), level), 44100)
    return file


def only(data: Path, tmp_path: Path) -> AnnotatedSong:
    (song,) = load_songs(data, tmp_path / "rendered")
    return song


def test_mdbdrums(tmp_path: Path) -> None:
    piece = tmp_path / "mdbdrums" / "multitrack" / "MusicDelta_Punk"
    for name in ("mixture", "vocals", "bass"):
        tone(piece / f"{name}.flac", 0.1)
    write(tmp_path / "mdbdrums" / "beats" / "MusicDelta_Punk_MIX.beats", "0.5\t4\n1.0\t1\n1.5\t2\n2.0\t3\n")
    write(tmp_path / "mdbdrums" / "melody" / "MusicDelta_Punk_MELODY1.csv", "0.0,0.0\n0.0058,220.0\n")
    song = only(tmp_path, tmp_path)
    assert song.id == "mdbdrums/Punk"
    assert song.audio() == piece / "mixture.flac"
    assert (song.truth.beats, song.truth.downbeats, song.truth.meter) == ((0.5, 1.0, 1.5, 2.0), (1.0,), 4)
    assert song.truth.tempo_bpm == pytest.approx(120)
    assert song.truth.melody_pitch is not None
    assert song.truth.melody_pitch.hertz == (0.0, 220.0)
    assert song.truth.words is None  # a voice, but nobody wrote down its words
    assert song.truth.steps == ("separation", "beats_key", "melody", "bass")


def test_a_piece_without_a_voice_has_no_words_and_no_sung_melody(tmp_path: Path) -> None:
    piece = tmp_path / "mdbdrums" / "multitrack" / "MusicDelta_Shadows"
    tone(piece / "mixture.flac", 0.1)
    write(tmp_path / "mdbdrums" / "beats" / "MusicDelta_Shadows_MIX.beats", "0.5\t1\n1.0\t2\n")
    write(tmp_path / "mdbdrums" / "melody" / "MusicDelta_Shadows_MELODY1.csv", "0.0,220.0\n")
    song = only(tmp_path, tmp_path)
    assert song.truth.words == ()
    assert song.truth.melody_pitch is None


def test_ultrastar(tmp_path: Path) -> None:
    place = tmp_path / "ultrastar" / "A - B"
    write(place / "audio.ogg", "")
    write(place / "instrumental.mp3", "")
    write(place / "derived_words.csv", "start,end,word,line\n1.0,1.5,Oh,0\n")
    write(place / "derived_lines.csv", 'start,end,text\n1.0,1.5,"Oh, no"\n')
    write(place / "derived_melody.csv", "start,end,midi,type,syllable\n1.0,1.5,64,:,Oh\n2.0,2.5,60,F,spoken\n3.0,3.5,62,*,no\n")
    write(place / "derived_sections.lab", "0.00\t2.56\tintro\n2.56\t9.00\tverse\n")
    song, instrumental = load_songs(tmp_path, tmp_path / "rendered")
    assert song.truth.words == (TimedWord(1.0, 1.5, "Oh"),)
    assert song.truth.lines == (TimedWord(1.0, 1.5, "Oh, no"),)
    assert song.truth.melody == (TrueNote(1.0, 1.5, 64), TrueNote(3.0, 3.5, 62))
    assert not song.truth.octave_known
    assert song.truth.sections == (Span(0, 2.56, "intro"), Span(2.56, 9, "verse"))
    assert song.truth.tempo_bpm is None
    assert (instrumental.name, instrumental.truth.words, instrumental.audio().name) == ("A - B (instrumental)", (), "instrumental.mp3")


def test_a_chart_in_another_key_has_no_melody(tmp_path: Path) -> None:
    place = tmp_path / "ultrastar" / "Pornophonique - Space Invaders"
    write(place / "audio.mp3", "")
    write(place / "derived_words.csv", "start,end,word,line\n")
    write(place / "derived_lines.csv", "start,end,text\n")
    write(place / "derived_beats_fast.txt", "0.0\n0.25\n0.5\n")
    song = only(tmp_path, tmp_path)
    assert song.truth.melody is None
    assert song.truth.tempo_bpm == pytest.approx(240)
    assert song.truth.beats is None


def test_jamendolyrics(tmp_path: Path) -> None:
    folder = tmp_path / "jamendolyrics"
    write(folder / "JamendoLyrics.csv", "URL,Filepath,Language\nhttp://x,Ä_-_B.mp3,German\n")
    write(folder / "mp3" / "Ä_-_B.mp3", "")
    write(folder / "lyrics" / "Ä_-_B.words.txt", "für\ndich\n")
    write(folder / "annotations" / "words" / "Ä_-_B.csv", "word_start,word_end,line_end\n1.0,1.5,nan\n1.5,2.0,2.0\n")
    write(folder / "annotations" / "lines" / "Ä_-_B.csv", "start_time,end_time,lyrics_line\n1.0,2.0,für dich\n")
    song = only(tmp_path, tmp_path)
    assert song.truth.words == (TimedWord(1.0, 1.5, "für"), TimedWord(1.5, 2.0, "dich"))
    assert song.truth.lines == (TimedWord(1.0, 2.0, "für dich"),)
    assert song.truth.language == "de"


def test_fretsonfire_is_mixed_once(tmp_path: Path) -> None:
    place = tmp_path / "fretsonfire" / "band" / "Song"
    place.mkdir(parents=True)
    soundfile.write(place / "song.ogg", np.full((4410, 2), 0.25), 44100)
    soundfile.write(place / "guitar.ogg", np.full((8820, 2), 0.25), 44100)
    write(place / "derived_beats.txt", "0.0\n0.5\n1.0\n")
    song = only(tmp_path, tmp_path)
    mix = song.audio()
    sound, _ = soundfile.read(mix)
    assert len(sound) == pytest.approx(8820, abs=10)
    assert sound[2000, 0] == pytest.approx(0.5, abs=0.05)
    made = mix.stat().st_mtime_ns
    assert song.audio().stat().st_mtime_ns == made
    assert [file.name for file in mix.parent.iterdir()] == ["Song.wav"]
    assert (song.truth.beats, song.truth.downbeats) == ((0.0, 0.5, 1.0), None)


def test_stepmania(tmp_path: Path) -> None:
    write(tmp_path / "stepmania" / "T" / "T.ogg", "")
    write(tmp_path / "stepmania" / "T" / "derived_beats.txt", "0.0 1\n0.25 2\n0.5 3\n0.75 4\n1.0 1\n")
    song = only(tmp_path, tmp_path)
    assert (song.truth.downbeats, song.truth.meter, song.audio().name) == ((0.0, 1.0), 4, "T.ogg")


def midi_file(path: Path) -> Path:
    """Half a second of C4, then D4, in a track MELODY; a piano beside it."""
    song = mido.MidiFile(ticks_per_beat=480)
    conductor = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000, time=0)])
    melody = mido.MidiTrack([mido.MetaMessage("track_name", name="MELODY", time=0)])
    piano = mido.MidiTrack([mido.MetaMessage("track_name", name="PIANO", time=0)])
    for pitch in (60, 62):
        melody += [mido.Message("note_on", note=pitch, velocity=90, time=0), mido.Message("note_on", note=pitch, velocity=0, time=480)]
    piano += [mido.Message("note_on", note=36, velocity=90, time=0), mido.Message("note_off", note=36, time=960)]
    song.tracks += [conductor, melody, piano]
    path.parent.mkdir(parents=True, exist_ok=True)
    song.save(path)
    return path


@pytest.fixture
def pop_song(tmp_path: Path) -> Path:
    folder = tmp_path / "pop909"
    midi_file(folder / "midi" / "007" / "007.mid")
    write(folder / "midi" / "007" / "beat_midi.txt", "0.0 1.0 1.0\n0.5 0.0 0.0\n")
    write(folder / "midi" / "007" / "chord_midi.txt", "0.0\t0.5\tN\n0.5\t1.0\tC:maj7\n")
    write(folder / "midi" / "007" / "key_audio.txt", "0.0\t1.0\tGb:maj\n1.0\t2.0\tA:min\n")
    write(folder / "structure" / "007.lab", "0.0\t0.5\ti4\n0.5\t1.0\tA8\n")
    return folder


def test_pop909(pop_song: Path, tmp_path: Path) -> None:
    song, solo = load_songs(tmp_path, tmp_path / "rendered")
    assert song.truth.keys == (Span(0, 1, "Gb major"), Span(1, 2, "A minor"))
    assert song.truth.chords == (Span(0, 0.5, "N"), Span(0.5, 1, "C:maj7"))
    assert song.truth.sections == (Span(0, 0.5, "i"), Span(0.5, 1, "A"))
    assert song.truth.section_labels == "letters"
    assert (solo.name, solo.truth.melody) == ("007 solo", (TrueNote(0.0, 0.5, 60), TrueNote(0.5, 1.0, 62)))


@pytest.fixture
def fluidsynth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FluidSynth is stood in for by a script that keeps the notes it is given, at this path, and plays a second of a tone."""
    kept, sound = tmp_path / "played.mid", tmp_path / "tone.wav"
    soundfile.write(sound, np.full((44100, 2), 0.1), 44100)
    script = f'#!/bin/sh\nwhile [ $# -gt 2 ]; do [ "$1" = -F ] && out="$2"; shift; done\ncp "$2" "{kept}"\ncp "{sound}" "$out"\n'
    program = write(tmp_path / "bin" / "fluidsynth", script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(synth, "_FOLDERS", (str(write(tmp_path / "fonts" / "FluidR3_GM.sf2", "").parent),))
    return kept


def test_pop909_is_rendered_by_fluidsynth_the_melody_alone_too(pop_song: Path, tmp_path: Path, fluidsynth: Path) -> None:
    song, solo = load_songs(tmp_path, tmp_path / "rendered")
    whole = song.audio()
    assert [track.name for track in mido.MidiFile(fluidsynth).tracks] == ["", "MELODY", "PIANO"]
    solo.audio()
    assert [track.name for track in mido.MidiFile(fluidsynth).tracks] == ["", "MELODY"]
    assert sorted(file.name for file in whole.parent.iterdir()) == ["007 solo.wav", "007.wav"]
    assert soundfile.info(whole).frames == 44100


def test_without_fluidsynth_pop909_says_so(pop_song: Path, tmp_path: Path, fluidsynth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = load_songs(tmp_path, tmp_path / "rendered")[0]
    monkeypatch.setenv("PATH", "/usr/bin/nowhere")
    with pytest.raises(EvaluationDataUnusable, match="FluidSynth"):
        song.audio()
    monkeypatch.setattr(synth, "_FOLDERS", ())
    with pytest.raises(EvaluationDataUnusable, match="sound font"):
        song.audio()


def bars_in_four(flags: tuple[int, ...], tmp_path: Path, phrases: tuple[int, ...]) -> pop909.Bars:
    """32 beats half a second apart; flags: which are downbeats; phrases: beats that begin one."""
    rows = "".join(f"{0.5 * beat} {float(beat % 2 == flags[0] % 2)} {float(beat in flags)}\n" for beat in range(32))
    lab = "".join(f"{0.5 * beat}\t{0.5 * beat + 4}\tA8\n" for beat in phrases)
    return pop909.bars_of(write(tmp_path / "beat_midi.txt", rows), write(tmp_path / "001.lab", lab))


def test_the_bars_of_pop909_are_believed_where_the_phrases_begin_on_them(tmp_path: Path) -> None:
    downbeats = tuple(range(2, 32, 4))
    assert bars_in_four(downbeats, tmp_path, (2, 10, 18)) == pop909.Bars(tuple(0.5 * b for b in range(32)), downbeats, 4, trusted=True)
    assert not bars_in_four(downbeats, tmp_path, (3, 11, 19)).trusted


def test_a_song_in_three_has_its_bars_in_the_other_column(tmp_path: Path) -> None:
    rows = "".join(f"{0.4 * beat} {float(beat % 3 == 0)} {float(beat % 6 == 0)}\n" for beat in range(24))
    bars = pop909.bars_of(write(tmp_path / "beat_midi.txt", rows), write(tmp_path / "001.lab", "0.0\t2.4\tA2\n3.6\t6.0\tA2\n"))
    assert (bars.meter, bars.downbeats, bars.trusted) == (3, tuple(range(0, 24, 3)), True)


def test_a_song_whose_bars_are_known_is_also_played_by_a_band_along_them(pop_song: Path, tmp_path: Path, fluidsynth: Path) -> None:
    write(pop_song / "midi" / "007" / "beat_midi.txt", "".join(f"{0.5 * b} {float(b % 2 == 0)} {float(b % 4 == 0)}\n" for b in range(64)))
    write(pop_song / "midi" / "007" / "chord_midi.txt", "0.0\t16.0\tC:maj\n16.0\t32.0\tA:min7/b3\n")
    write(pop_song / "structure" / "007.lab", "0.0\t4.0\tA2\n4.0\t8.0\tA2\n")
    band = load_songs(tmp_path, tmp_path / "rendered", ("band",))[0]
    assert (band.truth.meter, band.truth.downbeats, band.style) == (4, tuple(2.0 * bar for bar in range(16)), "band")
    band.audio()
    tracks = {track.name: track for track in mido.MidiFile(fluidsynth).tracks}
    assert {"melody", "piano", "drums", "bass"} <= set(tracks)
    bass = [message.note % 12 for message in tracks["bass"] if message.type == "note_on"]
    assert bass
    assert set(bass) <= {0, 4, 7, 9}  # C, E, G and A minor seventh over C: nothing else


def test_a_folder_without_data_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationDataNotFound, match="mdbdrums"):
        load_songs(tmp_path, tmp_path)


def test_songs_are_chosen_by_a_part_of_their_name(pop_song: Path, tmp_path: Path) -> None:
    assert [song.id for song in load_songs(tmp_path, tmp_path, ("SOLO",))] == ["pop909/007 solo"]
    with pytest.raises(OptionInvalid, match="nobody"):
        load_songs(tmp_path, tmp_path, ("nobody",))


def test_the_large_data_sets_can_be_thinned_and_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = ("choose", "choose", "check") * 10
    songs = [AnnotatedSong("made", str(number), lambda: tmp_path, Annotations(), half) for number, half in enumerate(halves)]
    monkeypatch.setitem(LOADERS, "made", lambda *_: songs)
    (tmp_path / "made").mkdir()
    assert [song.name for song in load_songs(tmp_path, tmp_path, every=10)] == ["0", "10", "20"]
    assert [song.name for song in load_songs(tmp_path, tmp_path, split="check", every=10)] == ["20"]
    assert len(load_songs(tmp_path, tmp_path, split="choose")) == 20


def test_the_made_songs_need_nothing_but_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "STYLES", ("bossa", "five_four_rock"))
    (tmp_path / "made").mkdir()
    songs = load_songs(tmp_path, tmp_path)
    assert [song.id for song in songs][:3] == ["made/bossa_0", "made/five_four_rock_0", "made/bossa_1"]
    assert songs[0].style == "bossa"
    assert songs[0].truth.steps == ("beats_key", "asr", "chords", "bass")
    assert len({song.split for song in songs}) == 2


def test_a_split_of_songs_that_have_none_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "stepmania" / "T" / "T.ogg", "")
    write(tmp_path / "stepmania" / "T" / "derived_beats.txt", "0.0 1\n0.5 2\n")
    with pytest.raises(OptionInvalid, match="split"):
        load_songs(tmp_path, tmp_path, split="check")
