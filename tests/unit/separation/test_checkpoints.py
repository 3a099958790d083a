import os
import pickle

import numpy as np
import pytest
import torch

from tasks.common.errors import ModelCorrupt
from tasks.separation.checkpoints import load_checkpoint, numpy_globals


class Malicious:
    """A pickle that makes a directory when it is loaded the careless way."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def attack(tmp_path):
    return tmp_path / "made_by_the_attacker"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, attack, zipped):
    file = tmp_path / "model.th"
    torch.save({"state": {}, "extra": Malicious(attack)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelCorrupt):
        load_checkpoint(file, numpy_globals())
    assert not attack.exists()


def test_the_refusal_names_what_the_file_wanted(tmp_path, attack):
    file = tmp_path / "model.th"
    torch.save(Malicious(attack), file)
    with pytest.raises(ModelCorrupt, match="mkdir"):
        load_checkpoint(file, numpy_globals())


def test_numpy_arrays_and_numbers_are_loaded(tmp_path):
    file = tmp_path / "model.th"
    torch.save({"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "best": np.float64(0.5)}, file)
    loaded = load_checkpoint(file, numpy_globals())
    np.testing.assert_array_equal(loaded["weight"], np.arange(6).reshape(2, 3))
    assert loaded["best"] == 0.5


def test_numpy_is_refused_where_it_is_not_expected(tmp_path):
    file = tmp_path / "model.th"
    torch.save({"weight": np.zeros(2)}, file)
    with pytest.raises(ModelCorrupt, match="numpy"):
        load_checkpoint(file, [])


def test_nothing_stays_allowed_after_loading(tmp_path):
    file = tmp_path / "model.th"
    torch.save({"weight": np.zeros(2)}, file)
    load_checkpoint(file, numpy_globals())
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file, weights_only=True)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_a_named_error(tmp_path, content):
    file = tmp_path / "model.th"
    file.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=r"model\.th"):
        load_checkpoint(file, [])
