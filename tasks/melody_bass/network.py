"""The ONNX networks of this room, loaded once in a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.common import models
from tasks.common.resources import threads

if TYPE_CHECKING:
    import onnxruntime


def load(model: str, file: Path) -> onnxruntime.InferenceSession:
    """A session of a model's file, on the CPU: these networks are too small to gain by a GPU."""

    def make() -> onnxruntime.InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.log_severity_level = 3
        # Between calls the pool sleeps: other steps run beside this one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    return models.load_once((model, str(file)), make)
