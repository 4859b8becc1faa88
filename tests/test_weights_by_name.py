"""Weights by name, from a stand-in for the web and the hub: fetched once, whole and right, and converted on the way."""

import hashlib
import io
import json
import multiprocessing
import os
import runpy
import sys
import types
from pathlib import Path

import mmengine
import pytest
import torch
from mmdet.apis import DetInferencer, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import CheckpointLoader
from recipe import official_shapes, recipe
from stand_in_server import stand_in_server
from vovnet_names import official_vovnet

from conftest import CONFIGS, ROOT
from mmcentermask import find_config, find_weights
from mmcentermask.apis import CenterMaskInferencer
from mmcentermask.apis.run_check import check_model_for_training
from mmcentermask.checkpoints import Normalization, fetch, known_weights, schemes, weights_table
from mmcentermask.checkpoints.fetch import unreachable
from mmcentermask.errors import CheckpointError, InputError, OutputError
from mmcentermask.models.vovnet import VoVNet

fetch_module = sys.modules['mmcentermask.checkpoints.fetch']  # the package has the function under that name
OF_MMDET3D = Registry('model', parent=mmengine.registry.MODELS, scope='mmdet3d', locations=[])
SMALL = 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco'


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture(scope='module')
def backbone():
    """V-19-slim-dw with its authors' names, as a file."""
    return saved(dict(model=recipe(official_vovnet('V-19-slim-dw', 'authors')[1])))


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setattr(fetch_module, 'time', types.SimpleNamespace(sleep=lambda seconds: None))
    with stand_in_server() as server:
        yield server


def kept(folder):
    """What lies in a cache, without locks."""
    return [path.name for path in Path(folder).rglob('*') if path.is_file() and path.suffix != '.lock']


def load(name):
    return CheckpointLoader.load_checkpoint(name, map_location='cpu', logger='silent')


CONTENT = bytes(range(256)) * 5000


def test_an_address_is_fetched_once_into_torchs_cache(server, tmp_path):
    server.files['/a/x-0123abcd.pth'] = server.files['/b/x.pth'] = CONTENT
    for _ in range(2):
        assert fetch(f'{server.address}/a/x-0123abcd.pth').path == tmp_path / 'torch/hub/checkpoints/x-0123abcd.pth'
        path = fetch(f'{server.address}/b/x.pth').path
    assert path.read_bytes() == CONTENT and len(server.requests) == 2
    server.files['/c/x.pth'] = CONTENT[::-1]  # another file of the same name
    assert fetch(f'{server.address}/c/x.pth').path.read_bytes() == CONTENT[::-1]
    assert sorted(kept(tmp_path)) == ['x-0123abcd.pth', 'x.pth', 'x.pth']


def test_a_broken_transfer_goes_on_where_it_broke(server):
    server.files['/x.pth'], server.faults['/x.pth'] = CONTENT, 'breaks'
    assert fetch(f'{server.address}/x.pth').path.read_bytes() == CONTENT
    assert [asked for _, _, asked in server.requests] == [None, f'bytes={len(CONTENT) // 2}-']


@pytest.mark.parametrize('fault', ['changes', 'no version', '503 once'])
def test_what_cannot_go_on_begins_again(server, fault):
    server.files['/x.pth'], server.faults['/x.pth'] = CONTENT, fault
    right = CONTENT[::-1] if fault == 'changes' else CONTENT
    digest = hashlib.sha256(right).hexdigest()
    assert fetch(f'{server.address}/x.pth#sha256={digest}').path.read_bytes() == right
    assert len(server.requests) == 2


BAD = {
    'missing': ('/none.pth', None, 'HTTP Error 404'),
    'half': ('/x.pth', 'always breaks', 'the transfer ended at .* bytes, in 5 attempts'),
    'page': ('/page.pth', None, 'a web page'),
    'no length': ('/x.pth', 'no length', 'how long the file is'),
    'spoilt': (f'/x.pth#sha256={hashlib.sha256(CONTENT).hexdigest()}', 'spoils', 'SHA-256 begins with'),
}


