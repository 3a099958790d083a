import os

import numpy as np
import pytest
import torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs

from tasks.common.errors import ModelCorrupt, ModelUnavailable
from tasks.separation import demucs_engine as engine

TRAINED = 0.75


def separate(bag, read, samples, segment_sec=TRAINED, overlap=0.25, autocast=None):
    blocks = list(engine.separate_blocks(bag, read, samples, "cpu", segment_sec, overlap, autocast))
    return {stem: np.concatenate([block[stem] for block in blocks], axis=1) for stem in engine.STEMS}


def separate_whole(bag, song, overlap):
    """demucs's own way, with the whole song in memory."""
    wav = torch.from_numpy(song)
    reference = wav.mean(0)
    mean, std = reference.mean(), reference.std() + 1e-8
    out = apply_model(bag, ((wav - mean) / std)[None], shifts=0, split=True, overlap=overlap) * std + mean
    return {stem: out[0, bag.sources.index(stem)].numpy() for stem in engine.STEMS}


@pytest.mark.parametrize(
    ("seconds", "segment_sec", "overlap"), [(2.01, TRAINED, 0.25), (2.5, 0.5, 0.6), (1.3, TRAINED, 0.0), (0.2, TRAINED, 0.25)]
)
def test_from_file_to_file_gives_what_demucs_gives_in_memory(demucs_folder, reader, noise, seconds, segment_sec, overlap):
    bag = engine.load_bag("htdemucs", demucs_folder())
    song = noise(seconds) + np.float32(0.02)
    found = separate(bag, reader(song), song.shape[1], segment_sec, overlap)
    expected = separate_whole(engine.with_segment(bag, segment_sec), song, overlap)
    for stem in engine.STEMS:
        assert found[stem].shape == song.shape
        np.testing.assert_allclose(found[stem], expected[stem], atol=1e-6, err_msg=stem)


def test_the_same_song_gives_the_same_stems(demucs_folder, reader, noise):
    bag = engine.load_bag("htdemucs", demucs_folder())
    first, second = (separate(bag, reader(noise(1.0)), 44100) for _ in range(2))
    for stem in engine.STEMS:
        np.testing.assert_array_equal(first[stem], second[stem])


def test_lower_precision_stays_close(demucs_folder, reader, noise):
    bag = engine.load_bag("htdemucs", demucs_folder())
    exact, fast = (separate(bag, reader(noise(0.3)), 13230, autocast=dtype) for dtype in (None, torch.bfloat16))
    peak = np.abs(exact["vocals"]).max()
    assert 0 < np.abs(exact["vocals"] - fast["vocals"]).max() < 0.05 * peak


def test_shorter_segments_leave_the_loaded_model_as_it_is(demucs_folder):
    bag = engine.load_bag("htdemucs", demucs_folder())
    shorter = engine.with_segment(bag, 0.25)
    assert (engine.longest_segment_sec(bag), engine.longest_segment_sec(shorter)) == (TRAINED, 0.25)
    assert next(shorter.parameters()).data_ptr() == next(bag.parameters()).data_ptr()


def test_the_level_is_that_of_the_whole_song(reader, noise):
    song = noise(3.0) + np.float32(0.3)
    level = engine.measure_level(reader(song), song.shape[1])
    mono = torch.from_numpy(song).mean(0)
    assert level.mean == pytest.approx(float(mono.mean()), abs=1e-6)
    assert level.std == pytest.approx(float(mono.std()), rel=1e-5)


def test_a_bag_takes_each_stem_from_its_own_network(demucs_folder, reader, noise):
    signatures = ("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d")
    for seed, signature in enumerate(signatures):
        folder = demucs_folder(signature, seed=seed)
    bag = engine.load_bag("htdemucs_ft", folder)
    song = noise(0.5)
    found = separate(bag, reader(song), song.shape[1])
    for stem, seed in (("drums", 0), ("bass", 1), ("vocals", 3)):
        demucs_folder("955717e8", seed=seed)
        alone = separate(engine.load_bag("htdemucs", folder), reader(song), song.shape[1])
        np.testing.assert_allclose(found[stem], alone[stem], atol=1e-7, err_msg=stem)


def test_weights_that_are_not_there_are_a_named_error(tmp_path):
    with pytest.raises(ModelUnavailable, match="955717e8"):
        engine.load_bag("htdemucs", tmp_path)


def test_a_checkpoint_of_another_class_is_refused(tmp_path):
    torch.save({"klass": torch.nn.Linear, "args": (1, 1), "kwargs": {}, "state": {}}, tmp_path / "955717e8-1.th")
    with pytest.raises(ModelCorrupt, match=r"torch\.nn\.modules\.linear\.Linear"):
        engine.load_bag("htdemucs", tmp_path)


def test_a_checkpoint_that_runs_code_is_refused_and_does_not_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    torch.save({"klass": HTDemucs, "args": (), "kwargs": {}, "state": {}, "training_args": Malicious()}, tmp_path / "955717e8-1.th")
    with pytest.raises(ModelCorrupt, match="mkdir"):
        engine.load_bag("htdemucs", tmp_path)
    assert not (tmp_path / "attacked").exists()


def test_a_checkpoint_with_the_wrong_weights_is_refused(tmp_path):
    torch.save(
        {"klass": HTDemucs, "args": (["vocals"],), "kwargs": {"channels": 8, "t_layers": 0}, "state": {}}, tmp_path / "955717e8-1.th"
    )
    with pytest.raises(ModelCorrupt, match="does not fit"):
        engine.load_bag("htdemucs", tmp_path)


def test_plain_weights_without_the_network_are_refused(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "955717e8-1.th")
    with pytest.raises(ModelCorrupt, match="does not hold"):
        engine.load_bag("htdemucs", tmp_path)
