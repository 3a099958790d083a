"""Hybrid Transformer Demucs through OpenVINO, on CPUs: the same network with its operations fused, 1.6 (bfloat16) to 2 times as fast.

The network is translated once for its weights (seconds, 84 MB on disk beside the downloaded models) and compiled when it is loaded (about
a second). Only the network is translated, with some of its layers exchanged for others (`htdemucs_layers`). The spectrogram before it is
demucs's own; the waveforms after it are too, by another way: the network gives its spectra frame by frame, so that they are transformed
back where they lie, and those of unwanted sources not at all.

OpenVINO: https://docs.openvino.ai, Apache 2.0. It is optional: without the package `openvino` the network runs in torch.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import queue
import tempfile
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.common.resources import cpu_has_bfloat16, threads
from tasks.common.storage.artifacts import sha256_file
from tasks.common.storage.atomic import put_folder

if TYPE_CHECKING:
    import torch

#: Changes with what is translated.
_VERSION: Final = 3
#: Segments at once, each on its share of the threads: two on one thread each take less time than one after the other on both, as no thread
#: waits for another between operations. More would need more memory for what the layers hand on.
AT_ONCE: Final = 2


def available() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec("openvino") is not None


def accelerate(network: torch.nn.Module, checkpoint: Path, folder: Path, wanted: Collection[str]) -> None:
    """Let the network's `forward`, for inputs of its training segment or shorter, run in OpenVINO.

    checkpoint: the file of its weights, which names the translation. folder: where translations are kept. wanted: the sources that are
    needed; the others come out as zeros.
    """
    import openvino

    file = translation(network, checkpoint, folder)
    compiled = openvino.Core().compile_model(
        file,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if cpu_has_bfloat16() else "f32",
            "INFERENCE_NUM_THREADS": threads(),
            "NUM_STREAMS": min(AT_ONCE, threads()),
            # Other steps run at the same time: the threads must be free to move.
            "ENABLE_CPU_PINNING": False,
        },
    )
    setattr(network, "forward", _forward(network, compiled, wanted))  # noqa: B010 (a method, for one instance)
    setattr(network, "release_memory", compiled.release_memory)  # noqa: B010


def accelerated(network: Any) -> bool:
    """Whether OpenVINO runs it, and threads may therefore call it at the same time."""
    return "forward" in vars(network)


def release_memory(network: Any) -> None:
    """Give back what the network's layers handed on to each other; it is taken again when the network is next called."""
    if accelerated(network):
        network.release_memory()


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
            if not put_folder(Path(place) / "done", file.parent) and not file.exists():  # else another process was faster
                raise FileExistsError(f"{file.parent} is in the way of a translated network")
    return file


def _translate(network: torch.nn.Module, file: Path) -> None:
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from tasks.separation.htdemucs_layers import faster

    body = _body(faster(network))
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
    """The network from (mix, spectrum) to waveforms of the time branch (1, sources * channels, samples) and spectra of the frequency branch
    (sources, channels, frames, bins, real and imaginary)."""
    import torch

    class Body(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, mix: torch.Tensor, spectrum: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """demucs's own forward, with its transforms taken out."""
            estimated: list[torch.Tensor] = []
            exchanged: dict[str, Callable[..., Any]] = {
                "_spec": lambda _: spectrum,
                "_magnitude": lambda spectrum: spectrum,
                "_mask": lambda _, estimate: estimated.append(estimate),
                "_ispec": lambda *_: torch.zeros(()),
            }
            vars(network).update(exchanged)
            try:
                waves = network(mix)
                sources, _, bins, frames = estimated[0][0].shape
                spectra = estimated[0].view(sources, -1, 2, bins, frames).permute(0, 1, 4, 3, 2)
                return waves, spectra.contiguous()
            finally:
                for name in exchanged:
                    del vars(network)[name]

    return Body().eval()


def _forward(network: Any, compiled: Any, wanted: Collection[str]) -> Callable[[torch.Tensor], torch.Tensor]:
    import torch

    chosen = [number for number, source in enumerate(network.sources) if source in wanted]
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(AT_ONCE):
        free.put(compiled.create_infer_request())

    def forward(mix: torch.Tensor) -> torch.Tensor:
        """mix: (songs, channels, samples). Returns (songs, sources, channels, samples)."""
        length, segment = mix.shape[-1], _segment(network)
        estimates = torch.zeros(len(mix), len(network.sources), _channels(network), segment)
        with torch.autocast("cpu", enabled=False):
            for song, estimate in zip(torch.nn.functional.pad(mix.float(), (0, segment - length)), estimates, strict=True):
                inputs = [song[None].numpy(), _spectrum(network, song[None]).contiguous().numpy()]
                request = free.get()
                try:
                    waves, spectra = request.infer(inputs, share_inputs=True, share_outputs=True).values()
                    estimate[chosen] = torch.from_numpy(waves).view(estimate.shape)[chosen]
                    estimate[chosen] += inverse_transform(torch.from_numpy(spectra)[chosen], segment)
                finally:
                    free.put(request)
        return estimates[..., :length]

    return forward


def inverse_transform(spectra: torch.Tensor, samples: int) -> torch.Tensor:
    """demucs's `_ispec`, where hops are a quarter of a frame: (..., frames, bins, real and imaginary) to (..., samples).

    Bins without the highest, which is zero. Four Hann windows of the transform and four of its inverse add up to 3/2 everywhere but at the
    ends, which demucs's padding keeps outside.
    """
    import torch

    size = 2 * spectra.shape[-2]
    hop = size // 4
    scale = size**0.5 / 1.5
    frames = torch.fft.irfft(torch.view_as_complex(spectra), n=size) * (torch.hann_window(size) * scale)
    quarters = frames.view(*frames.shape[:-1], 4, hop)
    count = quarters.shape[-3]
    total = spectra.new_zeros(*quarters.shape[:-3], count + 3, hop)
    for quarter in range(4):
        total[..., quarter : quarter + count, :] += quarters[..., quarter, :]
    # The first frame is centred half a hop after the first sample.
    return total.flatten(-2)[..., 3 * hop // 2 :][..., :samples]


def _spectrum(network: Any, mix: torch.Tensor) -> torch.Tensor:
    spectrum: torch.Tensor = network._magnitude(network._spec(mix))  # noqa: SLF001 (demucs's own transforms have no public name)
    return spectrum


def _segment(network: Any) -> int:
    return int(network.segment * network.samplerate)


def _channels(network: Any) -> int:
    return int(network.audio_channels)
