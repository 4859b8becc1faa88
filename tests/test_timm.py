"""timm's VoVNets, converted, give timm's features."""

import sys
from pathlib import Path

import pytest
import torch
from recipe import recipe
from tolerances import MAPS

from mmcentermask.checkpoints import convert_state_dict
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
