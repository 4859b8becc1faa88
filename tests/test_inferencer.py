"""Prediction on images, folders and arrays, by our inferencer, mmdet's and demo/image_demo.py."""

import json
import shutil
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image
from pycocotools import mask as mask_api
from tiny_run import find_something, run_tool

from mmcentermask.apis import (
    CenterMaskInferencer,
    CheckpointError,
    ImageError,
    InputError,
    MissingFileError,
    check_device,
    list_images,
    read_image,
)
from mmcentermask.datasets import CLASSES
from mmcentermask.errors import ConfigError
from mmcentermask.image_inputs import result_names

HEIGHT, WIDTH = 60, 90


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A config, weights that find something, and a folder of two images."""
    folder = tmp_path_factory.mktemp('inferencer')
    find_something(folder)
    (folder / 'images').mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    mmcv.imwrite(noise[0], str(folder / 'images/b.png'))
    (folder / 'images/a.JPG').write_bytes(cv2.imencode('.jpg', noise[1])[1].tobytes())
    (folder / 'images/notes.txt').write_text('no image')
    return folder


@pytest.fixture(scope='module')
def inferencer(folder):
    return CenterMaskInferencer(str(folder / 'tiny.py'), str(folder / 'weights.pth'), device='cpu', show_progress=False)


def check_prediction(prediction):
    of_image = {'file_name', 'height', 'width'}
    assert set(prediction) == {'bboxes', 'labels', 'class_names', 'scores', 'mask_scores', 'masks'} | of_image
    lengths = {len(value) for key, value in prediction.items() if key not in of_image}
    assert lengths == {len(prediction['scores'])} != {0}
    assert prediction['class_names'] == [CLASSES[label] for label in prediction['labels']]
    assert (prediction['height'], prediction['width']) == (HEIGHT, WIDTH)
    assert all(mask['size'] == [HEIGHT, WIDTH] and isinstance(mask['counts'], str) for mask in prediction['masks'])
    mask_api.decode(prediction['masks'])
    # times a predicted IoU, which is not 1
    assert prediction['mask_scores'] != prediction['scores']


def test_image_array_and_folder_agree(folder, inferencer):
    image = str(folder / 'images/b.png')
    (of_file,) = inferencer(image)['predictions']
    (of_array,) = inferencer(mmcv.imread(image))['predictions']
    of_folder = inferencer(str(folder / 'images'))['predictions']
    check_prediction(of_file)
    assert of_file == {**of_array, 'file_name': image} and of_array['file_name'] is None
    # in the order of the names, a.JPG first
    assert len(of_folder) == 2 and of_folder[1] == of_file != of_folder[0]


def test_mmdets_inferencer_gives_the_same(folder, inferencer):
    image = str(folder / 'images/b.png')
    plain = DetInferencer(str(folder / 'tiny.py'), str(folder / 'weights.pth'), device='cpu', show_progress=False)
    (of_ours,) = inferencer(image)['predictions']
    (of_mmdets,) = plain(image)['predictions']
    assert of_mmdets == {key: of_ours[key] for key in ('bboxes', 'labels', 'scores', 'masks')}
    (sample,) = plain(mmcv.imread(image), return_datasamples=True)['predictions']
    assert sample.pred_instances.mask_scores.tolist() == of_ours['mask_scores']
    # it passes over a.JPG, whose ending has capitals
    assert plain(str(folder / 'images'))['predictions'] == [of_mmdets]


def test_a_prediction_is_written_under_its_images_name(folder, inferencer, tmp_path):
    results = inferencer(str(folder / 'images/b.png'), out_dir=str(tmp_path), no_save_pred=False)
    assert json.loads((tmp_path / 'preds/b.json').read_text()) == results['predictions'][0]
    assert sorted(path.name for path in tmp_path.rglob('*') if path.is_file()) == ['b.json', 'b.png']


@pytest.fixture(scope='module')
def in_rle(folder):
    """The same model, with masks as RLEs; the config names mmdet's visualizer."""
    config = folder / 'rle.py'
    visualizer = "visualizer = dict(type='DetLocalVisualizer', name='rle')"
    config.write_text(
        f"_base_ = './tiny.py'\nmodel = dict(test_cfg=dict(rcnn=dict(mask_format='rle')))\n{visualizer}\n"
    )
    return CenterMaskInferencer(str(config), str(folder / 'weights.pth'), device='cpu', show_progress=False)


