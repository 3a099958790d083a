"""What is asked for a folder of songs: the same songs, and the same refusal, before the run and in it."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from pathlib import Path

import pytest

from flows.folder_analysis.flow import analyze_folder
from flows.folder_analysis.request import BatchRequest
from schemas.options import AnalysisOptions
from tasks.common.errors import FolderHasNoSongs, FolderNotFound
from tasks.common.settings import get_settings


@pytest.fixture
def request_for(tmp_path: Path) -> BatchRequest:
    """A request for a folder with a song, and another below it."""
    for name in ("in/a.mp3", "in/below/b.flac", "in/out/song/made.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return BatchRequest(tmp_path / "in", AnalysisOptions(), tmp_path / "in" / "out")


def names(request: BatchRequest) -> list[str]:
    return [song.path.name for song in request.songs().songs]


def test_its_fields_are_the_parameters_of_the_flow() -> None:
    assert [field.name for field in fields(BatchRequest)] == list(inspect.signature(analyze_folder.fn).parameters)


def test_the_songs_are_those_asked_for_and_none_of_the_results(request_for: BatchRequest) -> None:
    assert names(request_for) == ["a.mp3", "b.flac"]
    assert names(replace(request_for, recursive=False)) == ["a.mp3"]
    assert names(replace(request_for, patterns=("*.flac",))) == ["b.flac"]


def test_without_an_output_folder_it_is_that_of_the_settings(request_for: BatchRequest) -> None:
    assert request_for.target == request_for.output_dir
    assert replace(request_for, output_dir=None).target == get_settings().songs_dir.absolute()


def test_a_folder_without_songs_is_refused_and_says_what_could_not_be_looked_at(request_for: BatchRequest, tmp_path: Path) -> None:
    with pytest.raises(FolderHasNoSongs, match=r"has no songs$|has no songs\."):
        replace(request_for, patterns=("*.ogg",)).songs()
    (tmp_path / "in" / "gone.ogg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FolderHasNoSongs, match=r"\(1 files could not be looked at\)"):
        replace(request_for, patterns=("*.ogg",)).songs()
    with pytest.raises(FolderNotFound):
        replace(request_for, folder=tmp_path / "none").songs()
