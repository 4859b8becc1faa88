"""ImageNet weights of ResNet as Detectron and detectron2 keep them: the same features, wherever norms were folded."""

import io
import pickle
import re

import pytest
import torch
from mmdet.models.backbones import ResNet
from mmengine.runner import CheckpointLoader
from recipe import recipe
from stand_in_server import stand_in_server

from mmcentermask.checkpoints import weights_table


def caffe2(state, folded):
    """Name a state as Caffe2 does, norms with their statistics or folded into scale and bias."""
    blobs = {'conv1_w': state['conv1.weight'], 'conv1_b': torch.full((8,), 1e-9), 'fc1000_w': torch.zeros(2, 2)}
    for name, value in state.items():
        block = re.fullmatch(r'layer(\d)\.(\d+)\.(?:conv(\d)|downsample\.0)\.weight', name)
        if block:
            branch = f'2{"abc"[int(block[3]) - 1]}' if block[3] else '1'
            blobs[f'res{int(block[1]) + 1}_{block[2]}_branch{branch}_w'] = value
            blobs[f'res{int(block[1]) + 1}_{block[2]}_branch{branch}_w_momentum'] = value
    norms = {f'layer{i}.{j}.bn{k}' for i in range(1, 5) for j in range(6) for k in range(1, 4)} | {'bn1'}
    norms |= {f'layer{i}.0.downsample.1' for i in range(1, 5)}
    for norm in sorted(norm for norm in norms if f'{norm}.weight' in state):
        weight, bias, mean, variance = (state[f'{norm}.{x}'] for x in ('weight', 'bias', 'running_mean', 'running_var'))
        i, j, kind, k = re.fullmatch(r'(?:layer(\d)\.(\d+)\.)?(bn|downsample\.)(\d)', norm).groups()
        branch = '1' if kind != 'bn' else f'2{"abc"[int(k) - 1]}'
        begin = f'res{int(i) + 1}_{j}_branch{branch}_bn' if i else 'res_conv1_bn'
        scale = weight / (variance + 1e-5).sqrt()
        leaves = dict(s=scale, b=bias - mean * scale)
        if not folded:
            leaves = dict(gamma=weight, beta=bias, running_mean=mean, running_var=variance)
        blobs.update({f'{begin}_{leaf}': value for leaf, value in leaves.items()})
    return {name: value.numpy() for name, value in blobs.items()}


@pytest.mark.parametrize('folded', [False, True])
def test_resnet_of_caffe2_in_the_place_of_a_dead_mirror(folded, monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    model, loaded = (ResNet(50, base_channels=8, stem_channels=8, style='caffe') for _ in range(2))
    model.eval(), loaded.eval()
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict({**model.state_dict(), **recipe(shapes)})
    blobs = caffe2(model.state_dict(), folded)
    content = pickle.dumps(dict(blobs=blobs) if folded else blobs, protocol=2)
    with stand_in_server() as server:
        server.files['/R-50.pkl'] = content
        entry = dict(what='', licence='', sources=[f'{server.address}/dead.pth', f'{server.address}/R-50.pkl'])
        monkeypatch.setattr(weights_table, 'known_weights', lambda: dict(small=entry))
        state = CheckpointLoader.load_checkpoint('mmcentermask://small', 'cpu', 'silent')['state_dict']
    missing, unknown = loaded.load_state_dict(state, strict=False)
    assert not unknown and all(name.endswith('num_batches_tracked') for name in missing)
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for theirs, ours in zip(model(x), loaded(x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=float(theirs.abs().max()) * 1e-5)


def test_pickles_of_python_2_with_an_older_numpy(tmp_path):
    """As the files of detectron2 are; the modules that they name have moved since."""
    content = pickle.dumps({'res2_0_branch2a_w': torch.ones(2, 2).numpy()}, protocol=2)
    (tmp_path / 'R-50.pkl').write_bytes(content.replace(b'numpy._core.multiarray', b'numpy.core.multiarray'))
    state = CheckpointLoader.load_checkpoint(str(tmp_path / 'R-50.pkl'), 'cpu', 'silent')['state_dict']
    assert state.keys() == {'layer1.0.conv1.weight'} and state['layer1.0.conv1.weight'].tolist() == [[1, 1], [1, 1]]


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path):
    content = io.BytesIO()
    pickle.dump({'res2_0_branch2a_w': print}, content, protocol=2)
    (tmp_path / 'R-50.pkl').write_bytes(content.getvalue())
    with pytest.raises(ValueError, match='wants to run code'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'R-50.pkl'), 'cpu', 'silent')
