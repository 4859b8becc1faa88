"""The converter recognizes every published checkpoint and refuses everything else in one sentence."""

import hashlib
import math
import os
import pickle
import runpy
import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from recipe import official_shapes, recipe
from vovnet_names import official_vovnet

from conftest import CONFIGS, ROOT
from mmcentermask.apis.checkpoint_check import read_checkpoint
from mmcentermask.checkpoints import convert_checkpoint, convert_state_dict, load_safely, unwrap
from mmcentermask.checkpoints.convert import describe
from mmcentermask.checkpoints.rename import TO_AUTHORS, VOVNET, rename
from mmcentermask.errors import CheckpointError, MissingFileError, OutputError
from mmcentermask.models.vovnet import VARIANTS, VoVNet

SHAPES = official_shapes()
SMALL = 'centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x'
INSTANCE = sorted(name for name in SHAPES['centermask2'] if not name.startswith('panoptic'))


def empty(shapes):
    """Parameters without memory."""
    return {name: torch.empty(shape, device='meta') for name, shape in shapes.items()}


def check_complete(conversion, official, background=()):
    """Every official parameter arrived, but for the background's row, and nothing else but counters."""
    assert conversion.mapped == len(official) and not conversion.left_out
    assert all(name.endswith('num_batches_tracked') for name in conversion.added)
    assert conversion.mapped + len(conversion.added) == len(conversion.state_dict)
    sizes = {name: math.prod(shape) for name, shape in official.items()}
    dropped = sum(sizes[name] // 81 for name in sizes if name.startswith(background)) if background else 0
    arrived = sum(value.numel() for name, value in conversion.state_dict.items() if name not in conversion.added)
    assert arrived == sum(sizes.values()) - dropped
    assert conversion.num_classes == 80


@pytest.mark.slow
@pytest.mark.parametrize('family, name', [(f, n) for f in SHAPES for n in SHAPES[f]])
def test_the_fitting_config_loads_it_with_nothing_missing_and_nothing_unexpected(family, name):
    conversion = convert_state_dict(empty(SHAPES[family][name]))
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(CONFIGS / f'{conversion.config}.py').model)
    model.load_state_dict(conversion.state_dict, strict=True, assign=True)


def test_counts_of_published_checkpoints():
    assert len(INSTANCE) == 14 and len(SHAPES['centermask2']) == 20 and len(SHAPES['centermask']) == 27


@pytest.mark.parametrize('name', INSTANCE)
def test_centermask2(name):
    shapes = SHAPES['centermask2'][name]
    conversion = convert_state_dict(empty(shapes))
    backbone = name.replace('centermask_', '').replace('lite_', '').split('_FPN')[0]
    backbone = {'Mv2': 'mv2', 'X_101': 'x101-32x8d'}.get(backbone, backbone)
    backbone = backbone.lower().replace('_', '', 1).replace('_', '-').removeprefix('-')
    lite = 'lite' in name
    assert conversion.config == f'centermask{"-lite" * lite}_{backbone}_fpn_ms-{4 if lite else 3}x_coco'
    check_complete(conversion, shapes)


@pytest.mark.parametrize('name', sorted(SHAPES['centermask']))
def test_centermask_v1(name):
    shapes = SHAPES['centermask'][name]
    conversion = convert_state_dict(empty(shapes))
    check_complete(conversion, shapes, ('roi_heads.mask.predictor.mask_fcn_logits', 'roi_heads.maskiou.predictor'))
    lite, scored = 'lite' in name, any('maskiou' in parameter for parameter in shapes)
    backbone = name.removeprefix('centermask_').split('_FPN')[0]
    backbone = {
        'M_v2': 'mv2',
        'R_50': 'r50',
        'R_101': 'r101',
        'X_101': 'x101-32x8d',
        'V_19_eSE': 'v19-ese',
        'V_39_eSE': 'v39-ese',
        'V_57_eSE': 'v57-ese',
        'V_99_eSE': 'v99-ese',
        'V_39_eSE_dconv': 'v39-ese-dcn',
        'V_57_eSE_dconv': 'v57-ese-dcn',
        'V_99_eSE_dconv': 'v99-ese-dcn',
    }[backbone]
    once = backbone.endswith('dcn') or name == 'centermask_M_v2_FPN_1x'
    schedule = 'ms-4x' if lite else '1x' if once else 'ms-3x'
    assert conversion.config == f'centermask-v1{"-lite" * lite}_{backbone}_fpn_{schedule}_coco'
    assert any('mask_iou_head' in parameter for parameter in conversion.state_dict) is scored


