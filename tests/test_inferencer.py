"""Prediction on pictures, folders and arrays, by our inferencer, mmdet's and demo/image_demo.py."""

import json

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api
from tiny_run import run_tool, write_config

from mmcentermask.apis import CenterMaskInferencer, CheckpointError, ImageError, InputError, MissingFileError

HEIGHT, WIDTH = 60, 90


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A config, weights that find something, and a folder of two pictures."""
    folder = tmp_path_factory.mktemp('inferencer')
    config = write_config(folder / 'tiny.py', 'data')
    # untrained, everything scores about 0.1
    config.write_text(config.read_text() + "model['test_cfg'] = dict(score_thr=0.0, max_per_img=5)\n")
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    model.init_weights()
    meta = dict(dataset_meta=dict(classes=('ellipse', 'rectangle', 'triangle', 'star')))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'weights.pth')
    (folder / 'pictures').mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    mmcv.imwrite(noise[0], str(folder / 'pictures/b.png'))
    (folder / 'pictures/a.JPG').write_bytes(cv2.imencode('.jpg', noise[1])[1].tobytes())
    (folder / 'pictures/notes.txt').write_text('no picture')
    return folder


@pytest.fixture(scope='module')
def inferencer(folder):
    return CenterMaskInferencer(str(folder / 'tiny.py'), str(folder / 'weights.pth'), device='cpu', show_progress=False)


def check_prediction(prediction):
    assert set(prediction) == {'bboxes', 'labels', 'scores', 'mask_scores', 'masks'}
    assert {len(value) for value in prediction.values()} == {len(prediction['scores'])} != {0}
    assert all(mask['size'] == [HEIGHT, WIDTH] and isinstance(mask['counts'], str) for mask in prediction['masks'])
    mask_api.decode(prediction['masks'])
    # times a predicted IoU, which is not 1
    assert prediction['mask_scores'] != prediction['scores']


def test_picture_array_and_folder_agree(folder, inferencer):
    picture = str(folder / 'pictures/b.png')
    (of_file,) = inferencer(picture)['predictions']
    (of_array,) = inferencer(mmcv.imread(picture))['predictions']
    of_folder = inferencer(str(folder / 'pictures'))['predictions']
    check_prediction(of_file)
    assert of_file == of_array
    # in the order of the names, a.JPG first
    assert len(of_folder) == 2 and of_folder[1] == of_file != of_folder[0]


def test_mmdets_inferencer_gives_the_same(folder, inferencer):
    picture = str(folder / 'pictures/b.png')
    plain = DetInferencer(str(folder / 'tiny.py'), str(folder / 'weights.pth'), device='cpu', show_progress=False)
    (of_ours,) = inferencer(picture)['predictions']
    (of_mmdets,) = plain(picture)['predictions']
    assert of_mmdets == {key: value for key, value in of_ours.items() if key != 'mask_scores'}
    (sample,) = plain(mmcv.imread(picture), return_datasamples=True)['predictions']
    assert sample.pred_instances.mask_scores.tolist() == of_ours['mask_scores']
    # it passes over a.JPG, whose ending has capitals
    assert plain(str(folder / 'pictures'))['predictions'] == [of_mmdets]


def test_a_prediction_is_written_under_its_pictures_name(folder, inferencer, tmp_path):
    results = inferencer(str(folder / 'pictures/b.png'), out_dir=str(tmp_path), no_save_pred=False)
    assert json.loads((tmp_path / 'preds/b.json').read_text()) == results['predictions'][0]
    assert sorted(path.name for path in tmp_path.rglob('*') if path.is_file()) == ['b.json', 'b.png']


@pytest.fixture(scope='module')
def in_run_lengths(folder):
    """The same model, with masks as run-length codes; the config names mmdet's visualizer."""
    config = folder / 'run_lengths.py'
    visualizer = "visualizer = dict(type='DetLocalVisualizer', name='run_lengths')"
    config.write_text(
        f"_base_ = './tiny.py'\nmodel = dict(test_cfg=dict(rcnn=dict(mask_format='rle')))\n{visualizer}\n"
    )
    return CenterMaskInferencer(str(config), str(folder / 'weights.pth'), device='cpu', show_progress=False)


def test_both_forms_of_masks_give_the_same_files(folder, inferencer, in_run_lengths, tmp_path):
    files, returned = [], []
    for name, ours in (('dense', inferencer), ('rle', in_run_lengths)):
        np.random.seed(0)  # colors
        returned.append(
            ours(str(folder / 'pictures'), out_dir=str(tmp_path / name), no_save_pred=False, pred_score_thr=0.0)
        )
        paths = sorted(path for path in (tmp_path / name).rglob('*') if path.is_file())
        files.append({path.name: path.read_bytes() for path in paths})
    assert set(files[0]) == {'a.JPG', 'a.json', 'b.json', 'b.png'} and files[0] == files[1]
    assert returned[0]['predictions'] == returned[1]['predictions']
    (sample,) = in_run_lengths(str(folder / 'pictures/b.png'), return_datasamples=True)['predictions']
    assert isinstance(sample.pred_instances.masks, list) and len(sample.pred_instances) > 0
    # masks are drawn, not boxes alone
    sample.pred_instances.pop('masks')
    np.random.seed(0)
    (without,) = in_run_lengths.visualize([mmcv.imread(folder / 'pictures/b.png')], [sample], return_vis=True)
    assert not np.array_equal(without, returned[1]['visualization'][1])


