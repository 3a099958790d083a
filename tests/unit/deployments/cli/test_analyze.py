"""The `analyze` command: the flow is imported while a song is decoded, and what is finished is told whatever happens."""

from __future__ import annotations

import json
import os
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deployments.cli import analyze as module
from deployments.cli.analyze import FlowLoader, analyze_songs
from deployments.cli.export import requested
from schemas.options import AnalysisOptions
from schemas.song_map import SongMap
from tasks.common.errors import EngineFailed
from tasks.export.options import ExportOptions

GOLDEN = Path(__file__).parents[2] / "packager" / "golden" / "song_map.json"


class Api(nullcontext[None]):
    """Stands for the Prefect API."""

    @classmethod
    def of_settings(cls) -> Api:
        return cls()

    def begin(self) -> None: ...

    def abandon(self) -> None: ...


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch, data_dir: Path, tmp_path: Path) -> list[Path]:
    """The songs that reach the flow, in whose place nothing is analysed. A song called `odd`, `bad` or `stop` ends it in that way."""
    seen: list[Path] = []
    song_map = SongMap.from_json(GOLDEN.read_bytes()).written_to(tmp_path / "out" / "song")

    def analyze_song(song: Path, *_: Any, **__: Any) -> SongMap:
        seen.append(song)
        if song.stem in ("odd", "bad", "stop"):
            raise {"odd": ZeroDivisionError("a fault"), "bad": EngineFailed("no engine"), "stop": KeyboardInterrupt()}[song.stem]
        return song_map

    monkeypatch.setattr(module, "EmbeddedApi", Api)
    monkeypatch.setattr("flows.song_analysis.analyze_song", analyze_song)
    monkeypatch.setattr(FlowLoader, "start", lambda _: None)
    return seen


@pytest.fixture
def song(tmp_path: Path) -> Any:
    """song(b"name.wav"): a file with a second of sound."""

    def make(name: bytes) -> Path:
        path = tmp_path / os.fsdecode(name)
        with path.open("wb") as file:
            soundfile.write(file, 0.3 * np.sin(np.arange(44100) / 9), 44100, format="WAV")
        return path

    return make


def run(songs: list[Path], tmp_path: Path, **options: Any) -> int:
    return analyze_songs(songs, tmp_path / "out", AnalysisOptions(**options), as_json=True, debug=False)


def test_names_that_are_no_text_are_analysed_and_written_down(
    analysed: list[Path], song: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = [b"caf\xe9.wav", b"\xc3\xf0\xf3\xef\xef\xe0.wav", b"\x1b[2Jx\x9b.wav", "é.wav".encode()]
    assert run([song(name) for name in names], tmp_path) == 0
    assert [path.name for path in analysed] == ["café.wav", "Группа.wav", "_[2Jx›.wav", "é.wav"]
    out, err = capfd.readouterr()
    endings = json.loads(out)
    assert [Path(ending["song"]).name for ending in endings] == [
        r"caf\xe9.wav",
        r"\xc3\xf0\xf3\xef\xef\xe0.wav",
        "\x1b[2Jx\\x9b.wav",
        "é.wav",
    ]
    assert {ending["status"] for ending in endings} == {"complete"}
    assert "\x1b" not in out + err


def test_a_song_that_fails_in_any_way_stops_no_other(
    analysed: list[Path], song: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("no music")
    assert run([song(b"odd.wav"), tmp_path / "text.wav", song(b"bad.wav"), song(b"good.wav")], tmp_path) == 1
    out, err = capfd.readouterr()
    found = {Path(ending["song"]).name: ending["code"] for ending in json.loads(out)}
    assert found == {"text.wav": "AUDIO_NOT_AUDIO", "odd.wav": "PERFORMIA_ERROR", "bad.wav": "ENGINE_FAILED", "good.wav": None}
    assert "ZeroDivisionError: a fault" in err
    assert "Traceback" not in err


def test_what_is_finished_is_printed_when_the_command_is_stopped(
    analysed: list[Path], song: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(module.os, "_exit", leave)
    with pytest.raises(SystemExit):
        run([song(b"good.wav"), song(b"stop.wav"), song(b"later.wav")], tmp_path)
    assert codes == [130]
    assert [Path(ending["song"]).name for ending in json.loads(capfd.readouterr().out)] == ["good.wav"]


def test_a_damaged_song_is_decoded_where_that_is_accepted(
    analysed: list[Path], song: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cut = song(b"cut.wav")
    soundfile.write(cut, 0.3 * np.sin(np.arange(4 * 44100) / 9), 44100)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    assert run([cut], tmp_path) == 1
    ending = json.loads(capfd.readouterr().out)[0]
    assert ending["code"] == "AUDIO_TRUNCATED"
    assert "--accept-damaged" in ending["error"]
    assert run([cut], tmp_path, accept_damaged=True) == 0
    assert analysed == [cut]


def test_what_separates_is_loaded_once_a_song_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()
    monkeypatch.setattr("tasks.separation.separate.load_ahead", lambda _: loaded.set())
    flow = FlowLoader(AnalysisOptions())
    assert not flow.is_loading()
    flow.start()
    flow.start()  # for a second song, after a bad first one
    assert not loaded.wait(0.5)
    assert flow.is_loading()
    flow.load_engine()
    assert loaded.wait(60)
    flow._thread.join(10)
    assert not flow.is_loading()


def test_exports_lie_beside_the_map_and_what_cannot_be_written_is_told(
    analysed: list[Path], song: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        request = requested(["lrc,chordpro"], ExportOptions(), None, False)
        return analyze_songs([song(b"a.wav")], tmp_path / "out", AnalysisOptions(), as_json=True, debug=False, export=request)

    assert command() == 0
    (ending,) = json.loads(capfd.readouterr().out)
    files = [Path(row["file"]) for row in ending["exports"]]
    assert [file.suffix for file in files] == [".lrc", ".cho"]
    assert {file.parent for file in files} == {tmp_path / "out" / "song"}
    files[1].write_text("mine")
    assert command() == 1
    (ending,) = json.loads(capfd.readouterr().out)
    assert ending["status"] == "complete"
    assert [row["code"] for row in ending["exports"]] == [None, "EXPORT_IN_THE_WAY"]
    assert files[1].read_text() == "mine"


def test_lyrics_longer_than_a_run_may_have_are_refused_by_name(
    analysed: list[Path], song: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([song(b"good.wav")], tmp_path, lyrics="слово" * 19_000) == 1
    out, err = capfd.readouterr()
    assert (json.loads(out)[0]["code"], analysed) == ("OPTION_INVALID", [])
    assert "correct SONG import" in err
