import numpy as np
import pytest

from tasks.separation.stft import Resynthesis, Stft, spans

STFT = Stft(1024)


def resynthesise(read, samples, block):
    output = Resynthesis(STFT, samples)
    first, stop = STFT.frame_span(samples)
    return np.concatenate([output.push(STFT.analyse(read, a, b)) for a, b in spans(first, stop, block)], axis=1)


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 1024, 5000])
def test_analysis_and_resynthesis_give_the_signal_back(samples, reader, noise):
    signal = noise(1.0)[:, :samples]
    back = resynthesise(reader(signal), samples, block=4)
    assert back.shape == signal.shape
    np.testing.assert_allclose(back, signal, atol=1e-6)


def test_blocks_of_any_length_give_the_same_samples(reader, noise):
    read = reader(noise(0.5))
    whole = resynthesise(read, 22050, block=10_000)
    for block in (1, 7, 64):
        np.testing.assert_allclose(resynthesise(read, 22050, block), whole, atol=1e-6)


def test_a_sine_peaks_in_its_bin(reader):
    signal = np.sin(2 * np.pi * 10 * np.arange(8192) / 1024).astype(np.float32)
    spectrum = STFT.analyse(reader(np.stack([signal, signal])), 8, 9)
    assert spectrum.shape == (2, 513, 1)
    assert int(np.abs(spectrum[0, :, 0]).argmax()) == 10


def test_spans_cover_a_range_without_gaps():
    assert list(spans(-1, 9, 4)) == [(-1, 3), (3, 7), (7, 9)]
