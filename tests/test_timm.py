"""timm's VoVNets, converted, give timm's features."""

import sys
from pathlib import Path

import pytest
import torch
from recipe import recipe
from tolerances import MAPS

from mmcentermask.checkpoints import Normalization, convert_state_dict
from mmcentermask.checkpoints.imagenet import of_torchvision_mobilenet
from mmcentermask.models import TrimmedMobileNetV2
from mmcentermask.models.vovnet import VoVNet


@pytest.fixture(scope='module')
def timm():
    # `make test` puts timm there, apart from the environment, where a torchvision that does not fit torch would stop
    # every run of mmengine
    sys.path.append(str(Path(sys.prefix, 'timm')))
    try:
        pytest.importorskip('torchvision', reason='timm needs it', exc_type=ImportError) if _whole() else _declare_ops()
        yield pytest.importorskip('timm', exc_type=ImportError)
    finally:
        sys.path.pop()


def _whole():
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return True  # importorskip says so
    except RuntimeError:
        return False
    return True


def _declare_ops():
    """Let torchvision's Python part be imported, all that timm needs, where its compiled ops do not fit torch."""
    for name in ('nms', 'qnms'):
        torch.library.define(f'torchvision::{name}', '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')


@pytest.mark.parametrize(
    'name, arch',
    [
        ('ese_vovnet19b_dw', 'V-19-dw'),
        ('ese_vovnet19b_slim_dw', 'V-19-slim-dw'),
        ('ese_vovnet39b', 'V-39'),
        pytest.param('ese_vovnet57b', 'V-57', marks=pytest.mark.slow),
        pytest.param('ese_vovnet99b', 'V-99', marks=pytest.mark.slow),
    ],
)
def test_features_equal(timm, name, arch):
    theirs = timm.create_model(name, pretrained=False).eval()
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    theirs.load_state_dict(recipe(shapes), strict=False)
    conversion = convert_state_dict(theirs.state_dict())
    assert conversion.arch == arch and set(conversion.left_out) == {'head.fc.weight', 'head.fc.bias'}
    ours = VoVNet(arch)
    ours.load_state_dict(conversion.state_dict, strict=True)
    x = torch.randn(2, 3, 96, 130, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = ours.eval()(x)
        x = theirs.stem(x)
        assert len(theirs.stages) == len(features) == 4
        for stage, feature in zip(theirs.stages, features, strict=True):
            x = stage(x)
            assert (x - feature).abs().max() / x.abs().max() < MAPS
    assert 'bgr_to_rgb=True' in conversion.report()


IMAGENET, HALF = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OURS = torch.tensor([103.53, 116.28, 123.675])  # the mean of our configs, BGR
EQUAL = 1e-4


@pytest.mark.parametrize(
    'name, arch, normalization, padding',
    [
        ('ese_vovnet19b_dw', 'V-19-dw', IMAGENET, 'as timm'),
        ('ese_vovnet39b', 'V-39', IMAGENET, 'as timm'),
        ('ese_vovnet39b', 'V-39', HALF, 'as timm'),
        ('ese_vovnet39b', 'V-39', HALF, 'as ours'),
    ],
)
def test_features_on_its_own_images_and_on_ours(timm, name, arch, normalization, padding):
    """timm's model on RGB in its normalization, ours on BGR in 0..255 less the mean of our configs."""
    theirs = timm.create_model(name, pretrained=False).eval()
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    theirs.load_state_dict(recipe(shapes), strict=False)
    conversion = convert_state_dict(theirs.state_dict(), Normalization(*normalization))
    ours = VoVNet(arch).eval()
    ours.load_state_dict(conversion.state_dict, strict=True)
    image = torch.randint(0, 256, (2, 3, 96, 130), generator=torch.Generator().manual_seed(0)).float()  # BGR
    mean, std = (torch.tensor(values)[:, None, None] for values in normalization)
    own_zero = (OURS.flip(0)[:, None, None] / 255 - mean) / std  # what the padding of our stem stands for, in theirs
    x = (image.flip(1) / 255 - mean) / std
    exact = normalization is IMAGENET or padding == 'as ours'
    with torch.no_grad():
        if padding == 'as ours':
            theirs.stem[0].conv.padding = (0, 0)
            padded = own_zero.expand(2, 3, 98, 132).clone()
            padded[..., 1:-1, 1:-1] = x
            x = padded
        features = ours(image - OURS[:, None, None])
        # the first layer alone: what differs where only the border does
        first, own_first = theirs.stem[0](x), ours.stem[0](image - OURS[:, None, None])
        assert (first - own_first)[..., 1:-1, 1:-1].abs().max() / first.abs().max() < EQUAL
        x = theirs.stem(x)
        differences = []
        for stage, feature in zip(theirs.stages, features, strict=True):
            x = stage(x)
            differences.append(float((x - feature).abs().max() / x.abs().max()))
    assert (max(differences) < EQUAL) == exact
    assert ('the border' in conversion.report()) == (normalization is HALF)
    assert 'bgr_to_rgb' not in conversion.report() and 'folded into the stem' in conversion.report()


def test_torchvisions_mobilenet_on_its_own_images_and_on_ours(timm):
    """torchvision comes with timm; our backbone ends at 320 channels, two layers before its."""
    from torchvision.models import mobilenet_v2

    theirs = mobilenet_v2(weights=None).eval()
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    theirs.load_state_dict(recipe(shapes), strict=False)
    ours = TrimmedMobileNetV2(out_indices=(2, 4, 6))
    ours.eval()
    state = of_torchvision_mobilenet(theirs.state_dict(), Normalization(*IMAGENET))
    ours.load_state_dict(state, strict=True)
    image = torch.randint(0, 256, (1, 3, 96, 130), generator=torch.Generator().manual_seed(0)).float()  # BGR
    mean, std = (torch.tensor(values)[:, None, None] for values in IMAGENET)
    x = (image.flip(1) / 255 - mean) / std
    with torch.no_grad():
        features = ours(image - OURS[:, None, None])
        for begin, end, feature in zip((0, 7, 14), (7, 14, 18), features, strict=True):
            x = theirs.features[begin:end](x)
            assert (x - feature).abs().max() / x.abs().max() < EQUAL
