import copy

import pytest
import torch
from demucs.demucs import DConv
from demucs.htdemucs import HTDemucs
from torch import nn

from tasks.separation import demucs_engine as engine
from tasks.separation.htdemucs_layers import _is_plain, _is_two_strides, faster


@pytest.fixture
def network(demucs_folder):
    return engine.load_bag("htdemucs", demucs_folder()).models[0]


def layers(network):
    return [type(part).__name__ for part in network.modules()]


def db(expected, found):
    return 10 * torch.log10(expected.square().sum() / (expected - found).square().sum()).item()


def test_the_network_computes_the_same_with_other_layers(network):
    before = copy.deepcopy(network.state_dict())
    exchanged = faster(network)
    mix = torch.randn(1, 2, int(network.segment * network.samplerate), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert db(network(mix), exchanged(mix)) > 100
    names = layers(exchanged)
    assert not {"DConv", "ConvTranspose1d", "ConvTranspose2d", "MyGroupNorm"} & set(names)
    assert names.count("_Interleaved") == len(network.decoder) + len(network.tdecoder)
    # The network itself stays as it was.
    assert {"DConv", "ConvTranspose1d", "ConvTranspose2d", "MyGroupNorm"} <= set(layers(network))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_every_scale_and_bias_counts(network):
    """Random weights of demucs have zeros and ones where trained ones have not."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weights in network.parameters():
            if weights.dim() == 1:
                weights.add_(0.5 * torch.randn(weights.shape, generator=generator))
    mix = torch.randn(1, 2, int(network.segment * network.samplerate), generator=generator)
    with torch.inference_mode():
        assert db(network(mix), faster(network)(mix)) > 100


@pytest.mark.parametrize("options", [{"dconv_mode": 1}, {"kernel_size": 6, "stride": 4}, {"norm_starts": 0}])
def test_layers_of_another_make_stay(options):
    torch.manual_seed(3)
    network = HTDemucs(
        ["drums", "bass", "other", "vocals"], channels=8, depth=2, nfft=256, t_layers=1, t_heads=2, samplerate=8000, segment=1, **options
    ).eval()
    mix = torch.randn(1, 2, int(network.segment * network.samplerate))
    with torch.inference_mode():
        assert db(network(mix), faster(network)(mix)) > 90


def test_a_transposed_convolution_of_another_make_is_not_exchanged():
    assert _is_two_strides(nn.ConvTranspose1d(4, 2, 8, 4))
    assert _is_two_strides(nn.ConvTranspose2d(4, 2, (8, 1), (4, 1)))
    for other in (
        nn.ConvTranspose1d(4, 2, 6, 4),
        nn.ConvTranspose1d(4, 2, 8, 4, padding=2),
        nn.ConvTranspose1d(4, 2, 8, 4, groups=2),
        nn.ConvTranspose1d(4, 2, 8, 4, bias=False),
        nn.ConvTranspose1d(4, 2, 8, 4, dilation=2),
        nn.ConvTranspose2d(4, 2, (8, 8), (4, 4)),
        nn.Conv1d(4, 2, 8, 4),
    ):
        assert not _is_two_strides(other)


def test_a_residual_branch_of_another_make_is_not_exchanged():
    assert _is_plain(DConv(16, norm=True))
    assert not any(_is_plain(other) for other in (None, DConv(16, norm=False), DConv(16, attn=True, heads=2), DConv(16, lstm=True)))