@pytest.mark.parametrize('form', ['tensor', 'array', 'run lengths'])
@pytest.mark.parametrize('number', [0, 2])
def test_masks_of_any_form_become_run_lengths(form, number, inferencer):
    masks = torch.zeros(number, HEIGHT, WIDTH, dtype=torch.bool)
    masks[:, 10:20, 10:30] = True
    codes = [mask_api.encode(np.asfortranarray(mask.numpy().astype(np.uint8))) for mask in masks]
    given = {'tensor': masks, 'array': masks.numpy(), 'run lengths': codes}[form]
    instances = InstanceData(
        bboxes=torch.zeros(number, 4), labels=torch.zeros(number, dtype=torch.long), scores=torch.rand(number)
    )
    instances.mask_scores = torch.rand(number)
    instances.masks = given
    result = inferencer.pred2dict(DetDataSample(pred_instances=instances))
    json.dumps(result)
    assert len(result['masks']) == len(result['mask_scores']) == len(result['bboxes']) == number
    assert [int(mask_api.area(mask)) for mask in result['masks']] == [200] * number
    assert 'masks' in instances


def test_a_model_without_mask_iou_head_has_no_mask_scores(inferencer):
    instances = InstanceData(bboxes=torch.ones(1, 4), labels=torch.zeros(1, dtype=torch.long), scores=torch.ones(1))
    assert set(inferencer.pred2dict(DetDataSample(pred_instances=instances))) == {'bboxes', 'labels', 'scores'}


def test_refused_pictures(folder, inferencer, tmp_path):
    with pytest.raises(MissingFileError, match='nowhere.jpg'):
        inferencer('nowhere.jpg')
    with pytest.raises(InputError, match='no picture in the folder'):
        inferencer(str(tmp_path))
    content = (folder / 'pictures/b.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match='cut.png'):
        inferencer(str(tmp_path))
    (tmp_path / 'cut.png').write_bytes(content[:40] + bytes(len(content) - 80) + content[-40:])
    with pytest.raises(ImageError, match='cut.png'):  # the decoder finds out
        inferencer(str(tmp_path))


def test_refused_models(folder, tmp_path):
    config, weights = str(folder / 'tiny.py'), str(folder / 'weights.pth')
    with pytest.raises(MissingFileError, match='nowhere.py'):
        CenterMaskInferencer('nowhere.py', weights)
    with pytest.raises(MissingFileError, match='nowhere.pth'):
        CenterMaskInferencer(config, 'nowhere.pth')
    state = torch.load(weights)['state_dict']
    torch.save({'state_dict': {k: v for k, v in state.items() if 'neck' not in k}}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=r'other.pth is of another model.*neck'):
        CenterMaskInferencer(config, str(tmp_path / 'other.pth'), device='cpu')


def test_image_demo(folder, tmp_path, capsys):
    out = tmp_path / 'outputs'
    args = [folder / 'pictures', folder / 'tiny.py', '--weights', folder / 'weights.pth', '--out-dir', out]
    assert run_tool('demo/image_demo.py', *args, '--device', 'cpu', '--pred-score-thr', 0.0) == 0
    found = sum(len(json.loads(path.read_text())['scores']) for path in out.rglob('*.json'))
    assert f'2 picture(s), {found} object(s)' in capsys.readouterr().out.replace('\n', ' ') and found > 0
    assert sorted(path.name for path in out.rglob('*') if path.is_file()) == ['a.JPG', 'a.json', 'b.json', 'b.png']
    check_prediction(json.loads((out / 'preds/b.json').read_text()))
    assert not np.array_equal(mmcv.imread(out / 'vis/b.png'), mmcv.imread(folder / 'pictures/b.png'))


@pytest.mark.parametrize(
    ('picture', 'weights', 'words'),
    [('b.png', 'none.pth', 'no checkpoint'), ('none.png', 'weights.pth', 'no image'), ('notes.txt', 'weights.pth', '')],
)
def test_image_demo_refuses(picture, weights, words, folder, tmp_path, capsys):
    out = tmp_path / 'outputs'
    args = [folder / 'pictures' / picture, folder / 'tiny.py', '--weights', folder / weights, '--out-dir', out]
    assert run_tool('demo/image_demo.py', *args, '--device', 'cpu') == 1
    error = capsys.readouterr().err
    assert f'error: {"there is " if words else "the image"}{words}' in error
    assert (picture if words != 'no checkpoint' else weights) in error
    assert not out.exists()