def test_background_is_dropped_and_prefix_too():
    shapes = SHAPES['centermask']['centermask_V_19_eSE_FPN_lite_res600_ms_bs16_4x']
    tensors = recipe({f'module.{name}': shape for name, shape in shapes.items()})
    path_names = {name.removeprefix('module.'): value for name, value in tensors.items()}
    state = convert_state_dict(path_names).state_dict
    predictor = path_names['roi_heads.mask.predictor.mask_fcn_logits.weight']
    assert torch.equal(state['roi_head.mask_head.conv_logits.weight'], predictor[1:])
    assert torch.equal(
        state['roi_head.mask_iou_head.fc_mask_iou.bias'], path_names['roi_heads.maskiou.predictor.maskiou.bias'][1:]
    )
    # a slice of the whole would bring the background's row into the file
    assert state['roi_head.mask_head.conv_logits.weight'].untyped_storage().nbytes() == predictor[1:].numel() * 4
    assert state['bbox_head.conv_cls.weight'].shape[0] == 80


V1_SMALL = 'centermask_M_v2_FPN_lite_res600_ms_bs16_4x'


@pytest.mark.parametrize('name', [V1_SMALL, 'centermask_R_50_FPN_ms_3x', 'centermask_V_39_eSE_dconv_FPN_1x'])
def test_batch_norms_of_centermask_v1_answer_as_without_eps(name):
    tensors = recipe(SHAPES['centermask'][name])
    for key in tensors:  # where eps matters
        if key.endswith('running_var'):
            tensors[key] = tensors[key] * 1e-5
    conversion = convert_state_dict(tensors)
    state, official = conversion.state_dict, conversion.official
    norms = [key.removesuffix('.running_var') for key in state if key.endswith('.running_var')]
    assert len(norms) > 30 and all(norm.startswith('backbone.') for norm in norms)
    for norm in norms:
        ours = state[f'{norm}.weight'] / (state[f'{norm}.running_var'] + 1e-5).sqrt()
        theirs = tensors[official[f'{norm}.weight']] * tensors[official[f'{norm}.running_var']].rsqrt()
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    folded = {f'{norm}.weight' for norm in norms}
    for key in ('bbox_head.cls_convs.0.gn.weight', 'neck.fpn_convs.0.conv.weight', f'{norms[0]}.bias'):
        assert key not in folded and torch.equal(state[key], tensors[official[key]])


def test_a_variance_of_zero_of_centermask_v1_is_refused():
    tensors = recipe(SHAPES['centermask'][V1_SMALL])
    tensors['backbone.body.features.1.conv.1.running_var'][3] = 0
    with pytest.raises(CheckpointError, match='batch norm backbone.layer1.0.depthwise_conv.bn has variances'):
        convert_state_dict(tensors)


def test_norms_of_centermask2_stay_as_they_are():
    tensors = recipe(SHAPES['centermask2'][SMALL])
    conversion = convert_state_dict(tensors)
    name = 'backbone.stem.0.bn.weight'
    assert torch.equal(conversion.state_dict[name], tensors[conversion.official[name]])


