"""Hybrid Transformer Demucs through OpenVINO, on CPUs: the same network with its operations fused, in about half the time.

The network is translated once for its weights (seconds, 84 MB on disk beside the downloaded models) and compiled when it is loaded (about
a second). Only the network is translated; the spectrogram before it and the waveform after it stay demucs's own.

OpenVINO: https://docs.openvino.ai, Apache 2.0. It is optional: without the package `openvino` the network runs in torch.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.resources import cpu_has_bfloat16, threads
from tasks.common.storage import sha256_file

if TYPE_CHECKING:
    import torch

#: Changes with what is translated.
_VERSION = 1


def available() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec("openvino") is not None


def accelerate(network: torch.nn.Module, checkpoint: Path, folder: Path) -> None:
    """Let the network's `forward`, for inputs of its training segment or shorter, run in OpenVINO.

    checkpoint: the file of its weights, which names the translation. folder: where translations are kept.
    """
    import openvino

    file = translation(network, checkpoint, folder)
    compiled = openvino.Core().compile_model(
        file,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if cpu_has_bfloat16() else "f32",
            "INFERENCE_NUM_THREADS": threads(),
            "PERFORMANCE_HINT": "LATENCY",
            # Other steps run at the same time: the threads must be free to move.
            "ENABLE_CPU_PINNING": False,
        },
    )
    setattr(network, "forward", _forward(network, compiled))  # noqa: B010 (a method, for one instance)


def plain(network: Any) -> Any:
    """The network, or its copy, as torch runs it."""
    vars(network).pop("forward", None)
    return network


def translation(network: torch.nn.Module, checkpoint: Path, folder: Path) -> Path:
    """The network in OpenVINO's format, translated now if that has not been done."""
    versions = f"{importlib.metadata.version('openvino')}-{importlib.metadata.version('demucs')}"
    file = folder / f"{sha256_file(checkpoint)[:16]}-{versions}-{_VERSION}" / "network.xml"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as place:
            _translate(network, Path(place) / "done" / "network.xml")
            try:
                os.rename(Path(place) / "done", file.parent)
            except OSError:
                if not file.exists():  # else another process was faster
                    raise
    return file


def _translate(network: torch.nn.Module, file: Path) -> None:
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    body = _body(network)
    mix = torch.zeros(1, _channels(network), _segment(network))
    with torch.no_grad(), warnings.catch_warnings():
        # Shapes are the same every time: what depends on them may become constant.
        warnings.filterwarnings("ignore", category=vars(torch.jit)["TracerWarning"])
        warnings.simplefilter("ignore", DeprecationWarning)
        spectrum = _spectrum(network, mix)
        trace: Any = torch.jit.trace
        traced = trace(body, (mix, spectrum), check_trace=False, strict=False)
        # Not `openvino.convert_model`, which does this too and tells its makers that it was used.
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, example_input=(mix, spectrum))  # must live as long as the conversion
        model = frontend.convert(frontend.load(decoder))
    model.reshape({model.input(0): list(mix.shape), model.input(1): list(spectrum.shape)})
    # The published weights are float16 in their files already: nothing is lost.
    openvino.save_model(model, file, compress_to_fp16=True)


def _body(network: torch.nn.Module) -> torch.nn.Module:
    """The network from (mix, spectrum) to (waveforms of the time branch, spectra of the frequency branch)."""
    import torch

    class Body(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, mix: torch.Tensor, spectrum: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """demucs's own forward, with its transforms taken out."""
            estimated: list[torch.Tensor] = []
            exchanged: dict[str, Callable[..., Any]] = {
                "_spec": lambda mix: spectrum,
                "_magnitude": lambda spectrum: spectrum,
                "_mask": lambda _, estimate: estimated.append(estimate),
                "_ispec": lambda *_: torch.zeros(()),
            }
            vars(network).update(exchanged)
            try:
                return network(mix), estimated[0]
            finally:
                for name in exchanged:
                    del vars(network)[name]

    return Body().eval()


def _forward(network: Any, compiled: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    import torch

    def forward(mix: torch.Tensor) -> torch.Tensor:
        length, segment = mix.shape[-1], _segment(network)
        estimates = []
        for song in torch.nn.functional.pad(mix.float(), (0, segment - length))[:, None]:
            with torch.autocast("cpu", enabled=False):
                spectrum = network._spec(song)
                waves, spectra = compiled([song.contiguous().numpy(), network._magnitude(spectrum).contiguous().numpy()]).values()
                estimate = network._ispec(network._mask(spectrum, torch.from_numpy(spectra)), segment)
                estimates.append(torch.from_numpy(waves).view(estimate.shape) + estimate)
        return torch.cat(estimates)[..., :length]

    return forward


def _spectrum(network: Any, mix: torch.Tensor) -> torch.Tensor:
    spectrum: torch.Tensor = network._magnitude(network._spec(mix))
    return spectrum


def _segment(network: Any) -> int:
    return int(network.segment * network.samplerate)


def _channels(network: Any) -> int:
    return int(network.audio_channels)
