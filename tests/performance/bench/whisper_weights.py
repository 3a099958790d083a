"""Whisper's weights for both sides of a race: a CTranslate2 model in float16, written as a checkpoint of openai-whisper without loss.

CTranslate2 keeps the projections of an attention in one matrix: query, key and value of its own text (`linear_0`), key and value of the
audio (`linear_1` of a cross attention). Here they are taken apart again. openai-whisper's key has no bias; CTranslate2's is zero.
Run as a module: `python -m tests.performance.bench.whisper_weights MODEL.bin CHECKPOINT.pt`.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from tests.performance.bench.errors import BenchmarkFailed

_VERSION: Final = 6
_SPECIFICATION: Final = "WhisperSpec"
_TYPES: Final = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_HEAD_WIDTH: Final = 64
Arrays = Mapping[str, np.ndarray]


def convert(model: Path, checkpoint: Path) -> None:
    """Write the checkpoint that `whisper.load_model` reads. Raises BenchmarkFailed for a file of another kind."""
    import torch

    arrays = read_ctranslate2(model)
    state = {name: torch.from_numpy(np.array(array)) for name, array in _checkpoint_arrays(arrays)}
    torch.save({"dims": dimensions(arrays), "model_state_dict": state}, checkpoint)


def read_ctranslate2(model: Path) -> dict[str, np.ndarray]:
    """The variables of a CTranslate2 model by name. Raises BenchmarkFailed."""
    with model.open("rb") as file:
        try:
            version, specification, _revision, count = _number(file, "I"), _text(file), _number(file, "I"), _number(file, "I")
            if version != _VERSION or specification != _SPECIFICATION:
                raise BenchmarkFailed(f"{model} is no Whisper of CTranslate2's format {_VERSION}", "Give --whisper-checkpoint")
            arrays = dict(_variable(file) for _ in range(count))
        except (struct.error, KeyError, ValueError, UnicodeDecodeError) as error:
            raise BenchmarkFailed(f"{model} cannot be read as a CTranslate2 model: {error}", "Give --whisper-checkpoint") from error
    if arrays.get("decoder/embeddings/weight", np.empty(0, np.int8)).dtype.kind != "f":
        raise BenchmarkFailed(f"{model} is quantised: its weights are not Whisper's own", "Give --whisper-checkpoint")
    return arrays


def dimensions(arrays: Arrays) -> dict[str, int]:
    """openai-whisper's ModelDimensions."""
    width, mels, _ = arrays["encoder/conv1/weight"].shape
    return {
        "n_mels": mels,
        "n_vocab": len(arrays["decoder/embeddings/weight"]),
        "n_audio_ctx": len(arrays["encoder/position_encodings/encodings"]),
        "n_audio_state": width,
        "n_audio_head": width // _HEAD_WIDTH,
        "n_audio_layer": _layers(arrays, "encoder"),
        "n_text_ctx": len(arrays["decoder/position_encodings/encodings"]),
        "n_text_state": width,
        "n_text_head": width // _HEAD_WIDTH,
        "n_text_layer": _layers(arrays, "decoder"),
    }


def _checkpoint_arrays(arrays: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    for convolution in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            yield f"encoder.{convolution}.{part}", arrays[f"encoder/{convolution}/{part}"]
    # A buffer and no parameter, which openai-whisper keeps in float32.
    yield "encoder.positional_embedding", arrays["encoder/position_encodings/encodings"].astype(np.float32)
    yield "decoder.positional_embedding", arrays["decoder/position_encodings/encodings"]
    yield "decoder.token_embedding.weight", arrays["decoder/embeddings/weight"]
    for side, norm in (("encoder", "ln_post"), ("decoder", "ln")):
        yield from _norm(arrays, f"{side}/layer_norm", f"{side}.{norm}")
        for layer in range(_layers(arrays, side)):
            yield from _layer(arrays, f"{side}/layer_{layer}", f"{side}.blocks.{layer}", crosses=side == "decoder")


def _layer(arrays: Arrays, source: str, target: str, crosses: bool) -> Iterator[tuple[str, np.ndarray]]:
    own = f"{source}/self_attention"
    yield from _norm(arrays, f"{own}/layer_norm", f"{target}.attn_ln")
    yield from _split(arrays, f"{own}/linear_0", f"{target}.attn", ("query", "key", "value"))
    yield from _split(arrays, f"{own}/linear_1", f"{target}.attn", ("out",))
    if crosses:
        other = f"{source}/attention"
        yield from _norm(arrays, f"{other}/layer_norm", f"{target}.cross_attn_ln")
        yield from _split(arrays, f"{other}/linear_0", f"{target}.cross_attn", ("query",))
        yield from _split(arrays, f"{other}/linear_1", f"{target}.cross_attn", ("key", "value"))
        yield from _split(arrays, f"{other}/linear_2", f"{target}.cross_attn", ("out",))
    yield from _norm(arrays, f"{source}/ffn/layer_norm", f"{target}.mlp_ln")
    for number, place in ((0, 0), (1, 2)):
        yield from _split(arrays, f"{source}/ffn/linear_{number}", f"{target}.mlp", (str(place),))


def _norm(arrays: Arrays, source: str, target: str) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{target}.weight", arrays[f"{source}/gamma"]
    yield f"{target}.bias", arrays[f"{source}/beta"]


def _split(arrays: Arrays, source: str, target: str, names: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """A matrix and its bias in equal parts, one below the other."""
    for part in ("weight", "bias"):
        for name, array in zip(names, np.split(arrays[f"{source}/{part}"], len(names)), strict=True):
            if not (name == "key" and part == "bias"):
                yield f"{target}.{name}.{part}", array


def _layers(arrays: Arrays, side: str) -> int:
    return len({name.split("/")[1] for name in arrays if name.startswith(f"{side}/layer_") and name.split("/")[1] != "layer_norm"})


def _variable(file: BinaryIO) -> tuple[str, np.ndarray]:
    name = _text(file)
    shape = tuple(_number(file, "I") for _ in range(_number(file, "B")))
    kind, size = _TYPES[_number(file, "B")], _number(file, "I")
    return name, np.frombuffer(file.read(size), kind).reshape(shape)


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "H")).rstrip(b"\0").decode()


def _number(file: BinaryIO, kind: str) -> int:
    value: Any = struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))[0]
    return int(value)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