@pytest.mark.parametrize('kind', ['the first CenterMask (maskrcnn-benchmark)', 'CenterMaskV1 (maskrcnn-benchmark)'])
def test_an_older_conversion_of_centermask_v1_is_refused(tmp_path, kind):
    file = tmp_path / 'ours.pth'
    meta = dict(source_kind=kind, config='centermask-v1_r50_fpn_ms-3x_coco')
    torch.save(dict(meta=meta, state_dict={'a': torch.zeros(1)}), file)
    for read in (read_checkpoint, CheckpointLoader.load_checkpoint):
        with pytest.raises(CheckpointError, match=r'ours.pth was converted from CenterMaskV1 by an older .* again'):
            read(str(file))
    torch.save(dict(meta=meta | dict(format_version=1), state_dict={'a': torch.zeros(1)}), file)
    assert read_checkpoint(str(file))['meta']['source_kind'] == kind
    torch.save(dict(meta=dict(source_kind='CenterMask2 (detectron2)'), state_dict={'a': torch.zeros(1)}), file)
    read_checkpoint(str(file))


def test_converted_centermask_v1_says_its_version(tmp_path):
    torch.save(recipe(SHAPES['centermask'][V1_SMALL]), tmp_path / 'source.pth')
    convert_checkpoint(tmp_path / 'source.pth', tmp_path / 'ours.pth')
    assert read_checkpoint(str(tmp_path / 'ours.pth'))['meta']['format_version'] == 1


@pytest.mark.parametrize('name', sorted(set(SHAPES['centermask2']) - set(INSTANCE)))
def test_panoptic(name):
    shapes = SHAPES['centermask2'][name]
    conversion = convert_state_dict(empty(shapes))
    assert conversion.config.startswith('panoptic-centermask_') and conversion.config.endswith('_fpn_ms-3x_coco')
    check_complete(conversion, shapes)
    assert describe(conversion)['dataset_meta']['classes'][-1] == 'rug-merged'


def test_panoptic_outputs_are_stuff_first_and_things_last():
    shapes = SHAPES['centermask2']['panoptic_centermask_V_39_eSE_FPN_ms_3x']
    tensors = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    tensors['sem_seg_head.predictor.bias'] = torch.arange(54.0)
    bias = convert_state_dict(tensors).state_dict['semantic_head.conv_logits.bias']
    assert bias.tolist() == [*range(1, 54), 0]


def test_other_numbers_of_classes():
    shapes = dict(SHAPES['centermask2'][SMALL])
    for name, shape in shapes.items():
        if any(part in name for part in ('cls_logits', 'predictor', 'maskiou.weight', 'maskiou.bias')):
            shapes[name] = [5, *shape[1:]]
    conversion = convert_state_dict(empty(shapes))
    assert conversion.num_classes == 5 and 'model.num_classes=5' in conversion.report()
    assert conversion.state_dict['roi_head.mask_head.conv_logits.bias'].shape == (5,)


def authors_backbone(name='centermask_V_39_eSE_FPN_ms_3x', prefix=''):
    start = 'backbone.bottom_up.'
    shapes = SHAPES['centermask2'][name]
    return {prefix + key.removeprefix(start): shape for key, shape in shapes.items() if '/' in key or '.ese.' in key}


@pytest.mark.parametrize('prefix', ['', 'backbone.bottom_up.', 'module.', 'features.'])
@pytest.mark.parametrize('classifier', [False, True])
def test_imagenet_weights_of_the_authors(tmp_path, prefix, classifier):
    shapes = authors_backbone(SMALL, prefix)
    if classifier:
        shapes |= {f'{prefix}classifier.weight': [1000, 512], f'{prefix}classifier.bias': [1000]}
    source, target = tmp_path / 'vovnet.pth', tmp_path / 'ours.pth'
    torch.save(recipe(shapes), source)
    conversion = convert_checkpoint(source, target)
    assert conversion.arch == 'V-19-slim-dw' and conversion.config is None
    assert set(conversion.left_out.values()) == ({'the classifier'} if classifier else set())
    backbone = VoVNet('V-19-slim-dw', init_cfg=dict(type='Pretrained', checkpoint=str(target)))
    backbone.init_weights()
    assert backbone.load_state_dict(conversion.state_dict, strict=True)
    assert torch.equal(backbone.stem[0].conv.weight, torch.load(source)[f'{prefix}stem.stem_1/conv.weight'])