@pytest.mark.parametrize('case', BAD)
def test_what_is_no_whole_file_is_not_kept(server, tmp_path, case):
    path, fault, words = BAD[case]
    server.files.update({'/x.pth': CONTENT, '/page.pth': b'\n <!doctype html><title>Log in</title>'})
    server.faults['/x.pth'] = fault
    with pytest.raises(
        CheckpointError, match=rf'cannot be fetched \(.*{words}.*\): look at the network, or give'
    ) as told:
        fetch(server.address + path)
    assert '\n' not in str(told.value) and kept(tmp_path) == []


def test_a_wrong_checksum_leaves_what_is_in_the_cache(server, tmp_path):
    server.files['/x.pth'] = CONTENT
    path = fetch(f'{server.address}/x.pth').path
    with pytest.raises(CheckpointError, match='SHA-256 begins with'):
        fetch(f'{server.address}/x.pth#sha256=00000000')
    assert path.read_bytes() == CONTENT and kept(tmp_path) == ['x.pth']
    path.write_bytes(b'rotten')  # a checksum finds that too
    assert fetch(f'{server.address}/x.pth#sha256={hashlib.sha256(CONTENT).hexdigest()}').path.read_bytes() == CONTENT


@pytest.mark.parametrize('name', ['x.pth#sha256=12', 'x.pth#md5=01234567', 'x.pth#part'])
def test_a_checksum_that_is_none_is_refused(server, name):
    with pytest.raises(InputError, match='does not end with a checksum: write #sha256='):
        fetch(f'{server.address}/{name}')
    assert server.requests == []


def test_an_address_without_a_name_or_server_is_refused(server):
    with pytest.raises(InputError, match='names no file'):
        fetch(f'{server.address}/')
    with pytest.raises(CheckpointError, match='cannot be fetched'):
        fetch('https://127.0.0.1:9/x.pth')


def test_the_proxy_of_the_environment_is_asked(server, monkeypatch):
    monkeypatch.setenv('http_proxy', server.address)
    server.files['http://weights.invalid/x.pth'] = CONTENT  # as a proxy sees it
    assert fetch('http://weights.invalid/x.pth').path.read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    server.files['/x.pth'] = CONTENT
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'file'))
    with pytest.raises(OutputError, match='cannot be written .*: set TORCH_HOME'):
        fetch(f'{server.address}/x.pth')


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no device that is always full')
def test_a_full_disk(server, tmp_path, monkeypatch):
    server.files['/x-01234567.pth'] = CONTENT
    folder = tmp_path / 'torch/hub/checkpoints'
    folder.mkdir(parents=True)
    # a link of atomic_write's own name, since what is left by a killed process is removed before
    os.symlink('/dev/full', folder / f'x-01234567.pth.{os.getpid()}.unfinished')
    monkeypatch.setattr(fetch_module, 'UNFINISHED', '.nothing')
    with pytest.raises(OutputError, match='No space left on device.*TORCH_HOME'):
        fetch(f'{server.address}/x-01234567.pth')
    assert kept(tmp_path) == []


def test_what_a_killed_process_left_is_removed(server, tmp_path):
    server.files['/x-01234567.pth'] = CONTENT
    folder = tmp_path / 'torch/hub/checkpoints'
    folder.mkdir(parents=True)
    for name in ('x-01234567.pth.77.unfinished', 'y.pth.77.unfinished'):
        (folder / name).write_bytes(CONTENT[:100])
    fetch(f'{server.address}/x-01234567.pth')
    assert sorted(kept(tmp_path)) == ['x-01234567.pth', 'y.pth.77.unfinished']


def _read(address, results):
    results.put(hashlib.sha256(fetch(address).path.read_bytes()).hexdigest())


