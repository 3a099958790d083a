import threading
import time
import warnings

import numpy as np
import pytest
import torch

from tasks.separation import demucs_engine as engine
from tasks.separation import openvino_network, separate

pytest.importorskip("openvino", reason="the optional package: pip install 'performia[fast]'")

TRAINED = 0.75


def stems(bag, read, samples, segment_sec=TRAINED):
    blocks = list(engine.separate_blocks(bag, read, samples, "cpu", segment_sec, 0.1, None))
    return {stem: np.concatenate([block[stem] for block in blocks], axis=1) for stem in engine.STEMS}


def snr_db(expected, found):
    return 10 * np.log10(np.sum(expected**2) / np.sum((expected - found) ** 2))


@pytest.fixture
def bags(demucs_folder, tmp_path):
    """A bag as torch runs it, and the same as OpenVINO does."""
    return engine.load_bag("htdemucs", demucs_folder()), lambda: engine.load_bag("htdemucs", demucs_folder(), tmp_path / "translations")


@pytest.mark.parametrize(("bfloat16", "least_db"), [(False, 80.0), (True, 35.0)])
def test_it_gives_what_torch_gives(bags, reader, noise, monkeypatch, bfloat16, least_db):
    if bfloat16 and not openvino_network.cpu_has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    monkeypatch.setattr(openvino_network, "cpu_has_bfloat16", lambda: bfloat16)
    plain, translated = bags
    song = noise(2.0)
    expected, found = stems(plain, reader(song), song.shape[1]), stems(translated(), reader(song), song.shape[1])
    for stem in engine.STEMS:
        assert np.isfinite(found[stem]).all()
        assert snr_db(expected[stem], found[stem]) > least_db, stem


def test_shorter_segments_run_in_torch_and_leave_the_loaded_model_as_it_is(bags, reader, noise):
    plain, translated = bags
    song, bag = noise(1.0), translated()
    expected = stems(plain, reader(song), song.shape[1], 0.4)
    found = stems(bag, reader(song), song.shape[1], 0.4)
    for stem in engine.STEMS:
        np.testing.assert_allclose(found[stem], expected[stem], atol=1e-6, err_msg=stem)
    assert "forward" in vars(bag.models[0])


def test_it_can_be_used_after_its_memory_was_given_back(bags, reader, noise):
    plain, translated = bags
    song, bag = noise(1.0), translated()
    before = stems(bag, reader(song), song.shape[1])
    for network in (*bag.models, *plain.models):
        openvino_network.release_memory(network)
    after = stems(bag, reader(song), song.shape[1])
    for stem in engine.STEMS:
        np.testing.assert_array_equal(after[stem], before[stem], err_msg=stem)


def test_a_network_is_translated_once(bags, tmp_path, monkeypatch):
    _, translated = bags
    translated()
    monkeypatch.setattr(openvino_network, "_translate", lambda *_: pytest.fail("translated again"))
    translated()
    assert sorted(path.name for path in (tmp_path / "translations").rglob("*") if path.is_file()) == ["network.bin", "network.xml"]


def test_other_weights_are_another_translation(demucs_folder, tmp_path):
    for seed in (0, 1):
        engine.load_bag("htdemucs", demucs_folder(seed=seed), tmp_path / "translations")
    assert len(list((tmp_path / "translations").iterdir())) == 2


def test_what_openvino_cannot_run_torch_does(demucs_folder, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(openvino_network, "accelerate", broken)
    bag = separate._load_demucs("htdemucs", demucs_folder(), "cpu")
    assert "OpenVINO cannot run it" in caplog.text
    with torch.inference_mode(), warnings.catch_warnings():
        assert bag.models[0](torch.zeros(1, 2, 4000)).shape == (1, 4, 2, 4000)


def test_segments_at_the_same_time_come_out_in_their_order():
    both = threading.Barrier(2, timeout=30)

    def slow_at_first(start):
        both.wait()  # passes only while two run
        time.sleep(0.05 if start == 0 else 0)
        return np.full(1, start)

    assert [int(value[0]) for value in engine._in_order(slow_at_first, range(6), 2)] == list(range(6))


def test_what_a_segment_raises_arrives_and_the_rest_is_not_begun():
    begun = []

    def third_fails(start):
        begun.append(start)
        if start == 2:
            raise MemoryError("segment")
        return np.full(1, start)

    with pytest.raises(MemoryError, match="segment"):
        list(engine._in_order(third_fails, range(100), 2))
    assert len(begun) < 10