@pytest.mark.parametrize('arch', sorted(VARIANTS))
@pytest.mark.parametrize('code_base', ['authors', 'timm'])
def test_every_row_of_the_table_is_told_from_the_others(arch, code_base):
    names, shapes = official_vovnet(arch, code_base)
    conversion = convert_state_dict(empty(shapes))
    assert conversion.arch == arch
    assert conversion.official == {ours: official for official, ours in names.items()}


def beside_other_parts(prefix, counters, arch='V-19-dw'):
    """A 3D detector's checkpoint: VoVNet, with the counters of its norms or without, and a neck and a head."""
    shapes = official_vovnet(arch, 'authors')[1]
    tensors = recipe({prefix + name: shape for name, shape in shapes.items()})
    if counters:
        norms = [name for name in tensors if name.endswith('running_mean')]
        tensors |= {
            name.replace('running_mean', 'num_batches_tracked'): torch.tensor(i) for i, name in enumerate(norms)
        }
    others = {'img_neck.lateral_convs.0.conv.weight': [4, 4, 1, 1], 'pts_bbox_head.query_embedding.0.weight': [4, 4]}
    return tensors, recipe(others)


@pytest.mark.parametrize('counters', [False, True])
@pytest.mark.parametrize('prefix', ['img_backbone.', 'backbone.bottom_up.', 'module.img_backbone.', 'a.b.backbone.'])
def test_a_vovnet_beside_other_parts_is_taken_alone_and_written_back(tmp_path, prefix, counters):
    tensors, others = beside_other_parts(prefix, counters)
    torch.save(dict(state_dict=tensors | others, meta=dict(epoch=24)), tmp_path / 'petr.pth')
    conversion = convert_checkpoint(tmp_path / 'petr.pth', tmp_path / 'ours.pth')
    assert conversion.arch == 'V-19-dw' and conversion.mapped == len(tensors)
    assert 'left out: img_neck.' in conversion.report() and '(of another part of the model)' in conversion.report()
    VoVNet('V-19-dw').load_state_dict(torch.load(tmp_path / 'ours.pth')['state_dict'], strict=True)
    for source in ('ours', 'petr'):
        convert_checkpoint(tmp_path / f'{source}.pth', tmp_path / 'back.pth', to=prefix.rstrip('.'))
        back = torch.load(tmp_path / 'back.pth')['state_dict']
        assert set(back) == set(tensors)
        for name, value in tensors.items():
            assert (
                back[name].dtype == value.dtype and torch.equal(back[name], value) and back[name].shape == value.shape
            )


@pytest.mark.parametrize('arch', sorted(VARIANTS))
def test_every_name_is_written_back(arch):
    official = convert_state_dict(empty(official_vovnet(arch, 'authors')[1])).official
    assert rename(official, TO_AUTHORS) == official
    centermask2 = {n: s for n, s in SHAPES['centermask2']['centermask_V_39_eSE_dcn_FPN_ms_3x'].items() if '/' in n}
    ours = rename((name.removeprefix('backbone.bottom_up.') for name in centermask2), VOVNET)
    assert any('conv_offset' in name for name in ours)
    assert rename(ours.values(), TO_AUTHORS) == {mine: theirs for theirs, mine in ours.items()}


def test_the_vovnet_of_a_whole_model_is_written_for_another(tmp_path, run):
    tensors = recipe(SHAPES['centermask2'][SMALL])
    torch.save(tensors, tmp_path / 'official.pth')
    convert_checkpoint(tmp_path / 'official.pth', tmp_path / 'ours.pth')
    for source in ('official', 'ours'):
        code, out, _ = run(tmp_path / f'{source}.pth', tmp_path / 'back.pth', '--to', 'img_backbone')
        assert code == 0 and "names: those of VoVNet's authors, under img_backbone" in out
        back = torch.load(tmp_path / 'back.pth')['state_dict']
        start = 'backbone.bottom_up.'
        assert set(back) == {name.replace(start, 'img_backbone.') for name in tensors if name.startswith(start)}
        assert all(torch.equal(value, tensors[name.replace('img_backbone.', start)]) for name, value in back.items())
    torch.save(recipe(SHAPES['centermask2']['centermask_lite_Mv2_FPN_ms_4x']), tmp_path / 'mv2.pth')
    code, _, err = run(tmp_path / 'mv2.pth', tmp_path / 'no.pth', '--to', 'img_backbone')
    assert code == 1 and 'its backbone is no VoVNet' in err and not (tmp_path / 'no.pth').exists()


