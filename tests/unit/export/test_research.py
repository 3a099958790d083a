"""Tables of research as mir_eval reads them, and JAMS as its own package and schema judge it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import jams
import mir_eval
import numpy as np
import pytest
from odd_songs import SONGS, song_of

from schemas.song_map import SongMap
from tasks.export import beats, lab
from tasks.export import jams as jams_writer
from tasks.export.beat_positions import beat_positions
from tasks.export.lines import words_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song

OPTIONS = ExportOptions()


def tables(song_map: SongMap, folder: Path) -> dict[str, str]:
    """{name: path} of the tables, written."""
    found = {}
    for name, content in lab.files(Song(song_map), OPTIONS):
        (folder / name).write_bytes(content)
        found[name] = str(folder / name)
    return found


@pytest.mark.parametrize("name", SONGS)
def test_mir_eval_reads_beats_and_positions(name: str, tmp_path: Path) -> None:
    song_map = song_of(name)
    file = tmp_path / "song.beats"
    file.write_bytes(beats.write(Song(song_map), OPTIONS))
    if not song_map.beats:
        assert file.read_bytes() == b""
        return
    times, positions = mir_eval.io.load_labeled_events(str(file))
    np.testing.assert_allclose(times, song_map.beats, atol=1e-6)
    downbeats = [time for time, position in zip(times, positions, strict=True) if position == "1"]
    np.testing.assert_allclose(downbeats, song_map.downbeats, atol=1e-6)


def test_beats_are_counted_within_bars_of_every_length() -> None:
    counted = [(beat.bar, beat.position) for beat in beat_positions(song_of("changing"))]
    bars = [4, 4, 4, 3, 3, 4, 4, 7, 4, 4]
    assert counted == [(nth, position) for nth, beats_in in enumerate(bars, 1) for position in range(1, beats_in + 1)]
    assert {beat.denominator for beat in beat_positions(song_of("changing")) if beat.bar == 8} == {8}


def test_a_pickup_is_the_end_of_a_bar() -> None:
    assert [(beat.bar, beat.position) for beat in beat_positions(song_of("pickup"))][:3] == [(0, 3), (0, 4), (1, 1)]


@pytest.mark.parametrize("name", SONGS)
def test_mir_eval_reads_spans_with_their_labels(name: str, tmp_path: Path) -> None:
    song_map = song_of(name)
    found = tables(song_map, tmp_path)
    wanted = {
        "chords.lab": [(chord.start, chord.end, chord.label) for chord in song_map.chords],
        "keys.lab": [(key.start, key.end, f"{key.tonic} {key.mode}") for key in song_map.key],
        "sections.lab": [(section.start, section.end, section.label) for section in song_map.sections],
        "words.lab": [(word.start, word.end, word.text) for line in song_map.lyrics for word in words_of(line)],
        "lines.lab": [(line.start, line.end, line.text) for line in song_map.lyrics],
    }
    for table, rows in wanted.items():
        assert (table in found) == bool(rows)
        if rows:
            intervals, labels = mir_eval.io.load_labeled_intervals(found[table])
            np.testing.assert_allclose(intervals, [row[:2] for row in rows], atol=1e-6)
            assert labels == [row[2] for row in rows]


def test_mir_eval_takes_chords_and_key_for_what_they_are(tmp_path: Path) -> None:
    for name in SONGS:
        found = tables(song_of(name), tmp_path)
        if "chords.lab" in found:
            intervals, labels = mir_eval.io.load_labeled_intervals(found["chords.lab"])
            assert mir_eval.chord.evaluate(intervals, labels, intervals, labels)["mirex"] == 1.0
        if "key.txt" in found:
            mir_eval.key.validate_key(mir_eval.io.load_key(found["key.txt"]))
    assert mir_eval.io.load_key(tables(song_of("waltz"), tmp_path)["key.txt"]) == "F major"


def test_notes_are_pitches_in_hertz_and_a_layer_of_sonic_visualiser(tmp_path: Path) -> None:
    song_map = song_of("plain")
    found = tables(song_map, tmp_path)
    intervals, pitches = mir_eval.io.load_valued_intervals(found["melody.lab"])
    melody = song_map.performance.melody
    np.testing.assert_allclose(intervals, [(note.start, note.end) for note in melody], atol=1e-6)
    np.testing.assert_allclose(mir_eval.util.hz_to_midi(pitches), [note.midi + note.cents / 100 for note in melody], atol=1e-3)
    rows = [row.split("\t") for row in Path(found["bass.tsv"]).read_text().splitlines()]
    assert rows[0] == [f"{song_map.performance.bass[0].start:.6f}", "36.04", rows[0][2], "0.750", "C2"]
    assert float(rows[0][2]) == pytest.approx(song_map.performance.bass[0].end - song_map.performance.bass[0].start)


@pytest.mark.parametrize("name", [name for name in SONGS if name != "long"])  # the schema's check of 10 000 beats takes 15 s
def test_jams_is_what_its_schema_says_and_holds_what_went_in(name: str, tmp_path: Path) -> None:
    song_map = song_of(name)
    file = tmp_path / "song.jams"
    file.write_bytes(jams_writer.write(Song(song_map), OPTIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("error", jams.exceptions.SchemaError)
        read = jams.load(str(file), validate=True, strict=True)
    assert read.validate(strict=True)
    assert (read.file_metadata.title, read.file_metadata.duration) == (song_map.title, song_map.duration_sec)

    def values(namespace: str, **told: str) -> list[tuple[float, float, object, float]]:
        of = [one for one in read.search(namespace=f"^{namespace}$") if all(one.sandbox[key] == value for key, value in told.items())]
        return [(o.time, round(o.time + o.duration, 6), o.value, o.confidence) for one in of for o in one.data]

    assert values("chord") == [(chord.start, chord.end, chord.label, chord.conf) for chord in song_map.chords]
    assert values("key_mode") == [(key.start, key.end, f"{key.tonic}:{key.mode}", key.conf) for key in song_map.key]
    assert values("segment_open") == [(part.start, part.end, part.label, part.conf) for part in song_map.sections]
    assert values("lyrics", level="line") == [(line.start, line.end, line.text, line.conf) for line in song_map.lyrics]
    assert [value[0] for value in values("beat")] == list(song_map.beats)
    assert [value[2] for value in values("tempo")] == [song_map.tempo.bpm_global] * (song_map.tempo.bpm_global is not None)
    assert len(values("note_midi", part="melody")) == len(song_map.performance.melody)


def test_jams_says_where_it_comes_from() -> None:
    song_map = song_of("plain")
    document = json.loads(jams_writer.write(Song(song_map), OPTIONS))
    chords = next(one for one in document["annotations"] if one["namespace"] == "chord")
    assert chords["annotation_metadata"]["annotator"]["engine"] == song_map.steps.chords.engine
    assert chords["annotation_metadata"]["annotation_tools"].startswith(f"Performia {song_map.provenance.performia}")
    assert document["sandbox"]["source"]["audio_sha256"] == song_map.source.audio_sha256
    assert document["sandbox"]["performia"]["created"] == song_map.provenance.created
