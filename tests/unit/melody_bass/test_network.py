"""Networks are loaded once."""

from __future__ import annotations

from tasks.common import models
from tasks.melody_bass import network


def test_a_network_is_loaded_once():
    file = models.obtain("swift-f0") / "model.onnx"
    assert network.load("swift-f0", file) is network.load("swift-f0", file)