def test_our_vovnet_of_a_3d_detector_is_taken_too(tmp_path):
    tensors, others = beside_other_parts('', False)
    ours = convert_state_dict(tensors).state_dict
    torch.save({f'img_backbone.{name}': value for name, value in ours.items()} | others, tmp_path / 'petr.pth')
    conversion = convert_checkpoint(tmp_path / 'petr.pth')
    assert all(torch.equal(conversion.state_dict[name], value) for name, value in ours.items())
    assert conversion.kind == 'VoVNet of this package, V-19-dw'


def test_not_a_known_model():
    with pytest.raises(CheckpointError, match='no model that the converter knows.*rpn_head'):
        convert_state_dict(empty({'proposal_generator.rpn_head.conv.weight': [256, 256, 3, 3]}))
    with pytest.raises(CheckpointError, match="this package's names"):
        convert_state_dict(empty({'bbox_head.conv_cls.weight': [80, 256, 3, 3]}))
    shapes = authors_backbone(SMALL)
    with pytest.raises(CheckpointError, match='more than one VoVNet, under left., right.'):
        convert_state_dict(empty({side + name: shapes[name] for side in ('left.', 'right.') for name in shapes}))


LATERAL = 'backbone.fpn_lateral4.weight'
FAULTS = {
    '1 missing: neck.lateral_convs.1.conv.weight': lambda t: t.pop(LATERAL),
    f'1 misshapen: {LATERAL}': lambda t: t.update({LATERAL: torch.zeros(128, 9, 1, 1)}),
    f'1 unknown: {LATERAL}_v': lambda t: t.update({LATERAL + '_v': torch.zeros(1)}),
    '1 unknown: neck.lateral_convs.1.conv.weight': lambda t: t.update({'neck.lateral_convs.1.conv.weight': t[LATERAL]}),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_wrong_parameter_is_named_and_nothing_is_written(tmp_path, fault):
    tensors = recipe(SHAPES['centermask2'][SMALL])
    FAULTS[fault](tensors)
    torch.save(dict(model=tensors), tmp_path / 'source.pth')
    with pytest.raises(CheckpointError, match=fault):
        convert_checkpoint(tmp_path / 'source.pth', tmp_path / 'target.pth')
    assert os.listdir(tmp_path) == ['source.pth']


@pytest.mark.parametrize(
    'name, shape',
    [
        ('proposal_generator.fcos_head.cls_logits.weight', [79, 128, 3, 3]),
        ('roi_heads.mask_head.predictor.bias', [81]),
        ('backbone.fpn_output3.bias', [256]),
        ('backbone.bottom_up.stage5.OSA5_1.concat.OSA5_1_concat/conv.weight', [1024, 848, 1, 1]),
    ],
)
def test_one_misshapen_parameter_does_not_change_what_is_recognized(name, shape):
    shapes = dict(SHAPES['centermask2'][SMALL])
    shapes[name] = shape
    with pytest.raises(CheckpointError) as error:
        convert_state_dict(empty(shapes))
    assert f'1 misshapen: {name} is {tuple(shape)}' in str(error.value)
    assert 'centermask-lite_v19-slim-dw-ese' in str(error.value)


ODD = {
    'sparse': lambda: torch.zeros(64, 3, 3, 3).to_sparse(),
    'nested': lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    'quantized': lambda: torch.quantize_per_tensor(torch.zeros(64, 3, 3, 3), 1.0, 0, torch.qint8),
    'meta': lambda: torch.empty(64, 3, 3, 3, device='meta'),
}


@pytest.mark.parametrize('kind', ODD)
def test_tensors_that_no_model_can_have_are_named(tmp_path, kind):
    torch.save(recipe(authors_backbone(SMALL)) | {'stem.stem_1/conv.weight': ODD[kind]()}, tmp_path / 'source.pth')
    with pytest.raises(CheckpointError, match='holds stem.stem_1/conv.weight as a sparse, nested, quantized or empty'):
        convert_checkpoint(tmp_path / 'source.pth', tmp_path / 'target.pth')
    assert os.listdir(tmp_path) == ['source.pth']


def test_names_of_parameters_do_nothing_to_a_terminal(tmp_path):
    tensors, deep = recipe(authors_backbone(SMALL)), ()
    for _ in range(3000):
        deep = (deep,)
    source = unwrap(tensors | {'\x1b[2J\ud800': 'x', 'y' * 5000: None, 7: 1, deep: 1}, 'the file')
    assert list(source.left_out) == ['\\x1b[2J\\ud800', 'y' * 200 + '...', '7', 'tuple']
    torch.save(tensors | {'\x1b[2J\ud800': 'x', 'y' * 5000: None}, tmp_path / 'source.pth')
    report = convert_checkpoint(tmp_path / 'source.pth').report()
    assert f'left out: \\x1b[2J\\ud800, {"y" * 200}... (not a tensor)' in report
    report.encode()
    torch.save(tensors | {'\x1b[2J': torch.zeros(1)}, tmp_path / 'source.pth')
    with pytest.raises(CheckpointError, match=r'1 unknown: \\x1b\[2J'):
        convert_checkpoint(tmp_path / 'source.pth')


@pytest.mark.parametrize('name', ['x' * 300 + '.pth', 'a\0b.pth', '\ud800.pth', '~nobody/x.pth'])
def test_names_that_no_file_can_have(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match='there is no checkpoint'):
        convert_checkpoint(name, 'target.pth')
    torch.save(recipe(authors_backbone(SMALL)), 'source.pth')
    with pytest.raises(OutputError, match='cannot be written'):
        convert_checkpoint('source.pth', name)
    assert os.listdir() == ['source.pth']


def test_a_checkpoint_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(recipe(authors_backbone(SMALL)), tmp_path / 'source.pth')
    convert_checkpoint('~/source.pth', tmp_path / 'ours.pth')
    meta = torch.load(tmp_path / 'ours.pth')['meta']
    assert meta['source_sha256'] == hashlib.sha256((tmp_path / 'source.pth').read_bytes()).hexdigest()


def test_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / 'device')
    with pytest.raises(OutputError, match='device cannot be written, it is no ordinary file: name a new file'):
        convert_checkpoint(tmp_path / 'source.pth', tmp_path / 'device')
    assert (tmp_path / 'device').is_fifo()


