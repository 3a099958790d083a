import json
from pathlib import Path

import numpy as np
import pytest

from tasks.common.numba_cache import import_librosa
from tasks.separation import dsp
from tasks.separation.centre import centre_mask, extract_voice, vocal_range
from tasks.separation.stft import Stft

RATE = 44100
GOLDEN = json.loads((Path(__file__).parent / "golden" / "masks.json").read_text())


def sine(hz, seconds=3.0):
    wave = 0.3 * np.sin(2 * np.pi * hz * np.arange(round(RATE * seconds)) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


def clicks(seconds=3.0):
    wave = np.zeros((2, round(RATE * seconds)), np.float32)
    wave[:, RATE // 4 :: RATE // 2] = 0.9
    return wave


def split(read, samples, **options):
    blocks = list(dsp.split_drums_bass(read, samples, RATE, **options))
    return tuple(np.concatenate(part, axis=1) for part in zip(*blocks, strict=True))


def share(part, whole):
    """Energy of the part relative to the whole, away from the ends."""
    inside = slice(RATE // 2, -RATE // 2)
    return float(np.square(part[:, inside]).sum() / np.square(whole[:, inside]).sum())


@pytest.fixture
def drums_and_bass(reader):
    song = sine(60) + sine(880) + clicks()
    return split(reader(song), song.shape[1])


def test_clicks_land_in_the_drums(drums_and_bass):
    drums, bass = drums_and_bass
    at_clicks = [np.abs(drums[0, k - 20 : k + 20]).max() for k in range(RATE // 4, 3 * RATE - 100, RATE // 2)]
    assert min(at_clicks) > 0.6
    between = np.abs(drums[0, RATE // 2 - 3000 : RATE // 2 + 3000]).max()
    assert between < 0.1
    assert np.abs(bass[0] - sine(60)[0])[RATE // 2 : -RATE // 2].max() < 0.1


def test_60_hz_lands_in_the_bass(drums_and_bass):
    _, bass = drums_and_bass
    assert share(bass - sine(60), sine(60)) < 0.05
    assert share(bass, sine(60)) == pytest.approx(1.0, abs=0.1)


def test_a_high_note_is_neither(reader):
    song = sine(880)
    drums, bass = split(reader(song), song.shape[1])
    assert share(drums, song) < 0.02
    assert share(bass, song) < 0.02


def test_blocks_of_any_length_give_the_same_drums_and_bass(reader, noise):
    song = noise(1.0) + clicks(1.0) + sine(60, 1.0)
    whole = split(reader(song), song.shape[1], block=4096)
    assert whole[0].shape == song.shape
    for block in (16, 50):
        for part, expected in zip(split(reader(song), song.shape[1], block=block), whole, strict=True):
            np.testing.assert_allclose(part, expected, atol=1e-6)


def test_silence_gives_silence(reader):
    drums, bass = split(reader(np.zeros((2, 10_000), np.float32)), 10_000)
    assert not drums.any()
    assert not bass.any()


def test_the_low_pass_is_as_recorded():
    gain = dsp.low_pass(dsp.STFT, RATE, 250.0)
    hz = np.arange(gain.size) * RATE / dsp.STFT.n_fft
    np.testing.assert_allclose(np.interp(GOLDEN["low_pass"]["hz"], hz, gain), GOLDEN["low_pass"]["gain"], atol=2e-3)


def test_the_centre_mask_is_as_recorded():
    for case in GOLDEN["centre_mask"]:
        spectrum = np.array([[[complex(*case["left"])]], [[complex(*case["right"])]]], np.complex64)
        assert centre_mask(spectrum).item() == pytest.approx(case["mask"], abs=1e-4), case


def test_the_percussive_mask_is_as_recorded():
    case = GOLDEN["percussive_mask"]
    magnitude = np.zeros((9, 9), np.float32)
    magnitude[case["row"], :] = 1.0
    magnitude[:, case["column"]] = 1.0
    mask = dsp.percussive_mask(magnitude, 5)
    assert mask[0, case["column"]] == pytest.approx(case["on_the_click"], abs=1e-4)
    assert mask[case["row"], 0] == pytest.approx(case["on_the_tone"], abs=1e-4)
    assert mask[case["row"], case["column"]] == pytest.approx(case["where_they_cross"], abs=1e-4)


def test_a_weighted_mask_is_that_of_the_louder_sound():
    mask = np.array([0.0, 0.2, 0.5, 1.0], np.float32)
    np.testing.assert_allclose(dsp.weighted(mask, np.float32(2.0)), [0.0, 0.5, 0.8, 1.0], atol=1e-6)
    np.testing.assert_allclose(dsp.weighted(mask, np.float32(1.0)), mask, atol=1e-6)


def test_the_vocal_range_leaves_bass_and_hiss_out():
    gain = vocal_range(Stft(1024), RATE)
    hz = np.arange(gain.size) * RATE / 1024
    assert set(gain[(hz < 120) | (hz > 10_000)]) == {0.0}
    assert set(gain[(hz > 130) & (hz < 9_900)]) == {1.0}


def test_a_voice_in_the_centre_is_found_and_a_guitar_at_the_side_is_not(reader, tmp_path):
    """A gliding, vibrating tone in the centre against a steady tone on the left."""
    time = np.arange(3 * RATE) / RATE
    phase = 2 * np.pi * (500 * time + 100 * np.cumsum(np.sin(2 * np.pi * 1.5 * time)) / RATE)
    voice = np.stack([0.3 * np.sin(phase)] * 2).astype(np.float32)
    guitar = np.stack([0.3 * np.sin(2 * np.pi * 1500 * time), np.zeros_like(time)]).astype(np.float32)
    song = voice + guitar
    found = np.concatenate(list(extract_voice(reader(song), song.shape[1], RATE, tmp_path)), axis=1)
    assert found.shape == song.shape
    inside = slice(RATE // 2, -RATE // 2)
    error = np.square(found - voice)[:, inside].sum() / np.square(voice)[:, inside].sum()
    before = np.square(song - voice)[:, inside].sum() / np.square(voice)[:, inside].sum()
    assert error < before / 2


@pytest.mark.parametrize("shape", [(40, 70), (3, 1), (1, 9), (20, 4)])
def test_the_percussive_mask_is_librosas(shape: tuple[int, int]):
    librosa = import_librosa()
    magnitude = np.abs(np.random.default_rng(1).standard_normal(shape)).astype(np.float32)
    magnitude[:, : shape[1] // 3] = 0
    magnitude[:, -1] *= np.float32(1e-30)
    _, percussive = librosa.decompose.hpss(magnitude, kernel_size=7, power=2.0, mask=True)
    np.testing.assert_allclose(dsp.percussive_mask(magnitude, 7), percussive, atol=1e-6)
