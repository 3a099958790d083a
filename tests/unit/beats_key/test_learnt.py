"""The small networks and their weights."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.beats_key import bars, learnt, pulse, tonality
from tasks.beats_key.evidence import KINDS


def test_a_network_is_one_hidden_layer_of_standardised_features() -> None:
    network = learnt.Network(
        mean=np.array([1.0, 0.0]),
        deviation=np.array([2.0, 1.0]),
        hidden=np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]),
        hidden_bias=np.zeros((2, 2)),
        output=np.array([[1.0, 10.0], [0.0, 0.0]]),
        output_bias=np.array([0.5, -1.0]),
    )
    scores = network.scores(np.array([[3.0, 0.0], [1.0, 100.0]]))
    assert scores[0] == pytest.approx([np.tanh(1.0) + 0.5, 10 * np.tanh(4.0) + 0.5])  # what is far off counts as four deviations
    assert scores[1] == pytest.approx([-1.0, -1.0])


@pytest.mark.parametrize(("name", "features"), [("pulse", 38), ("bars", 7 * 21), ("key", 9)])
def test_the_weights_that_come_with_the_package_fit_the_features(name: str, features: int) -> None:
    network = learnt.networks()[name]
    assert network.hidden.shape[2] == len(network.mean) == len(network.deviation) == features
    assert (network.deviation > 0).all()
    assert np.isfinite(network.scores(np.zeros((3, features)))).all()


def test_the_shares_of_chords_in_a_key_are_shares_and_the_tonic_leads() -> None:
    shares = learnt.chords_in_key()
    assert shares.shape == (2, 12, len(KINDS))
    np.testing.assert_allclose(shares.sum(axis=(1, 2)), 1.0, atol=1e-4)
    assert (shares > 0).all()
    assert shares[0].sum(axis=1).argmax() == shares[1].sum(axis=1).argmax() == 0


def test_what_is_learnt_is_read_by_those_who_decide() -> None:
    assert pulse.networks is bars.networks is tonality.networks is learnt.networks