class RunsCode:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize('plain', [False, True])
def test_a_file_that_wants_to_run_code_is_refused(tmp_path, plain):
    source, trap = tmp_path / 'source.pth', tmp_path / 'trap'
    content = dict(model={'stem.stem_1/conv.weight': torch.zeros(1)}, optimizer=RunsCode(str(trap)))
    if plain:
        source.write_bytes(pickle.dumps(dict(a=RunsCode(str(trap)))))
    else:
        torch.save(content, source)
    with pytest.raises(CheckpointError, match='wants to run code'):
        convert_checkpoint(source, tmp_path / 'target.pth')
    assert os.listdir(tmp_path) == ['source.pth']


def test_truncated_missing_and_empty_files(tmp_path):
    whole = tmp_path / 'whole.pth'
    torch.save({'stem.stem_1/conv.weight': torch.zeros(1000)}, whole)
    content = whole.read_bytes()
    (tmp_path / 'half.pth').write_bytes(content[: len(content) // 2])
    (tmp_path / 'nothing.pth').write_bytes(b'')
    (tmp_path / 'text.pth').write_text('<html>404</html>')
    for name, words in {
        'half': 'truncated',
        'nothing': 'truncated',
        'text': 'is text, which begins with .<html>',
    }.items():
        with pytest.raises(CheckpointError, match=words):
            load_safely(tmp_path / f'{name}.pth')
    with pytest.raises(MissingFileError, match='there is no checkpoint'):
        load_safely(tmp_path / 'none.pth')
    torch.save(dict(model={}, iteration=3), tmp_path / 'empty.pth')
    with pytest.raises(CheckpointError, match='holds no parameters'):
        convert_checkpoint(tmp_path / 'empty.pth')


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_detectron2s_pickle_of_arrays(tmp_path, protocol):
    tensors = recipe(SHAPES['centermask2'][SMALL])
    arrays = {name: value.numpy() for name, value in tensors.items()}
    content = dict(model=arrays, __author__='third_party', matching_heuristics=True)
    (tmp_path / 'model.pkl').write_bytes(pickle.dumps(content, protocol=protocol))
    conversion = convert_checkpoint(tmp_path / 'model.pkl', tmp_path / 'ours.pth')
    assert conversion.config == 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco'
    for ours, official in conversion.official.items():
        assert torch.equal(conversion.state_dict[ours].flatten(), tensors[official].flatten())
    assert conversion.left_out == dict.fromkeys(['__author__', 'matching_heuristics'], 'state of the training')
    backward = {name: array.astype(array.dtype.newbyteorder('>')) for name, array in arrays.items()}
    (tmp_path / 'big.pkl').write_bytes(pickle.dumps(dict(model=backward), protocol=protocol))
    name = 'backbone.fpn_lateral4.weight'
    assert torch.equal(load_safely(tmp_path / 'big.pkl')['model'][name], tensors[name])


def test_targets_that_cannot_be_written(tmp_path):
    source = tmp_path / 'source.pth'
    torch.save({'stem.stem_1/conv.weight': torch.zeros(1)}, source)
    for target, words in ((tmp_path / 'no/target.pth', 'no folder'), (tmp_path, 'a folder'), (source, 'it is SRC')):
        with pytest.raises(OutputError, match=words):
            convert_checkpoint(source, target)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def run(*args):
        monkeypatch.setattr(sys, 'argv', ['convert_checkpoint.py', *map(str, args)])
        with pytest.raises(SystemExit) as exit:
            runpy.run_path(str(ROOT / 'tools/convert_checkpoint.py'), run_name='__main__')
        return exit.value.code, *capsys.readouterr()

    return run


def test_the_command(tmp_path, run):
    source, target = tmp_path / 'model_final.pth', tmp_path / 'ours.pth'
    tensors = recipe(SHAPES['centermask2'][SMALL]) | {'pixel_mean': torch.zeros(3, 1, 1)}
    torch.save(dict(model=tensors, optimizer=dict(state={}), iteration=7), source)
    code, dry, _ = run(source, '--dry-run')
    assert code == 0 and not target.exists()
    code, done, _ = run(source, target)
    assert code == 0
    for line in (
        'recognized: CenterMask2 (detectron2)',
        f'mapped: {len(tensors) - 1} parameters',
        'left out: pixel_mean (a constant that the config holds)',
        'left out: optimizer, iteration (state of the training)',
        'fits: configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py',
    ):
        assert line in done and line in dry
    checkpoint = torch.load(target, weights_only=True)
    assert set(checkpoint) == {'meta', 'state_dict'}
    meta = checkpoint['meta']
    assert meta['source_file'] == 'model_final.pth'
    assert meta['source_sha256'] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert meta['config'] == 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco'
    assert meta['dataset_meta']['classes'][:2] == ('person', 'bicycle') and len(meta['dataset_meta']['classes']) == 80
    cfg = Config.fromfile(CONFIGS / f'{meta["config"]}.py')
    MODELS.build(cfg.model).load_state_dict(checkpoint['state_dict'], strict=True)


def test_the_command_fails_with_one_sentence(tmp_path, run):
    assert run(tmp_path / 'none.pth')[0] == 2
    code, _, err = run(tmp_path / 'none.pth', tmp_path / 'target.pth')
    assert code == 1 and os.listdir(tmp_path) == []
    assert err.startswith('error: there is no checkpoint') and err.count('\n') == 1
