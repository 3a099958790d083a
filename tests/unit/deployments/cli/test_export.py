"""`performia export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import soundfile
from odd_songs import song_of
from typer.testing import CliRunner

from deployments.cli import main as cli
from schemas.song_folder import MAP_NAME
from tasks.export.formats import FORMATS

RUNNER = CliRunner()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    folder = tmp_path / "song"
    folder.mkdir()
    (folder / MAP_NAME).write_text(song_of("plain").to_json(), encoding="utf-8")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The command as a shell runs it, with named errors printed: its exit code."""
    monkeypatch.setattr(sys, "argv", ["performia", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_files_lie_beside_the_map_and_their_paths_are_printed(song: Path) -> None:
    result = RUNNER.invoke(cli.app, ["export", str(song), "--to", "lrc, chordpro", "--to", "LRC"])
    assert result.exit_code == 0
    files = [song / "The Testers - Plain Song.lrc", song / "The Testers - Plain Song.cho"]
    assert result.stdout.splitlines() == [str(file) for file in files]
    assert all(file.is_file() for file in files)


def test_the_options_reach_the_files(song: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheets"
    choice = ["--transpose", "-2", "--capo", "3", "--lead", "1"]
    assert RUNNER.invoke(cli.app, ["export", str(song / MAP_NAME), "--to", "chordpro,srt", "-o", str(out), *choice]).exit_code == 0
    sheet = (out / "The Testers - Plain Song.cho").read_text(encoding="utf-8")
    assert "{capo: 3}" in sheet
    assert "{key: G}" in sheet  # C, two semitones lower, fingered three lower
    assert "00:00:04,305 -->" in (out / "The Testers - Plain Song.srt").read_text(encoding="utf-8")


def test_sound_is_written_in_the_format_that_was_asked_for(song: Path, tmp_path: Path) -> None:
    choice = ["--to", "click", "-o", str(tmp_path), "--count-in", "2"]
    for form, ending in ((), "flac"), (("--sound-format", "wav24"), "wav"):
        result = RUNNER.invoke(cli.app, ["export", str(song), *choice, *form])
        assert result.stdout.splitlines() == [str(tmp_path / f"The Testers - Plain Song.click.{ending}")]
    info = soundfile.info(tmp_path / "The Testers - Plain Song.click.wav")
    assert info.subtype == "PCM_24"
    beat = (song_of("plain").bars[0].end - song_of("plain").bars[0].start) / 4
    song_sec = song_of("plain").duration_sec
    assert info.duration == pytest.approx(song_sec + 8 * beat - song_of("plain").beats[0], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "click-mix"], 1, "is not there"),
        (["--to", "stems"], 1, "is not there"),
        (["--to", "click", "--sound-format", "aac"], 2, "sound_format"),
        (["--to", "click", "--count-in", "9"], 2, "count_in_bars"),
    ],
)
def test_sound_that_cannot_be_written_is_told(
    song: Path, arguments: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, song, *arguments) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_everything_is_what_can_be_made_of_the_song(song: Path) -> None:
    result = RUNNER.invoke(cli.app, ["export", str(song), "--to", "all", "--json"])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    wanted = [name for name, entry in FORMATS.items() if not entry.needs_sound and name != "zip"]
    assert list(dict.fromkeys(row["format"] for row in rows)) == wanted
    assert all(row["code"] is None and Path(row["file"]).is_file() for row in rows)


def test_the_list_names_every_format() -> None:
    table = RUNNER.invoke(cli.app, ["export", "--list"])
    assert table.exit_code == 0
    assert all(name in table.stdout for name in FORMATS)
    assert [row["name"] for row in json.loads(RUNNER.invoke(cli.app, ["export", "--list", "--json"]).stdout)] == list(FORMATS)


def test_a_song_that_cannot_be_read_does_not_stop_the_next(song: Path, tmp_path: Path) -> None:
    result = RUNNER.invoke(cli.app, ["export", str(tmp_path / "gone"), str(song), "--to", "lrc", "--json"])
    assert result.exit_code == 1
    assert [row["code"] for row in json.loads(result.stdout)] == ["SONG_MAP_NOT_FOUND", None]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "docx"], 2, "EXPORT_FORMAT_UNKNOWN"),
        ([], 2, "OPTION_INVALID"),
        (["--to", "lrc", "--capo", "12"], 2, "OPTION_INVALID"),
        (["--to", "lrc", "--lead", "nan"], 2, "OPTION_INVALID"),
        (["--to", "lrc", "-o", "/dev/null"], 1, "STORAGE_ERROR"),
    ],
)
def test_what_cannot_be_done_has_a_name(
    song: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert run(monkeypatch, song, *arguments) == code
    assert said in capsys.readouterr().err


def test_without_a_song_nothing_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--to", "lrc") == 2
    assert "No song was given" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["markup", "arabic", "combining"])
def test_a_title_of_any_script_is_a_file_in_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / MAP_NAME).write_text(song_of(name).to_json(), encoding="utf-8")
    result = RUNNER.invoke(cli.app, ["export", str(tmp_path), "--to", "lrc", "--json"])
    (row,) = json.loads(result.stdout)
    assert Path(row["file"]).parent == tmp_path
    assert Path(row["file"]).is_file()
