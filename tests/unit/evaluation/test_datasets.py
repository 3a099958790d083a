from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from tasks.common.errors import EvaluationDataNotFound, EvaluationDataUnusable, OptionInvalid
from tasks.evaluation.annotations import AnnotatedSong, Span, TimedWord, TrueNote
from tasks.evaluation.datasets import load_songs, pop909


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


def test_pop909_is_rendered_by_fluidsynth_the_melody_alone_too(pop_song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FluidSynth is stood in for by a script that writes down the notes that it is given."""
    program = write(
        tmp_path / "bin" / "fluidsynth",
        '#!/bin/sh\nwhile [ $# -gt 2 ]; do [ "$1" = -F ] && out="$2"; shift; done\ncp "$2" "$out"\n',
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(pop909, "_SOUND_FONTS", (str(write(tmp_path / "font.sf2", "")),))
    song, solo = load_songs(tmp_path, tmp_path / "rendered")
    assert [track.name for track in mido.MidiFile(song.audio()).tracks] == ["", "MELODY", "PIANO"]
    assert [track.name for track in mido.MidiFile(solo.audio()).tracks] == ["", "MELODY"]
    assert sorted(file.name for file in solo.audio().parent.iterdir()) == ["007 solo.wav", "007.wav"]


def test_without_fluidsynth_pop909_says_so(pop_song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pop909, "_SOUND_FONTS", ())
    with pytest.raises(EvaluationDataUnusable, match="FluidSynth"):
        load_songs(tmp_path, tmp_path / "rendered")[0].audio()


def test_a_folder_without_data_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationDataNotFound, match="mdbdrums"):
        load_songs(tmp_path, tmp_path)


def test_songs_are_chosen_by_a_part_of_their_name(pop_song: Path, tmp_path: Path) -> None:
    assert [song.id for song in load_songs(tmp_path, tmp_path, ("SOLO",))] == ["pop909/007 solo"]
    with pytest.raises(OptionInvalid, match="nobody"):
        load_songs(tmp_path, tmp_path, ("nobody",))
