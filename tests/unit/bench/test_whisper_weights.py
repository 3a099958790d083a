"""CTranslate2's Whisper as a checkpoint of openai-whisper: a small network goes there from here and is the same."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from whisper.model import ModelDimensions, Whisper

from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.whisper_weights import convert, read_ctranslate2

DIMS = ModelDimensions(
    n_mels=8, n_audio_ctx=6, n_audio_state=64, n_audio_head=1, n_audio_layer=2,
    n_vocab=20, n_text_ctx=5, n_text_state=64, n_text_head=1, n_text_layer=1,
)  # fmt: skip


def as_ctranslate2(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What CTranslate2's own converter makes of the weights."""
    found = {
        f"encoder/{name}": state[f"encoder.{name.replace('/', '.')}"]
        for name in ("conv1/weight", "conv1/bias", "conv2/weight", "conv2/bias")
    }

    def fused(target: str, *sources: str) -> None:
        weights = [state[f"{source}.weight"] for source in sources]
        biases = [state.get(f"{source}.bias", np.zeros(len(w), w.dtype)) for source, w in zip(sources, weights, strict=True)]
        found[f"{target}/weight"], found[f"{target}/bias"] = np.concatenate(weights), np.concatenate(biases)

    def norm(target: str, source: str) -> None:
        found[f"{target}/gamma"], found[f"{target}/beta"] = state[f"{source}.weight"], state[f"{source}.bias"]

    found["decoder/embeddings/weight"] = state["decoder.token_embedding.weight"]
    for side, last, layers in (("encoder", "ln_post", DIMS.n_audio_layer), ("decoder", "ln", DIMS.n_text_layer)):
        found[f"{side}/position_encodings/encodings"] = state[f"{side}.positional_embedding"]
        norm(f"{side}/layer_norm", f"{side}.{last}")
        for number in range(layers):
            there, here = f"{side}/layer_{number}", f"{side}.blocks.{number}"
            norm(f"{there}/self_attention/layer_norm", f"{here}.attn_ln")
            fused(f"{there}/self_attention/linear_0", *(f"{here}.attn.{name}" for name in ("query", "key", "value")))
            fused(f"{there}/self_attention/linear_1", f"{here}.attn.out")
            if side == "decoder":
                norm(f"{there}/attention/layer_norm", f"{here}.cross_attn_ln")
                fused(f"{there}/attention/linear_0", f"{here}.cross_attn.query")
                fused(f"{there}/attention/linear_1", *(f"{here}.cross_attn.{name}" for name in ("key", "value")))
                fused(f"{there}/attention/linear_2", f"{here}.cross_attn.out")
            norm(f"{there}/ffn/layer_norm", f"{here}.mlp_ln")
            fused(f"{there}/ffn/linear_0", f"{here}.mlp.0")
            fused(f"{there}/ffn/linear_1", f"{here}.mlp.2")
    return found


def write(file: Path, arrays: dict[str, np.ndarray], specification: str = "WhisperSpec") -> None:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    kinds = {"float32": 0, "int8": 1, "float16": 4}
    content = struct.pack("<I", 6) + text(specification) + struct.pack("<II", 3, len(arrays))
    for name, array in arrays.items():
        content += text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        content += struct.pack("<BI", kinds[array.dtype.name], array.nbytes) + array.tobytes()
    file.write_bytes(content)


@pytest.fixture(scope="module")
def network() -> Whisper:
    torch.manual_seed(0)
    net = Whisper(DIMS).eval()
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    return net.half().float()  # what is in float16 is there without loss


def test_the_checkpoint_is_the_same_network(network: Whisper, tmp_path: Path) -> None:
    state = {name: array.numpy().astype(np.float16) for name, array in network.state_dict().items()}
    write(tmp_path / "model.bin", as_ctranslate2(state))
    convert(tmp_path / "model.bin", tmp_path / "small.pt")
    checkpoint = torch.load(tmp_path / "small.pt", weights_only=True)
    assert checkpoint["dims"] == vars(DIMS)
    assert set(checkpoint["model_state_dict"]) == set(network.state_dict())
    for name, array in checkpoint["model_state_dict"].items():
        assert np.array_equal(array.numpy().astype(np.float16), state[name]), name


def test_other_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "other.bin", {}, "TransformerSpec")
    (tmp_path / "short.bin").write_bytes(b"\6\0\0\0")
    for name in ("other.bin", "short.bin"):
        with pytest.raises(BenchmarkFailed, match=name):
            read_ctranslate2(tmp_path / name)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "model.bin", {"decoder/embeddings/weight": np.zeros((2, 2), np.int8)})
    with pytest.raises(BenchmarkFailed, match="quantised"):
        read_ctranslate2(tmp_path / "model.bin")
