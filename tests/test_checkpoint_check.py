"""What training may begin with, what it is warned of, and what is told about files that need the converter."""

import re

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from vovnet_names import official_vovnet

from mmcentermask.apis.checkpoint_check import check_same_model, check_start, read_checkpoint
from mmcentermask.errors import CheckpointError
from mmcentermask.models.vovnet import VoVNet


def ese_weights(arch='V-39'):
    with torch.device('meta'):
        state = VoVNet(arch).state_dict()
    return {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(dcn=dict(type='DCNv2', deform_groups=1)), r'50 missing from it \(stage3.0.layers.0.conv.conv_offset'),
        (dict(attention='SE'), 'missing from it.*attention.conv1.*unknown to the model.*attention.fc'),
        (dict(attention=None, residual=False), '12 unknown to the model'),
        (dict(out_indices=(0, 1)), 'unknown to the model .stage4'),
    ],
    ids=['dcn', 'SE', 'V1', 'fewer stages'],
)
def test_what_is_left_as_it_was_built_is_warned_of(options, words, capsys):
    with torch.device('meta'):
        model = VoVNet('V-39', **options)
    check_start(model, dict(state_dict=ese_weights()), 'vovnet39.pth')
    warning = capsys.readouterr().err
    assert warning.startswith('warning: of the checkpoint vovnet39.pth not all is used: ') and warning.count('\n') == 1
    assert re.search(words, warning)


def test_the_same_variant_gives_no_warning(capsys):
    with torch.device('meta'):
        model = VoVNet('V-39')
    check_start(model, ese_weights(), 'vovnet39.pth')
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize('prefix', ['img_backbone', 'img_backbone.'])
def test_a_prefix_is_taken_as_mmengine_takes_it(prefix, capsys):
    with torch.device('meta'):
        model = VoVNet('V-39')
    checkpoint = {f'img_backbone.{name}': value for name, value in ese_weights().items()}
    check_start(model, checkpoint, 'detector.pth', prefix)
    assert capsys.readouterr() == ('', '')


def test_frozen_norms_without_statistics_are_refused_and_others_not(capsys):
    with torch.device('meta'):
        frozen, trained = VoVNet('V-57'), VoVNet('V-57', norm_eval=False)
    with pytest.raises(CheckpointError, match='vovnet39.pth is of another backbone.*frozen batch norms .stage4.2'):
        check_start(frozen, ese_weights(), 'vovnet39.pth')
    check_start(trained, ese_weights(), 'vovnet39.pth')
    assert 'stage4.2' in capsys.readouterr().err


@pytest.mark.parametrize('code_base', ['authors', 'timm'])
def test_unconverted_weights_name_the_converter(code_base):
    shapes = official_vovnet('V-39', code_base)[1]
    checkpoint = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    with torch.device('meta'):
        model = VoVNet('V-39')
    for check in (check_start, check_same_model):
        with pytest.raises(
            CheckpointError, match='VoVNet.*run `python tools/convert_checkpoint.py v39.pth converted.pth`'
        ):
            check(model, dict(model=checkpoint), 'v39.pth')


@pytest.mark.parametrize('kind', ['SwinTransformer', 'PyramidVisionTransformer'])
def test_backbones_that_rename_their_weights_themselves(kind, tmp_path, capsys):
    options = dict(SwinTransformer=dict(depths=(1, 1, 1, 1)), PyramidVisionTransformer=dict(num_layers=[1, 1, 1, 1]))
    torch.save(dict(model={'patch_embed.proj.weight': torch.zeros(96, 3, 4, 4)}), tmp_path / 'official.pth')
    checkpoint = read_checkpoint(str(tmp_path / 'official.pth'))
    check_start(MODELS.build(dict(type=kind, **options[kind])), checkpoint, 'official.pth')
    assert capsys.readouterr().err == ''


def test_a_best_score_of_numpy_is_read(tmp_path):
    own = dict(state_dict=dict(a=torch.zeros(1)), message_hub=dict(runtime_info=dict(best_score=np.float32(0.5))))
    torch.save(own, tmp_path / 'best.pth')
    assert read_checkpoint(str(tmp_path / 'best.pth'))['message_hub']['runtime_info']['best_score'] == 0.5


def test_weights_of_a_run_that_diverged_are_refused():
    state = dict(VoVNet('V-19-slim-dw').state_dict())
    model = VoVNet('V-19-slim-dw')
    check_same_model(model, dict(state_dict=state), 'a.pth')
    name = next(iter(state))
    state[name] = state[name] * float('nan')
    for check in (check_same_model, check_start):
        with pytest.raises(CheckpointError, match='a.pth holds NaN or infinity in 1 of .* diverged'):
            check(model, dict(state_dict=state), 'a.pth')


@pytest.mark.parametrize(
    'text', ['<!DOCTYPE html>\n<html>', 'version https://git-lfs.github.com/spec/v1\noid sha256:1']
)
def test_a_page_in_the_place_of_a_checkpoint(text, tmp_path):
    (tmp_path / 'a.pth').write_text(text)
    with pytest.raises(CheckpointError, match='a.pth is text, which begins with .*download the file itself'):
        read_checkpoint(str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('norm_eval', [True, False])
def test_norms_that_train_on_top_of_weights_are_told(norm_eval, capsys):
    backbone = VoVNet('V-19-slim-dw', norm_eval=norm_eval)
    checkpoint = dict(state_dict=VoVNet('V-19-slim-dw').state_dict(), meta=dict(source_kind='VoVNet by its authors'))
    check_start(backbone, checkpoint, 'a.pth')
    assert ('note: norms of the backbone train' in capsys.readouterr().err) is not norm_eval
    del checkpoint['meta']  # of a run of ours
    check_start(backbone, checkpoint, 'a.pth')
    assert capsys.readouterr().err == ''