def test_both_forms_of_masks_give_the_same_files(folder, inferencer, in_rle, tmp_path):
    files, returned = [], []
    for name, ours in (('dense', inferencer), ('rle', in_rle)):
        returned.append(
            ours(
                str(folder / 'images'),
                out_dir=str(tmp_path / name),
                no_save_pred=False,
                pred_score_thr=0.0,
                return_vis=True,
            )
        )
        paths = sorted(path for path in (tmp_path / name).rglob('*') if path.is_file())
        files.append({path.name: path.read_bytes() for path in paths})
    assert set(files[0]) == {'a.JPG', 'a.json', 'b.json', 'b.png'} and files[0] == files[1]
    assert returned[0]['predictions'] == returned[1]['predictions']
    (sample,) = in_rle(str(folder / 'images/b.png'), return_datasamples=True)['predictions']
    assert isinstance(sample.pred_instances.masks, list) and len(sample.pred_instances) > 0
    # masks are drawn, not boxes alone
    sample.pred_instances.pop('masks')
    (without,) = in_rle.visualize([mmcv.imread(folder / 'images/b.png')], [sample], return_vis=True)
    assert not np.array_equal(without, returned[1]['visualization'][1])


@pytest.mark.parametrize('form', ['tensor', 'array', 'RLE'])
@pytest.mark.parametrize('number', [0, 2])
def test_masks_of_any_form_become_rle(form, number, inferencer):
    masks = torch.zeros(number, HEIGHT, WIDTH, dtype=torch.bool)
    masks[:, 10:20, 10:30] = True
    codes = [mask_api.encode(np.asfortranarray(mask.numpy().astype(np.uint8))) for mask in masks]
    given = {'tensor': masks, 'array': masks.numpy(), 'RLE': codes}[form]
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
    result = inferencer.pred2dict(DetDataSample(pred_instances=instances))
    assert set(result) == {'bboxes', 'labels', 'class_names', 'scores', 'file_name'}


