import numpy as np
import pytest
import soundfile

from tasks.separation.stem_files import EXACT_DB, difference, reader_of, stem_files


def test_the_stems_sum_to_the_mix_whatever_the_estimates_are(ctx, load, noise):
    mix = noise(0.2)
    with ctx.store.temporary_dir() as folder, stem_files(folder, 44100) as files:
        for start in range(0, mix.shape[1], 1000):
            block = mix[:, start : start + 1000]
            files.write(block, 0.9 * block, -0.4 * block, 3 * block)
        stored = files.store_in(ctx.store)
    total = sum(load(stored.refs[name]) for name in ("vocals", "drums", "bass", "other"))
    np.testing.assert_allclose(total, mix, atol=1e-6)
    np.testing.assert_allclose(load(stored.refs["instrumental"]) + load(stored.refs["vocals"]), mix, atol=1e-6)
    assert stored.residual_db < -120


def test_the_residual_is_measured_on_what_was_written(ctx, noise):
    """Stems a million times louder than the mix leave no digits for it."""
    mix = noise(0.05)
    with ctx.store.temporary_dir() as folder, stem_files(folder, 44100) as files:
        loud = (1e6 * np.random.default_rng(1).standard_normal(mix.shape)).astype(np.float32)
        files.write(mix, loud, loud, loud)
        assert files.residual_db > -20


def test_silence_sums_exactly(ctx):
    silence = np.zeros((2, 100), np.float32)
    with ctx.store.temporary_dir() as folder, stem_files(folder, 44100) as files:
        files.write(silence, silence, silence, silence)
        assert files.residual_db == EXACT_DB


@pytest.mark.parametrize(("start", "frames"), [(-5, 8), (0, 10), (7, 6), (-20, 5), (30, 4), (-3, 20)])
def test_a_reader_gives_zeros_outside_the_file(tmp_path, start, frames):
    samples = np.arange(1, 11, dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([samples, -samples], axis=1), 44100, subtype="FLOAT")
    read = reader_of(tmp_path / "a.wav")
    expected = [samples[k] if 0 <= k < 10 else 0 for k in range(start, start + frames)]
    np.testing.assert_array_equal(read(start, frames), np.array([expected, np.negative(expected)]))


def test_a_difference_subtracts(reader, noise):
    a, b = noise(0.01), 2 * noise(0.01)
    np.testing.assert_array_equal(difference(reader(a), reader(b))(3, 50), (a - b)[:, 3:53])
