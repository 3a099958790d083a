"""Writing a song's folder: whole, again, beside others, and not at all where the map is invalid."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from schemas.options import AnalysisOptions
from schemas.results import AudioRef, SongSource, StemSet
from schemas.song_map import SongMap
from schemas.sound_format import SoundFormat
from schemas.steps import StepName
from tasks.common import audio_forms
from tasks.common.audio import WavWriter
from tasks.common.errors import ArtifactMissing, AudioSilent, EngineFailed, RequiredStepFailed, SongMapInvalid, StorageError
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import sha256_file
from tasks.packager.package import package
from tasks.packager.step_results import ResultOrError
from tasks.packager.validation import validate_file

FILES = ["bass.flac", "drums.flac", "instrumental.flac", "other.flac", "vocals.flac"]
FLOATS = AnalysisOptions(stems_format=SoundFormat.wav_float)
StepResults = dict[StepName, ResultOrError]


def stored(ctx: StepContext, level: float) -> AudioRef:
    with ctx.store.temporary_dir() as folder:
        writer = WavWriter(folder / "x.wav", 44100, 2)
        writer.write(np.full((2, 100), level, dtype=np.float32))
        writer.close()
        return ctx.store.add(writer.path, writer.ref())


def stored_stems(ctx: StepContext, stems: StemSet, offset: float = 0.0) -> StemSet:
    names = ("vocals", "drums", "bass", "other", "instrumental")
    return stems.model_copy(update={name: stored(ctx, offset + 0.1 * place) for place, name in enumerate(names)})


@pytest.fixture
def run(results: StepResults, ctx: StepContext, tmp_path: Path, run_id: str) -> Any:
    """Package the results, some of them replaced, into tmp_path/out."""
    ctx.flow_run = run_id
    stems = results["separation"]
    assert isinstance(stems, StemSet)
    results["separation"] = stored_stems(ctx, stems)

    def packaged(file_name: str = "song.mp3", options: AnalysisOptions | None = None, **replaced: Any) -> SongMap:
        return package(results | replaced, file_name, tmp_path / "out", options or AnalysisOptions(), ctx)

    return packaged


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_song_folder_holds_a_valid_map_and_the_stems_and_nothing_else(run: Any, tmp_path: Path) -> None:
    song_map = run()
    folder = tmp_path / "out" / "song"
    assert song_map.folder == folder
    assert tree(tmp_path / "out") == sorted(["song/song_map.json", "song/timeline.svg", *(f"song/stems/{name}" for name in FILES)])
    assert validate_file(folder / "song_map.json") == []
    assert SongMap.from_json((folder / "song_map.json").read_bytes()).to_json() == song_map.to_json()
    assert soundfile.read(folder / song_map.stems[1].path)[0][0, 0] == pytest.approx(0.1, abs=2 * 2**-15)


def test_the_map_says_when_by_what_and_with_which_options(run: Any) -> None:
    made = run(options=AnalysisOptions(language="de")).provenance
    assert made.options.language == "de"
    assert made.created.endswith("Z")
    assert made.flow_run is not None


def test_a_range_stands_in_the_map_where_it_was_chosen(run: Any) -> None:
    usual = json.loads((run().folder / "song_map.json").read_text())["provenance"]["options"]
    assert set(usual) == {"quality", "language", "strict", "engines", "stems"}
    folder = run(options=AnalysisOptions(min_bpm=60.5, melody_max_midi=84)).folder
    written = json.loads((folder / "song_map.json").read_text())["provenance"]["options"]
    assert written == usual | {"tempo_range": [60.5, 240.0], "melody_range": [40, 84]}
    assert validate_file(folder / "song_map.json") == []
    assert SongMap.from_json((folder / "song_map.json").read_bytes()).provenance.options.tempo_range == (60.5, 240.0)


@pytest.mark.parametrize("form", SoundFormat)
def test_stems_that_are_there_already_are_not_written_again(run: Any, form: SoundFormat) -> None:
    options = AnalysisOptions(stems_format=form)
    folder = run(options=options).folder
    before = {path.name: path.stat().st_ino for path in (folder / "stems").iterdir()}
    run(options=options)
    assert {path.name: path.stat().st_ino for path in (folder / "stems").iterdir()} == before


@pytest.mark.parametrize("form", [SoundFormat.flac16, SoundFormat.wav_float])
def test_stems_that_changed_or_are_gone_are_written_again(run: Any, results: StepResults, ctx: StepContext, form: SoundFormat) -> None:
    options = AnalysisOptions(stems_format=form)
    folder = run(options=options).folder
    vocals, drums = (folder / "stems" / f"{name}.{form.ending}" for name in ("vocals", "drums"))
    good = vocals.read_bytes()
    vocals.write_bytes(good[::-1])
    drums.unlink()
    run(options=options)
    assert vocals.read_bytes() == good
    assert drums.is_file()
    other: Any = results["separation"]
    song_map = run(separation=stored_stems(ctx, other, offset=0.05), options=options)
    assert soundfile.read(vocals)[0][0, 0] == pytest.approx(0.05, abs=2 * 2**-15)
    assert song_map.stems[0].sha256 != other.vocals.sha256


@pytest.mark.parametrize("form", SoundFormat)
def test_the_map_says_the_format_and_the_hash_of_each_stem(run: Any, form: SoundFormat) -> None:
    song_map = run(options=AnalysisOptions(stems_format=form))
    assert validate_file(song_map.folder / "song_map.json") == []
    for stem in json.loads((song_map.folder / "song_map.json").read_text())["stems"]:
        path = song_map.folder / stem["path"]
        assert audio_forms.format_of(path) is form
        if form is SoundFormat.wav_float:
            assert not {"format", "file_sha256"} & stem.keys()
        else:
            assert (stem["format"], stem["file_sha256"]) == (form, sha256_file(path))


def test_another_format_replaces_the_files_of_the_first(run: Any) -> None:
    folder = run(options=FLOATS).folder
    assert {path.suffix for path in (folder / "stems").iterdir()} == {".wav"}
    (folder / "stems" / "my.wav").touch()
    run()
    assert {path.name for path in (folder / "stems").iterdir()} == {*FILES, "my.wav"}
    run(options=AnalysisOptions(stems_format=SoundFormat.flac24))
    assert audio_forms.format_of(folder / "stems" / "bass.flac") is SoundFormat.flac24


@pytest.mark.parametrize(("first", "theirs"), [(FLOATS, "vocals.mp3"), (FLOATS, "vocals.wav"), (AnalysisOptions(), "vocals.flac")])
def test_a_file_of_a_stems_name_that_is_somebody_elses_stays(run: Any, first: AnalysisOptions, theirs: str) -> None:
    file = run(options=first).folder / "stems" / theirs
    file.write_bytes(b"mine")
    os.utime(file, (0, 0))  # as old as where it was copied from
    run(options=AnalysisOptions(stems_format=SoundFormat.opus))
    assert file.read_bytes() == b"mine"
    assert {path.name for path in file.parent.iterdir()} == {name.replace("flac", "opus") for name in FILES} | {theirs}


def test_a_stem_beyond_full_scale_makes_all_of_them_quieter_by_what_the_map_says(run: Any, results: StepResults, ctx: StepContext) -> None:
    loud = stored_stems(ctx, results["separation"], offset=0.75)  # 0.75 to 1.15
    song_map = run(separation=loud)
    assert song_map.stems_gain_db == pytest.approx(20 * np.log10(1 / 1.15), abs=0.01)
    for place, stem in enumerate(song_map.stems):
        heard = soundfile.read(song_map.folder / stem.path)[0] / 10 ** (song_map.stems_gain_db / 20)
        assert heard == pytest.approx(0.75 + 0.1 * place, abs=3 * 2**-15)
    inodes = {path: path.stat().st_ino for path in (song_map.folder / "stems").iterdir()}
    assert run(separation=loud).stems_gain_db == song_map.stems_gain_db
    assert {path: path.stat().st_ino for path in (song_map.folder / "stems").iterdir()} == inodes
    assert "stems_gain_db" not in json.loads((run(separation=loud, options=FLOATS).folder / "song_map.json").read_text())


def test_without_stems_only_the_map_is_written(run: Any) -> None:
    song_map = run(options=AnalysisOptions(stems=False))
    assert tree(song_map.folder) == ["song_map.json", "timeline.svg"]
    assert {stem.path for stem in song_map.stems} == {None}


def test_without_separation_only_the_map_is_written(run: Any) -> None:
    song_map = run(separation=EngineFailed("nothing worked"), melody=None, bass=None)
    assert tree(song_map.folder) == ["song_map.json", "timeline.svg"]
    assert song_map.status == "partial"


def test_another_song_of_the_same_name_gets_its_own_folder(run: Any, results: StepResults) -> None:
    first = run()
    source: Any = results["ingest"]
    audio = source.audio.model_copy(update={"sha256": "9" * 64})
    second = run(ingest=SongSource(**(dict(source) | {"song_id": "9" * 16, "audio": audio})))
    assert second.folder.name == "song-99999999"
    assert SongMap.from_json((first.folder / "song_map.json").read_bytes()).id == first.id


def with_overlap(results: StepResults) -> Any:
    chords: Any = results["chords"]
    first = chords.chords[0].model_copy(update={"end": 1.0})
    last = chords.chords[2].model_copy(update={"label": "C#major"})
    return chords.model_copy(update={"chords": (first, chords.chords[1], last)})


def test_an_invalid_map_is_not_written_but_the_results_and_the_report_are(run: Any, results: StepResults, tmp_path: Path) -> None:
    with pytest.raises(SongMapInvalid) as caught:
        run(chords=with_overlap(results), asr=EngineFailed("nothing worked"))
    folder = tmp_path / "out" / "song" / "invalid"
    steps = [f"{step}.json" for step in results if step != "asr"]
    assert tree(tmp_path / "out" / "song") == sorted(f"invalid/{name}" for name in [*steps, "problems.txt", "report.json"])
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [problem["json_path"] for problem in report["problems"]] == ["$.chords[2].label", "$.chords[1].start"]
    assert report["failed_steps"]["asr"].startswith("ENGINE_FAILED: nothing worked")
    assert len(caught.value.problems) == 2
    assert "$.chords[1].start" in str(caught.value)
    assert str(folder) in str(caught.value)
    assert (folder / "problems.txt").read_text(encoding="utf-8").splitlines() == list(caught.value.problems)


def test_a_valid_map_takes_the_place_of_the_report(run: Any, results: StepResults) -> None:
    with pytest.raises(SongMapInvalid):
        run(chords=with_overlap(results))
    folder = run().folder
    assert folder.name == "song"
    assert not (folder / "invalid").exists()


def test_an_invalid_map_leaves_the_earlier_one_as_it_was(run: Any, results: StepResults) -> None:
    path = run().folder / "song_map.json"
    before = path.read_bytes()
    with pytest.raises(SongMapInvalid):
        run(chords=with_overlap(results))
    assert path.read_bytes() == before


def test_where_a_required_step_failed_nothing_is_written(run: Any, tmp_path: Path) -> None:
    with pytest.raises(RequiredStepFailed):
        run(beats_key=None)
    with pytest.raises(AudioSilent):
        run(ingest=AudioSilent("song.mp3 is silent"))
    assert not (tmp_path / "out").exists()


def test_stems_that_vanished_from_the_store_are_a_storage_error_and_no_map_is_written(
    run: Any, results: StepResults, ctx: StepContext
) -> None:
    stems: Any = results["separation"]
    ctx.store.path(stems.other).unlink()
    with pytest.raises(ArtifactMissing):
        run()
    assert not (ctx.settings.data_dir.parent / "out" / "song" / "song_map.json").exists()


def test_a_place_that_cannot_be_written_is_a_storage_error(run: Any, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(StorageError, match="out"):
        run()
