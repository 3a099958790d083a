"""What every use of madmom's networks needs: that they are quiet, and give back their memory."""

from __future__ import annotations

from typing import Any

#: No network says anything about fewer frames.
SHORTEST_FRAMES = 8


def quieten(processor: Any) -> None:
    """Make ONNX Runtime quiet about madmom's networks, and give back the memory of a run after it.

    The warnings are about output shapes in the networks' metadata, and harmless. The memory is sized by the longest song so far, and would
    be kept per network: 3 GB after half an hour of music.
    """
    import onnxruntime

    runtime = getattr(processor, "_runtime", None)
    if runtime is not None:
        options = runtime.session_options
        options.log_severity_level = 3  # errors
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        # Options count when a session is made.
        runtime.session = onnxruntime.InferenceSession(runtime._model_source, sess_options=options, providers=runtime.providers)  # noqa: SLF001
    for part in getattr(processor, "processors", ()):
        quieten(part)
