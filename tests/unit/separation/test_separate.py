import numpy as np
import pytest
import torch

from schemas.results import STEMS, ModelUse
from tasks.common.errors import ModelCorrupt, ModelUnavailable, OutOfMemory
from tasks.common.settings import reset_settings
from tasks.separation import demucs_engine, separate

MODEL = ModelUse(name="htdemucs", digest="d", licence="MIT")
SIX_SOURCES = ("drums", "bass", "other", "vocals", "guitar", "piano")


@pytest.fixture
def weights(monkeypatch):
    """Let models.obtain answer with a folder."""
    return lambda folder: monkeypatch.setattr(separate.models, "obtain", lambda name, progress=None: folder)


def check_sum(stems, mix, load):
    np.testing.assert_allclose(sum(load(stems.stem(name)) for name in STEMS), mix, atol=1e-6)
    np.testing.assert_allclose(load(stems.instrumental), mix - load(stems.vocals), atol=1e-6)
    assert stems.residual_db < -120


def test_demucs_separates_a_song_from_its_file_format_to_the_store(ctx, song, plan, load, noise, demucs_folder, weights):
    weights(demucs_folder())
    mix = noise(2.0)
    fractions = []
    ctx.progress = lambda fraction, message="": fractions.append(fraction)
    stems = separate.separate_song(song(mix), plan("htdemucs"), ctx)
    check_sum(stems, mix, load)
    assert (stems.report.engine, stems.report.status, stems.report.device) == ("htdemucs", "ok", "cpu")
    assert fractions == sorted(fractions)
    assert len(fractions) >= 4
    assert fractions[-1] == 1.0


def test_guitar_and_piano_of_the_six_source_model_are_part_of_other(ctx, song, plan, load, noise, demucs_folder, weights):
    folder = demucs_folder("5c90dfd2", SIX_SOURCES)
    weights(folder)
    mix = noise(0.6)
    stems = separate.separate_song(song(mix), plan("htdemucs_6s"), ctx)
    check_sum(stems, mix, load)
    bag = demucs_engine.load_bag("htdemucs_6s", folder)
    assert bag.sources == list(SIX_SOURCES)


def test_the_same_song_gives_the_same_stems(ctx, song, plan, noise, demucs_folder, weights):
    weights(demucs_folder())
    source = song(noise(1.0))
    assert len({separate.separate_song(source, plan("htdemucs"), ctx).content_hash() for _ in range(2)}) == 1


def test_the_options_of_the_plan_reach_demucs(ctx, song, plan, noise, demucs_folder, weights, monkeypatch):
    weights(demucs_folder())
    seen = []
    real = demucs_engine.separate_blocks

    def spy(bag, mix, samples, device, segment_sec, overlap, autocast):
        seen.append((segment_sec, overlap))
        return real(bag, mix, samples, device, segment_sec, overlap, autocast)

    monkeypatch.setattr(demucs_engine, "separate_blocks", spy)
    source = song(noise(0.5))
    separate.separate_song(source, plan("htdemucs", overlap=0.5), ctx)
    separate.separate_song(source, plan("htdemucs", overlap=None), ctx)
    separate.separate_song(source, plan("htdemucs"), ctx)
    assert seen == [(0.75, 0.5), (0.75, 0.25), (0.75, 0.25)]


def out_of_memory_until(monkeypatch, attempts):
    """Let demucs run out of memory, in the middle of the song, in that many attempts."""
    real = demucs_engine.separate_blocks
    tried = []

    def fake(bag, mix, samples, device, segment_sec, overlap, autocast):
        tried.append(segment_sec)
        blocks = real(bag, mix, samples, device, segment_sec, overlap, autocast)
        yield next(blocks)
        if len(tried) <= attempts:
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield from blocks

    monkeypatch.setattr(demucs_engine, "separate_blocks", fake)
    return tried


def test_out_of_memory_is_tried_again_with_shorter_segments_and_told(ctx, song, plan, load, noise, demucs_folder, weights, monkeypatch):
    weights(demucs_folder())
    tried = out_of_memory_until(monkeypatch, attempts=1)
    mix = noise(2.0)
    stems = separate.separate_song(song(mix), plan("htdemucs", "dsp"), ctx)
    check_sum(stems, mix, load)
    assert tried == [0.75, 0.375]
    assert stems.report.engine == "htdemucs"
    assert stems.report.status == "ok"
    assert "ran out of memory" in stems.report.warnings[0]