def test_refused_images(folder, inferencer, tmp_path):
    with pytest.raises(MissingFileError, match='nowhere.jpg'):
        inferencer('nowhere.jpg')
    (tmp_path / 'empty/sub').mkdir(parents=True)
    with pytest.raises(InputError, match='no image in the folder.*--recursive'):
        inferencer(str(tmp_path / 'empty'))
    content = (folder / 'images/b.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match='cut.png'):
        inferencer(str(tmp_path))
    (tmp_path / 'cut.png').write_bytes(content[:40] + bytes(len(content) - 80) + content[-40:])
    with pytest.raises(ImageError, match='cut.png'):  # the decoder finds out
        inferencer(str(tmp_path))
    assert inferencer([]) == {'predictions': [], 'visualization': [], 'failed': []}


def test_a_bad_image_does_not_stop_the_others(folder, inferencer, tmp_path, capsys):
    good = mmcv.imread(folder / 'images/b.png')
    (tmp_path / '1.jpg').write_bytes(b'no image')
    mmcv.imwrite(good, str(tmp_path / '2.png'))
    mmcv.imwrite(np.zeros((6000, 9, 3), np.uint8), str(tmp_path / '3.png'))
    mmcv.imwrite(good[::-1], str(tmp_path / '4.png'))
    images = [tmp_path / '1.jpg', tmp_path / '2.png', tmp_path / '3.png', tmp_path / '5.png', tmp_path / '4.png', None]
    out = tmp_path / 'outputs'
    results = inferencer(images, batch_size=2, out_dir=out, no_save_pred=False, return_vis=True)
    predictions = results['predictions']
    assert [prediction is None for prediction in predictions] == [True, False, True, True, False, True]
    assert [drawing is None for drawing in results['visualization']] == [p is None for p in predictions]
    assert predictions[1]['file_name'] == str(images[1]) and predictions[4]['file_name'] == str(images[4])
    assert [position for position, _ in results['failed']] == [0, 2, 3, 5]
    error = capsys.readouterr().err
    for name in ('1.jpg', '3.png of 9 x 6000 pixels', "5.png'", 'NoneType', '4 of 6 images failed'):
        assert name in error
    assert sorted(path.name for path in out.rglob('*.*')) == ['2.json', '2.png', '4.json', '4.png']


def test_names_that_clash():
    def names(*sources):
        return [tuple(pair) for pair in result_names(sources)]

    assert names('a.jpg', 'x/b.PNG', 'c.pgm') == [('a.json', 'a.jpg'), ('b.json', 'b.PNG'), ('c.json', 'c.pgm.png')]
    assert names('x/scan.jpg', 'x/scan.png', 'x/b.png') == [
        ('scan.jpg.json', 'scan.jpg'),
        ('scan.png.json', 'scan.png'),
        ('b.json', 'b.png'),
    ]
    assert names('a/1.png', 'b/1.png') == [('a_1.png.json', 'a_1.png'), ('b_1.png.json', 'b_1.png')]
    assert names('a/1.png', 'a/1.png') == [('1.json', '1.png')] * 2
    assert result_names([b'', b''], 3)[1] == ('00000004.json', '00000004.jpg')
    assert names('a/../1.png', '../b/1.png')[1] == ('b_1.png.json', 'b_1.png')
    assert names('http://host/a.jpg?size=1')[0] == ('a.json', 'a.jpg')
    hard = ['A.jpg', 'a.jpg', 'x_1.png', 'x/1.png', '1.png', '/1.png', 'a.pgm', 'a.pgm.png', 'a', 'a.png', b'', '0.jpg']
    found = [name.lower() for pair in result_names(hard) for name in pair]
    assert len(set(found)) == 2 * len(hard)


def test_results_with_equal_names_are_all_kept(folder, inferencer, tmp_path):
    image = mmcv.imread(folder / 'images/b.png')
    for name in ('scan.jpg', 'scan.png', 'one/cam.png', 'two/cam.png'):
        mmcv.imwrite(image, str(tmp_path / 'in' / name))
    images = list_images(tmp_path / 'in', recursive=True)
    assert [str(Path(i).relative_to(tmp_path / 'in')) for i in images] == [
        'scan.jpg', 'scan.png', 'one/cam.png', 'two/cam.png',
    ]  # fmt: skip
    inferencer(images, out_dir=tmp_path / 'out', no_save_pred=False)
    drawn = ['one_cam.png', 'scan.jpg', 'scan.png', 'two_cam.png']
    assert sorted(path.name for path in (tmp_path / 'out/vis').iterdir()) == drawn
    written = {path.name: json.loads(path.read_text())['file_name'] for path in (tmp_path / 'out/preds').iterdir()}
    assert sorted(written) == [f'{name}.json' for name in drawn] and set(written.values()) == set(images)


def test_forms_of_images():
    bgr = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    gray = bgr[..., 0]
    png = cv2.imencode('.png', bgr)[1].tobytes()
    rgba = np.dstack([bgr[..., ::-1], gray])
    for source in (
        bgr,
        np.dstack([bgr, gray]),
        bgr.astype(np.uint16) * 257,
        png,
        bytearray(png),
        cv2.imencode('.png', np.dstack([bgr, gray]))[1].tobytes(),
        cv2.imencode('.tiff', bgr.astype(np.uint16) * 257)[1].tobytes(),
        Image.fromarray(bgr[..., ::-1]),
        Image.fromarray(rgba),
        np.asfortranarray(bgr),
    ):
        found = read_image(source)
        np.testing.assert_array_equal(found, bgr)
        assert found.dtype == np.uint8 and found.flags['C_CONTIGUOUS']
    for source in (gray, gray[..., None], cv2.imencode('.png', gray)[1].tobytes(), Image.fromarray(gray)):
        np.testing.assert_array_equal(read_image(source), np.dstack([gray] * 3))
    one_bit = Image.fromarray(gray).convert('1')
    assert set(np.unique(read_image(one_bit))) == {0, 255}


@pytest.mark.parametrize(
    ('source', 'words'),
    [
        (None, 'NoneType is no image'),
        (torch.zeros(3, 8, 8), 'permute'),
        (np.zeros((0, 0, 3), np.uint8), 'empty'),
        (np.zeros((3, 20, 30), np.uint8), r'\(3, 20, 30\)'),
        (np.zeros((2, 20, 30, 3), np.uint8), 'shape'),
        (np.zeros((20, 30, 3), bool), 'bool values'),
        (np.zeros((20, 30, 3), np.float32), 'float32 values'),
        (np.full((20, 30), 4095, np.uint16), '16 bits.*4095'),
        (cv2.imencode('.png', np.full((20, 30, 3), 4095, np.uint16))[1].tobytes(), '16 bits.*4095'),
        (cv2.imencode('.tiff', np.full((20, 30), 200, np.float32))[1].tobytes(), 'float32 values'),
        (Image.fromarray(np.full((20, 30), 1.5, np.float32)), 'float32 values'),
        (b'', 'is empty'),
        (b'GIF', 'no image'),
        ('', 'no image'),
        ('/dev/null', 'ordinary file'),
        ('nothing://host/a.jpg', 'cannot be fetched'),
        (7, 'int is no image'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_what_is_no_image_is_refused_in_one_sentence(source, words):
    with pytest.raises((ImageError, MissingFileError), match=words) as caught:
        read_image(source)
    assert '\n' not in str(caught.value)


def test_arrays_are_drawn_in_their_own_colors(inferencer):
    blue = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    blue[..., 0] = 200  # BGR
    (drawing,) = inferencer(blue, return_vis=True, pred_score_thr=1)['visualization']
    assert (drawing == (0, 0, 200)).all()  # RGB


def test_the_limit_of_objects_is_told_once_and_can_be_raised(folder, capsys):
    config, weights = str(folder / 'tiny.py'), str(folder / 'weights.pth')
    ours = CenterMaskInferencer(config, weights, 'cpu', show_progress=False)
    found = ours(str(folder / 'images'))['predictions']
    assert len(found[0]['scores']) == len(found[1]['scores']) == 5
    note = capsys.readouterr().err
    assert '2 of 2 images reached the limit of 5 objects' in note and 'model.test_cfg.max_per_img=50' in note
    ours(str(folder / 'images'))
    assert 'limit' not in capsys.readouterr().err
    options = {'model.test_cfg.max_per_img': 50}
    for model in (config, Config.fromfile(config)):
        more = CenterMaskInferencer(model, weights, 'cpu', show_progress=False, cfg_options=options)
        assert len(more(str(folder / 'images/b.png'))['predictions'][0]['scores']) > 5


def test_weights_without_names_get_those_of_the_config(folder, tmp_path):
    torch.save(dict(state_dict=torch.load(folder / 'weights.pth')['state_dict']), tmp_path / 'bare.pth')
    bare = CenterMaskInferencer(str(folder / 'tiny.py'), str(tmp_path / 'bare.pth'), 'cpu', show_progress=False)
    check_prediction(bare(str(folder / 'images/b.png'))['predictions'][0])


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(batch_size=0), '--batch-size is 0'),
        (dict(batch_size=1.5), '--batch-size is 1.5'),
        (dict(pred_score_thr=5), '--pred-score-thr is 5'),
        (dict(pred_score_thr=float('nan')), '--pred-score-thr is nan'),
        (dict(out_dir=__file__), 'cannot write to'),
        (dict(out_dir=f'{__file__}/sub'), 'cannot write to'),
    ],
)
def test_refused_options(options, words, folder, inferencer):
    with pytest.raises(InputError, match=words):
        inferencer(str(folder / 'images/b.png'), **options)


@pytest.mark.parametrize('device', ['foo', 'cuda', 'cuda:0', 'cuda:x', 'meta'])
def test_a_device_that_is_not_there(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(InputError, match=device) as caught:
        CenterMaskInferencer('nowhere.py', 'nowhere.pth', device)
    assert 'cpu' in str(caught.value)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    check_device('cuda:1')
    with pytest.raises(InputError, match='cuda:2'):
        check_device('cuda:2')


def test_a_package_that_a_config_needs(folder, tmp_path):
    config = tmp_path / 'needs.py'
    config.write_text(f"_base_ = '{folder}/tiny.py'\ncustom_imports = dict(imports=['no_such_package.models'])\n")
    with pytest.raises(InputError, match='needs.py needs the package no_such_package'):
        CenterMaskInferencer(str(config), str(folder / 'weights.pth'), 'cpu')


def test_refused_models(folder, tmp_path):
    config, weights = str(folder / 'tiny.py'), str(folder / 'weights.pth')
    with pytest.raises(MissingFileError, match='nowhere.py'):
        CenterMaskInferencer('nowhere.py', weights)
    (tmp_path / 'empty.json').write_text('{}')
    with pytest.raises(ConfigError, match='empty.json has no model'):
        CenterMaskInferencer(str(tmp_path / 'empty.json'), weights)
    with pytest.raises(MissingFileError, match='there is no config no_model, and no model of this name'):
        CenterMaskInferencer('no_model')
    with pytest.raises(MissingFileError, match='nowhere.pth'):
        CenterMaskInferencer(Path(config), Path('nowhere.pth'))
    state = torch.load(weights)['state_dict']
    torch.save({'state_dict': {k: v for k, v in state.items() if 'neck' not in k}}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=r'other.pth is of another model.*neck'):
        CenterMaskInferencer(config, str(tmp_path / 'other.pth'), device='cpu')


def demo(folder, out, *images, weights='weights.pth', more=()):
    args = [*images, folder / 'tiny.py', '--weights', folder / weights, '--out-dir', out, '--device', 'cpu', *more]
    return run_tool('demo/image_demo.py', *args)


def test_image_demo(folder, tmp_path, capsys):
    out = tmp_path / 'outputs'
    assert demo(folder, out, folder / 'images', more=['--pred-score-thr', 0.0]) == 0
    found = sum(len(json.loads(path.read_text())['scores']) for path in out.rglob('*.json'))
    printed, error = capsys.readouterr()
    assert printed.count('\n') == 1 and f'2 image(s), {found} object(s)' in printed and found > 0
    assert 'limit of 5 objects' in error
    assert sorted(path.name for path in out.rglob('*') if path.is_file()) == ['a.JPG', 'a.json', 'b.json', 'b.png']
    check_prediction(json.loads((out / 'preds/b.json').read_text()))
    assert not np.array_equal(mmcv.imread(out / 'vis/b.png'), mmcv.imread(folder / 'images/b.png'))


def test_image_demo_takes_lists_and_folders_in_folders(folder, tmp_path, capsys):
    inside = tmp_path / 'in'
    (inside / 'sub').mkdir(parents=True)
    shutil.copy(folder / 'images/b.png', inside / 'sub/c.png')
    (inside / 'bad.jpg').write_bytes(b'')
    more = ['--recursive', '--fast', '--cfg-options', 'model.test_cfg.max_per_img=3']
    for _ in range(2):  # the drawings of the first run, which lie in the input folder, are no images for the second
        assert demo(folder, inside / 'out', folder / 'images/a.JPG', inside, more=more) == 1
        printed, error = capsys.readouterr()
        assert '2 image(s)' in printed and 'bad.jpg' in error and 'error: 1 of 3 images failed' in error
        found = {path.name: json.loads(path.read_text()) for path in (inside / 'out').rglob('*.json')}
        assert {name: len(result['scores']) for name, result in found.items()} == {'a.json': 3, 'c.json': 3}


@pytest.mark.parametrize(
    ('image', 'weights', 'more', 'words'),
    [
        ('b.png', 'none.pth', [], 'no checkpoint'),
        ('none.png', 'weights.pth', [], 'no image'),
        ('notes.txt', 'weights.pth', [], 'notes.txt cannot be decoded'),
        ('b.png', 'weights.pth', ['--batch-size', 0], '--batch-size'),
        ('b.png', 'weights.pth', ['--device', 'foo'], 'foo'),
    ],
)
def test_image_demo_refuses(image, weights, more, words, folder, tmp_path, capsys):
    assert demo(folder, tmp_path / 'outputs', folder / 'images' / image, weights=weights, more=more) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1 and words in error
    assert not (tmp_path / 'outputs').exists()