def test_processes_that_want_one_file_fetch_it_once(server):
    server.files['/x.pth'], server.faults['/x.pth'] = CONTENT, 'slow'
    fork = multiprocessing.get_context('fork')
    results = fork.Queue()
    processes = [fork.Process(target=_read, args=(f'{server.address}/x.pth', results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert {results.get(timeout=60) for _ in processes} == {hashlib.sha256(CONTENT).hexdigest()}
    for process in processes:
        process.join()
    assert len(server.requests) == 1


def test_the_table():
    for name, entry in known_weights().items():
        assert set(entry) <= {'what', 'licence', 'sources', 'mean', 'std'} and '/' not in name
        assert entry['sources'] and all(source.startswith(('https://', 'hf://')) for source in entry['sources'])
        assert ('mean' in entry) == ('std' in entry)
        assert ('dropbox' in entry['sources'][0]) == ('NC' in entry['licence'])
        timm = 'by timm' in entry['what']
        assert timm == (entry['sources'][0] == f'hf://timm/{name}/model.safetensors')
        if timm and len(entry['sources']) > 1:  # a bare file says nothing of its normalization
            Normalization(*(entry[key] for key in ('mean', 'std')))
    addresses = [source for entry in known_weights().values() for source in entry['sources']]
    assert len(addresses) == len(set(addresses))


@pytest.fixture
def row(server, monkeypatch):
    """A row 'small' of two mirrors, under a non-commercial licence."""
    sources = [f'{server.address}/{mirror}/small.pth' for mirror in ('dead', 'alive')]
    entry = dict(what='small', licence='CC BY-NC 4.0', sources=sources)
    monkeypatch.setattr(weights_table, 'known_weights', lambda: dict(small=entry))
    fetch_module.say_once.cache_clear()
    return sources


@pytest.mark.parametrize('given', ['mmcentermask://small', 'dead', 'alive'])
def test_a_dead_mirror_falls_to_the_next(server, row, monkeypatch, given):
    said = []
    monkeypatch.setattr(fetch_module, 'print_log', lambda message, logger: said.append(message))
    server.files['/alive/small.pth'] = CONTENT
    given = {'dead': row[0], 'alive': row[1]}.get(given, given)
    for _ in range(2):
        assert fetch(given).path.read_bytes() == CONTENT
    assert said == ['The weights small are under CC BY-NC 4.0: not for commercial use.']


def test_a_server_that_is_gone_is_replaced_by_the_one_with_its_files(server, backbone, monkeypatch):
    gone = 'http://127.0.0.1:9/'  # nothing listens there
    monkeypatch.setitem(weights_table._MOVED, gone, f'{server.address}/')
    server.files['/pretrain/vovnet.pth'] = backbone
    assert 'state_dict' in load(f'{gone}pretrain/vovnet.pth')
    with pytest.raises(CheckpointError, match='404.*127.0.0.1:9'):
        load(f'{gone}pretrain/another.pth')


def test_torchvisions_names_need_no_torchvision(server, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    monkeypatch.setitem(weights_table._MOVED, 'https://download.pytorch.org/', f'{server.address}/')
    server.files['/models/resnet50-0676ba61.pth'] = saved({'conv1.weight': torch.ones(1)})
    assert load('torchvision://resnet50') == {'conv1.weight': torch.ones(1)}
    with pytest.raises(CheckpointError, match='resnet50.imagenet1k_v2 needs the package torchvision: pip install'):
        load('torchvision://resnet50.imagenet1k_v2')


def test_what_can_be_had_is_asked_without_a_download(server):
    server.files['/x.pth'] = CONTENT
    assert unreachable(f'{server.address}/x.pth') == ''
    assert [method for method, _, _ in server.requests] == ['HEAD']
    assert '404' in unreachable(f'{server.address}/none.pth')
    fetch(f'{server.address}/x.pth')
    server.files.clear()
    assert unreachable(f'{server.address}/x.pth') == ''  # it is in the cache


def test_all_mirrors_dead_gives_one_sentence(server, row):
    words = r'/dead/small.pth: .*404.*; .*/alive/small.pth: .*404.*\): look at .* a local file, or train from scratch'
    with pytest.raises(CheckpointError, match=words):
        fetch('mmcentermask://small')


def test_a_name_that_is_not_there_suggests_the_nearest():
    with pytest.raises(
        InputError, match='no weights mmcentermask://vovnet39_ese, did you mean .*vovnet39_ese_detectron2'
    ):
        fetch('mmcentermask://vovnet39_ese')


def whole(name='centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x'):
    return recipe(official_shapes()['centermask2'][name])


def test_an_official_checkpoint_by_address(server, tmp_path):
    tensors = whole()
    server.files['/cm2.pth'] = saved(dict(model=tensors, iteration=7))
    address = f'{server.address}/cm2.pth'
    checkpoint = load(address)
    cfg = Config.fromfile(CONFIGS / f'{SMALL}.py')
    MODELS.build(cfg.model).load_state_dict(checkpoint['state_dict'], strict=True)
    assert checkpoint['meta']['config'] == SMALL and len(checkpoint['meta']['dataset_meta']['classes']) == 80
    name = 'backbone.bottom_up.stem.stem_1/conv.weight'
    for model in (
        init_detector(str(CONFIGS / f'{SMALL}.py'), address, device='cpu'),
        DetInferencer(str(CONFIGS / f'{SMALL}.py'), address, device='cpu').model,
    ):
        assert torch.equal(model.backbone.stem[0].conv.weight, tensors[name])
    assert len(server.requests) == 1


def test_a_published_model_by_name_brings_its_weights(server, monkeypatch):
    """By name alone; the licence is told."""
    monkeypatch.setitem(weights_table._MOVED, 'https://dl.dropbox.com/', f'{server.address}/')
    tensors = whole()
    server.files['/s/vsvhwtqm6ko1c7m/centermask-lite-V-19-eSE-slim-dw-FPN-ms-4x.pth'] = saved(dict(model=tensors))
    said = []
    monkeypatch.setattr(schemes, 'say_once', said.append)
    monkeypatch.setattr(fetch_module, 'say_once', said.append)
    name = 'backbone.bottom_up.stem.stem_1/conv.weight'
    for model in (
        CenterMaskInferencer(SMALL, device='cpu').model,
        init_detector(find_config(SMALL), find_weights(SMALL), device='cpu'),
    ):
        assert torch.equal(model.backbone.stem[0].conv.weight, tensors[name])
    assert any('CC BY-NC 4.0: not for commercial use' in text for text in said)


def test_the_converter_takes_an_address(server, tmp_path, monkeypatch, capsys):
    def convert(*args):
        monkeypatch.setattr(sys, 'argv', ['convert_checkpoint.py', *args])
        with pytest.raises(SystemExit) as exit:
            runpy.run_path(str(ROOT / 'tools/convert_checkpoint.py'), run_name='__main__')
        return exit.value.code, *capsys.readouterr()

    server.files['/cm2.pth'] = saved(whole())
    monkeypatch.chdir(tmp_path)
    code, out, _ = convert(f'{server.address}/cm2.pth', 'ours.pth')
    assert code == 0 and f'fits: configs/centermask/{SMALL}.py' in out and (tmp_path / 'ours.pth').is_file()
    code, _, err = convert(f'{server.address}/none.pth', 'no.pth')
    assert code == 1 and err.count('\n') == 1 and 'cannot be fetched' in err
    assert kept(tmp_path / 'torch') == ['cm2.pth'] and not (tmp_path / 'no.pth').exists()
    code, out, _ = convert('--list')
    assert code == 0 and 'mmcentermask://vovnet39_ese_detectron2  VoVNet V-39' in out


def test_init_cfg_by_address(server, backbone):
    server.files['/vovnet.pth'] = backbone
    model = VoVNet('V-19-slim-dw', init_cfg=dict(type='Pretrained', checkpoint=f'{server.address}/vovnet.pth'))
    model.init_weights()
    names, shapes = official_vovnet('V-19-slim-dw', 'authors')
    state = model.state_dict()
    assert all(torch.equal(state[names[name]], value) for name, value in recipe(shapes).items())


def test_a_local_file_is_converted_too(tmp_path, backbone):
    (tmp_path / 'vovnet.pth').write_bytes(backbone)
    assert load(str(tmp_path / 'vovnet.pth'))['meta']['backbone'] == dict(type='VoVNet', arch='V-19-slim-dw')
    ours = dict(state_dict={'backbone.stage2.0.layers.0.conv.weight': torch.ones(1)}, meta=dict(epoch=3))
    torch.save(ours, tmp_path / 'ours.pth')
    assert load(str(tmp_path / 'ours.pth')) == ours
    torch.save({'stem.stem_1/conv.weight': torch.zeros(1)}, tmp_path / 'part.pth')
    with pytest.raises(CheckpointError, match='part.pth cannot be converted: it looks like VoVNet'):
        load(str(tmp_path / 'part.pth'))


@pytest.mark.parametrize('prefix', [{}, dict(prefix='img_backbone.')])
def test_the_image_backbone_of_a_3d_detector(tmp_path, prefix):
    names, shapes = official_vovnet('V-19-slim-dw', 'authors')
    tensors = recipe({f'img_backbone.{name}': shape for name, shape in shapes.items()})
    tensors['pts_bbox_head.query.weight'] = torch.ones(3)
    torch.save(dict(state_dict=tensors), tmp_path / 'petr.pth')
    backbone = dict(type='mmdet.VoVNet', arch='V-19-slim-dw', out_indices=(2, 3), frozen_stages=1, with_cp=True)
    backbone['init_cfg'] = dict(type='Pretrained', checkpoint=str(tmp_path / 'petr.pth'), **prefix)
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        model = OF_MMDET3D.build(backbone)
        model.init_weights()
    state = model.state_dict()
    assert all(torch.equal(state[ours], tensors[f'img_backbone.{theirs}']) for theirs, ours in names.items())
    outs = model.train()(torch.randn(1, 3, 64, 64))
    assert [tuple(out.shape[1:]) for out in outs] == [(384, 4, 4), (512, 2, 2)]
    outs[0].sum().backward()
    frozen = [name for name, value in model.named_parameters() if not value.requires_grad]
    assert frozen and all(name.startswith(('stem.', 'stage2.')) or '.bn.' in name for name in frozen)
    # a whole detector with a VoVNet class of its own finds its names as they were
    loaded = load(str(tmp_path / 'petr.pth'))['state_dict']
    assert all(torch.equal(loaded[name], value) for name, value in tensors.items())


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """The stand-in as the hub; its client is imported anew, since it reads the environment at import."""
    sys.path.append(str(Path(sys.prefix, 'hub')))  # where `make test` puts it, apart from the environment
    monkeypatch.setenv('HF_ENDPOINT', server.address)
    monkeypatch.setenv('HF_HOME', str(tmp_path / 'hf'))
    monkeypatch.setenv('HF_HUB_DISABLE_XET', '1')
    monkeypatch.setenv('HF_HUB_DISABLE_TELEMETRY', '1')
    monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)
    forget()
    try:
        pytest.importorskip('huggingface_hub', exc_type=ImportError)
        pytest.importorskip('safetensors', exc_type=ImportError)
        forget()
        yield server
    finally:
        sys.path.pop()
        forget()


def forget():
    for name in [name for name in sys.modules if name.partition('.')[0] == 'huggingface_hub']:
        del sys.modules[name]


def publish(server, tensors, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), name='tiny.test'):
    from safetensors.torch import save

    folder = f'/timm/{name}/resolve/main'
    server.files[f'{folder}/model.safetensors'] = save(tensors)
    server.files[f'{folder}/config.json'] = json.dumps(dict(pretrained_cfg=dict(mean=mean, std=std))).encode()
    return folder


def timm_tensors():
    return recipe(official_vovnet('V-19-slim-dw', 'timm')[1])


def test_timm_by_name(hub, tmp_path):
    publish(hub, timm_tensors(), std=(0.25, 0.5, 0.125))
    for _ in range(2):
        model = VoVNet('V-19-slim-dw', init_cfg=dict(type='Pretrained', checkpoint='timm://tiny.test'))
        model.init_weights()
    weight = timm_tensors()['stem.0.conv.weight']
    for ours, theirs, std in ((2, 0, 0.25), (1, 1, 0.5), (0, 2, 0.125)):
        torch.testing.assert_close(model.stem[0].conv.weight[:, ours], weight[:, theirs] / (255 * std))
    assert sum(method == 'GET' and path.endswith('.safetensors') for method, path, _ in hub.requests) == 1
    assert 'model.safetensors' in kept(tmp_path / 'hf')


def test_what_can_be_had_of_the_hub(hub):
    folder = publish(hub, timm_tensors())
    assert unreachable('timm://tiny.test') == '' and '404' in unreachable('timm://other.test')
    load('timm://tiny.test')
    del hub.files[f'{folder}/model.safetensors']
    assert unreachable('timm://tiny.test') == ''


def test_any_file_of_the_hub(hub, backbone):
    hub.files['/me/mine/resolve/v1/weights/vovnet.pth'] = backbone
    assert load('hf://me/mine/weights/vovnet.pth@v1')['meta']['backbone']['arch'] == 'V-19-slim-dw'
    with pytest.raises(InputError, match='names no file: write hf://OWNER/REPO/FILE'):
        load('hf://me/mine')


def test_without_network_what_is_in_the_cache_is_used(hub, monkeypatch):
    publish(hub, timm_tensors())
    load('timm://tiny.test')
    hub.requests.clear()
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    forget()
    assert load('timm://tiny.test')['meta']['backbone']['arch'] == 'V-19-slim-dw'
    with pytest.raises(CheckpointError, match='timm://other.test cannot be fetched'):
        load('timm://other.test')
    assert hub.requests == []


def test_what_the_hub_does_not_give(hub, tmp_path):
    publish(hub, timm_tensors(), name='ese_vovnet39b.ra')
    with pytest.raises(CheckpointError, match=r'Repo\w*NotFound.*did you mean timm://ese_vovnet39b.ra_in1k\?'):
        load('timm://ese_vovnet39b')
    with pytest.raises(CheckpointError, match='EntryNotFound'):
        load('hf://timm/ese_vovnet39b.ra/none.pth')
    assert not [name for name in kept(tmp_path / 'hf') if name.endswith('.safetensors')]


def test_a_file_that_the_hub_spoilt_is_not_kept(hub, tmp_path):
    folder = publish(hub, timm_tensors())
    hub.faults[f'{folder}/model.safetensors'] = 'spoils'
    with pytest.raises(CheckpointError, match='its SHA-256 is not .*the transfer changed it'):
        load('timm://tiny.test')
    hub.faults.clear()
    load('timm://tiny.test')


def test_weights_of_another_architecture(hub):
    publish(hub, {'layer1.0.conv1.weight': torch.zeros(1)}, name='resnet50.a1_in1k')
    with pytest.raises(CheckpointError, match='timm://resnet50.a1_in1k is of another architecture.*hf://timm/resnet50'):
        load('timm://resnet50.a1_in1k')


def test_timm_without_its_normalization_is_refused(hub, tmp_path):
    folder = publish(hub, timm_tensors())
    config = hub.files.pop(f'{folder}/config.json')
    with pytest.raises(CheckpointError, match='put the config.json of its hub repository beside the file'):
        load('timm://tiny.test')
    (tmp_path / 'model.safetensors').write_bytes(hub.files[f'{folder}/model.safetensors'])
    (tmp_path / 'config.json').write_bytes(config)
    assert load(str(tmp_path / 'model.safetensors'))['meta']['backbone']['arch'] == 'V-19-slim-dw'


def test_without_the_hubs_client_the_next_mirror_is_tried(server, monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(CheckpointError, match=r"huggingface_hub: pip install 'mmcentermask\[hub\]'"):
        fetch('hf://me/mine/x.pth')
    server.files['/timm.pth'] = saved(timm_tensors())
    sources = ['hf://timm/tiny.test/model.safetensors', f'{server.address}/timm.pth']
    entry = dict(what='tiny', licence='Apache-2.0', sources=sources, mean=[0.5] * 3, std=[0.5] * 3)
    monkeypatch.setattr(weights_table, 'known_weights', lambda: {'tiny.test': entry})
    assert fetch('timm://tiny.test').normalization == Normalization((0.5,) * 3, (0.5,) * 3)


def test_a_published_config_trains_as_it_is(hub, tmp_path, capsys):
    """The check before a run fetches too, so that a name that is wrong stops it before it writes anything."""
    publish(hub, recipe(official_vovnet('V-39', 'timm')[1]), name='ese_vovnet39b.ra_in1k')
    cfg = Config.fromfile(CONFIGS / 'centermask_v39-ese_fpn_ms-3x_coco.py')
    check_model_for_training(cfg)
    assert capsys.readouterr().err == ''
    cfg.model.backbone.arch = 'V-57'
    with pytest.raises(CheckpointError, match='of another backbone: it has no statistics'):
        check_model_for_training(cfg)