def test_the_next_engine_takes_over_when_memory_never_suffices(ctx, song, plan, load, noise, demucs_folder, weights, monkeypatch):
    weights(demucs_folder())
    out_of_memory_until(monkeypatch, attempts=99)
    mix = noise(2.0)
    stems = separate.separate_song(song(mix), plan("htdemucs", "dsp"), ctx)
    check_sum(stems, mix, load)
    assert (stems.report.engine, stems.report.status) == ("dsp", "degraded")
    assert "OutOfMemoryError" in stems.report.degraded_because[0]


def test_out_of_memory_in_the_last_engine_can_be_retried(ctx, song, plan, noise, demucs_folder, weights, monkeypatch):
    weights(demucs_folder())
    out_of_memory_until(monkeypatch, attempts=99)
    with pytest.raises(OutOfMemory) as caught:
        separate.separate_song(song(noise(2.0)), plan("htdemucs"), ctx)
    assert caught.value.transient


def test_absent_weights_give_way_to_signal_processing(ctx, song, plan, load, noise, monkeypatch):
    def nothing(name, progress=None):
        raise ModelUnavailable(f"the weights of {name} are not here")

    monkeypatch.setattr(separate.models, "obtain", nothing)
    mix = noise(1.0)
    stems = separate.separate_song(song(mix), plan("htdemucs", "spleeter", "dsp"), ctx)
    check_sum(stems, mix, load)
    assert stems.report.engine == "dsp"
    assert [reason.split(":")[0] for reason in stems.report.degraded_because] == ["htdemucs", "spleeter"]
    assert "without a model" in stems.report.warnings[0]


def test_nothing_unfinished_is_left_behind(ctx, song, plan, noise, demucs_folder, weights, monkeypatch):
    weights(demucs_folder())
    out_of_memory_until(monkeypatch, attempts=99)
    with pytest.raises(OutOfMemory):
        separate.separate_song(song(noise(1.0)), plan("htdemucs"), ctx)
    assert list(ctx.store.scratch.iterdir()) == []


@pytest.mark.parametrize("samples", [1, 500, 3000])
def test_a_very_short_song_is_separated(ctx, song, plan, load, noise, samples):
    mix = noise(1.0)[:, :samples]
    check_sum(separate.separate_song(song(mix), plan("dsp"), ctx), mix, load)


def test_an_engine_loaded_ahead_is_the_one_that_separates(ctx, song, plan, noise, demucs_folder, weights, monkeypatch):
    folder = demucs_folder()
    weights(folder)
    monkeypatch.setattr(separate.models, "find", lambda name: separate.models.Found(None, folder, "cache", "digest"))
    chosen = plan("htdemucs")
    chosen = chosen.model_copy(update={"chain": (chosen.chain[0].model_copy(update={"models": (MODEL,)}), *chosen.chain[1:])})
    separate.load_ahead(chosen)
    monkeypatch.setattr(separate, "_load_demucs", lambda *_: pytest.fail("loaded again"))
    assert separate.separate_song(song(noise(1.0)), chosen, ctx).report.engine == "htdemucs"


def test_nothing_is_loaded_ahead_onto_a_gpu_whose_slot_nobody_holds_yet(plan, demucs_folder, monkeypatch):
    folder = demucs_folder()
    monkeypatch.setenv("PERFORMIA_DEVICE", "cuda")
    reset_settings()
    monkeypatch.setattr(separate.models, "find", lambda name: separate.models.Found(None, folder, "cache", "digest"))
    monkeypatch.setattr(separate.models, "load_once", lambda *_: pytest.fail("loaded without a slot"))
    for chosen in (plan("htdemucs"), plan("spleeter")):
        separate.load_ahead(chosen.model_copy(update={"chain": (chosen.chain[0].model_copy(update={"models": (MODEL,)}),)}))


def test_what_cannot_be_loaded_ahead_is_not_told_yet(plan, monkeypatch):
    def corrupt(_):
        raise ModelCorrupt("weights")

    monkeypatch.setattr(separate.models, "find", corrupt)
    chosen = plan("htdemucs")
    separate.load_ahead(chosen.model_copy(update={"chain": (chosen.chain[0].model_copy(update={"models": (MODEL,)}),)}))
    separate.load_ahead(plan("dsp"))


def test_spleeter_hears_half_of_its_window_when_memory_runs_out(ctx, song, plan, noise, weights, monkeypatch, tmp_path):
    weights(tmp_path)
    windows = []

    def full(model, mix, samples, window):
        windows.append(window)
        raise MemoryError
        yield

    monkeypatch.setattr(separate, "_loaded_spleeter", lambda *_: None)
    monkeypatch.setattr(separate.spleeter, "separate_vocals", full)
    assert separate.separate_song(song(noise(0.5)), plan("spleeter", "dsp"), ctx).report.engine == "dsp"
    assert windows == [512, 256]
    assert list(ctx.store.scratch.iterdir()) == []
