"""Export: the graph answers as the model does, a file that does not is not written, what cannot be written is named."""

import copy
import json
import re
from dataclasses import replace

import cv2
import exported  # which puts the packages of exported models on the path
import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from mmdet.models.dense_heads import ATSSHead
from mmdet.structures import DetDataSample
from mmengine.config import Config
from official_case import build_model, known_answers
from tiny_run import run_tool

from conftest import CONFIGS, build, small_config
from mmcentermask import prepare_for_inference
from mmcentermask.errors import InputError
from mmcentermask.export.describe import describe_model
from mmcentermask.export.end_to_end import EndToEnd, check_exportable
from mmcentermask.export.metadata import ExportMetadata
from mmcentermask.export.verify import Comparison, compare, images_to_compare
from mmcentermask.runtime.exported_model import ExportedModel
from mmcentermask.structures import Instances, decode_segment_ids

LITE = 'centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x'
V1_LITE = 'v1/centermask_M_v2_FPN_lite_res600_ms_bs16_4x'
DCN = 'centermask_V_39_eSE_dcn_FPN_ms_3x'
R50 = 'centermask_R_50_FPN_ms_3x'
PANOPTIC = 'panoptic_centermask_V_39_eSE_FPN_ms_3x'

# Of the table in docs/operators.md of github.com/onnx/onnx-tensorrt, for TensorRT 8.5; DeformConv since 10.1.
TENSORRT = {
    'Add', 'And', 'Cast', 'Ceil', 'Clip', 'Concat', 'Constant', 'ConstantOfShape', 'Conv', 'ConvTranspose',
    'DeformConv', 'DequantizeLinear', 'Div', 'Equal', 'Exp', 'Expand', 'Flatten', 'Gather', 'GatherElements',
    'GatherND', 'Gemm', 'Greater', 'HardSigmoid', 'Identity', 'InstanceNormalization', 'IsNaN', 'Less', 'Log',
    'MatMul', 'MaxPool', 'Min', 'Mod', 'Mul', 'Neg', 'NonMaxSuppression', 'NonZero', 'Pad', 'Pow',
    'QuantizeLinear', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'Relu', 'Reshape', 'Resize', 'RoiAlign', 'Shape',
    'Sigmoid', 'Slice', 'Split', 'Squeeze', 'Sub', 'TopK', 'Transpose', 'Unsqueeze', 'Where',
}  # fmt: skip


def two_images(name):
    """An image of a case and its mirror image, uint8 (2, 3, H, W), and the model of the case."""
    image = torch.from_numpy(known_answers(name)['image/0']).permute(2, 0, 1).to(torch.uint8)
    return torch.stack([image, image.flip(2)]), build_model(name)


def thresholds(model):
    cfg = model.test_cfg
    return torch.tensor([cfg.score_thr]), torch.tensor([cfg.nms.iou_threshold]), torch.tensor([cfg.max_per_img])


def predict(model, images):
    """What the model finds: a sample an image, boxes in pixels of the images, and all mask maps, (K, 28, 28)."""
    height, width = images.shape[2:]
    meta = dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0))
    model.roi_head.test_cfg.mask_format = 'rle'
    maps, predict_maps = [], model.roi_head.predict_maps

    def recorded(*args):
        outputs = predict_maps(*args)
        maps.extend(logits[:, 0].sigmoid() for logits in outputs[0])
        return outputs

    model.roi_head.predict_maps = recorded
    samples = [DetDataSample(metainfo=meta) for _ in images]
    with torch.no_grad():
        return model.test_step(dict(inputs=list(images), data_samples=samples)), torch.cat(maps).numpy()


def assert_equal(outputs, prediction, legacy_offset):
    samples, maps = prediction
    boxes, scores, mask_scores, labels, image_index, masks = (np.asarray(values) for values in outputs)
    assert masks.shape == maps.shape == (40, 28, 28) and np.abs(masks - maps).max() < 1e-4
    for i, sample in enumerate(samples):
        expected, here = sample.pred_instances, image_index == i
        assert len(expected) == here.sum() == 20
        assert np.array_equal(expected.labels, labels[here])
        # the model adds the legacy offset at the very end
        assert np.abs(expected.bboxes.numpy() - [0, 0, legacy_offset, legacy_offset] - boxes[here]).max() < 0.01
        assert np.abs(expected.scores.numpy() - scores[here]).max() < 1e-4
        assert np.abs(expected.get('mask_scores', expected.scores).numpy() - mask_scores[here]).max() < 1e-4


@pytest.mark.parametrize('name', [LITE, V1_LITE])
def test_end_to_end_gives_what_the_model_gives(name):
    images, model = two_images(name)
    with torch.no_grad():
        outputs = EndToEnd(copy.deepcopy(model)).eval()(images, *thresholds(model))
    assert_equal(outputs, predict(model, images), legacy_offset=int(name == V1_LITE))


@pytest.mark.slow
@pytest.mark.parametrize('name', [V1_LITE, DCN, R50])
def test_onnx_gives_what_the_model_gives(name):
    onnxruntime = pytest.importorskip('onnxruntime')
    from mmcentermask.export.onnx_graph import to_onnx

    images, model = two_images(name)
    cfg = Config.fromfile(CONFIGS / 'centermask_r50_fpn_ms-3x_coco.py')
    model.dataset_meta = dict(classes=[str(i) for i in range(80)])
    graph = to_onnx(model, describe_model(model, cfg))
    assert graph.opset_import[0].version == (19 if name == DCN else 17)
    assert {node.op_type for node in graph.graph.node} <= TENSORRT
    if name == DCN:
        assert_refused_by_openvino(graph)
        with pytest.raises(InputError, match='--opset is 17: ONNX has DeformConv, .* from 19 on'):
            to_onnx(model, describe_model(model, cfg), opset=17)
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    assert_equal(session.run(None, {'images': images.numpy()}), predict(model, images), int(name == V1_LITE))
    # a batch and a size that were not traced, and no object at all
    (one,) = {len(values) for values in session.run(None, {'images': images[:1, :, :-33, :-7].numpy()})}
    assert one > 0
    nothing = session.run(None, {'images': images.numpy(), 'score_thr': np.array([0.999], np.float32)})
    assert [len(values) for values in nothing] == [0] * 6


def assert_refused_by_openvino(graph):
    pytest.importorskip('openvino')
    from mmcentermask.export.export_model import _to_openvino

    with pytest.raises(InputError, match='OpenVINO has no DeformConv'):
        _to_openvino(graph)


def write_small(folder, config, case, test_cfg):
    """Write a config of small images, and a checkpoint with the weights of a case; return both."""
    small, checkpoint = folder / 'small.py', folder / 'small.pth'
    small.write_text(
        f"_base_ = '{CONFIGS}/{config}.py'\n"
        "resize = dict(type='Resize', scale=(160, 128), keep_ratio=True)\n"
        "pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackDetInputs')]\n"
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
        f'model = dict(test_cfg={test_cfg})\n'
    )
    torch.save(dict(state_dict=build_model(case).state_dict()), checkpoint)
    return small, checkpoint


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Of a model that finds something everywhere."""
    folder = tmp_path_factory.mktemp('export')
    return write_small(folder, 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco', LITE, dict(max_per_img=20))


def run_export(checkpoint, *args):
    return run_tool('tools/export.py', *checkpoint, *args)


def test_onnx_file(checkpoint, tmp_path, capsys):
    onnx, onnxruntime = (pytest.importorskip(name) for name in ('onnx', 'onnxruntime'))
    from mmcentermask import Segmenter

    out = tmp_path / 'tiny.onnx'
    assert run_export(checkpoint, '--out', out) == 0
    assert f'written: {out} (fp32' in capsys.readouterr().out
    (prop,) = onnx.load(out, load_external_data=False).metadata_props
    metadata = ExportMetadata.from_json(prop.value, str(out))
    assert (
        metadata.classes[:2] == ['person', 'bicycle'] and metadata.scale == [160, 128] and metadata.precision == 'fp32'
    )
    found = metadata.verification
    assert found['objects'] == 160 and found['matched'] >= 144
    assert found['box'] < 0.1 and found['score'] < 1e-3 and found['mask_iou'] >= 0.99
    # thresholds are inputs with defaults
    segmenter = Segmenter(out, max_per_img=3)
    assert len(segmenter.predict(images_to_compare(None)[0], threshold=0)) == 3
    assert {node.op_type for node in onnx.load(out).graph.node} <= TENSORRT


@pytest.mark.slow
def test_openvino_file_of_one_size(checkpoint, tmp_path):
    pytest.importorskip('onnx')
    openvino = pytest.importorskip('openvino')
    out = tmp_path / 'small.xml'
    assert run_export(checkpoint, '--format', 'openvino', '--static', 128, 160, '--batch', 2, '--out', out) == 0
    model = openvino.Core().read_model(out)
    assert list(model.input('images').shape) == [2, 3, 128, 160]
    metadata = ExportMetadata.from_json(model.get_rt_info(['mmcentermask']).astype(str), str(out))
    assert (metadata.static_shape, metadata.batch) == ([128, 160], 2)
    assert metadata.verification['objects'] == 160 and metadata.verification['box'] < 0.1


@pytest.fixture(scope='module')
def panoptic(tmp_path_factory):
    folder = tmp_path_factory.mktemp('panoptic')
    test_cfg = dict(max_per_img=20, panoptic=dict(score_thr=0.05, stuff_area_limit=64))
    return write_small(folder, 'panoptic-centermask_v39-ese_fpn_ms-3x_coco', PANOPTIC, test_cfg)


@pytest.mark.slow
def test_a_panoptic_file_gives_the_same_map(panoptic, tmp_path, capsys):
    pytest.importorskip('onnx'), pytest.importorskip('onnxruntime')
    from mmcentermask import Segmenter

    out, image = tmp_path / 'panoptic.onnx', images_to_compare(None)[0]
    assert run_export(panoptic, '--out', out) == 0
    assert 'pixels of another class' in capsys.readouterr().out
    expected = Segmenter(*panoptic).predict(image, threshold=0)
    for backend in ('onnxruntime', 'openvino'):
        pytest.importorskip(backend)
        found = Segmenter(out, backend=backend).predict(image, threshold=0)
        labels = {segment['label'] for segment in found.segments_info}
        assert min(labels) < 80 <= max(labels) and len(labels) > 3
        assert (found.segment_ids != expected.segment_ids).mean() < 1e-3
        assert sum(segment['area'] for segment in found.segments_info) == (found.segment_ids > 0).sum()
    found.save(tmp_path / 'ids.png', form='panoptic')
    assert np.array_equal(decode_segment_ids((tmp_path / 'ids.png').read_bytes()), found.segment_ids)
    assert found.draw(image).shape == image.shape
    with pytest.raises(InputError, match='cannot hold segments: give a .png file'):
        found.save(tmp_path / 'ids.jpg', form='panoptic')


@pytest.mark.slow
def test_int8_of_a_panoptic_model_is_refused(panoptic, annotated, tmp_path, capsys):
    pytest.importorskip('onnx'), pytest.importorskip('onnxruntime')
    assert run_export(panoptic, '--int8', '--data', annotated, '--out', tmp_path / 'a.onnx') == 1
    assert 'int8 is for instance segmentation alone' in capsys.readouterr().err


def test_a_file_that_differs_is_not_written(checkpoint, tmp_path, monkeypatch, capsys):
    pytest.importorskip('onnx'), pytest.importorskip('onnxruntime')
    from mmcentermask.export import end_to_end

    # as an export would that knew nothing of centerness
    monkeypatch.setattr(end_to_end.EndToEnd, '_candidates', without_centerness(end_to_end.EndToEnd._candidates))
    assert run_export(checkpoint, '--out', tmp_path / 'wrong.onnx') == 1
    assert 'the exported model does not give the results of PyTorch' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def without_centerness(candidates):
    def changed(self, *args):
        boxes, scores, labels = candidates(self, *args)
        return boxes, torch.where(scores > 0, scores**2, scores), labels

    return changed


@pytest.fixture(scope='module')
def annotated(checkpoint, tmp_path_factory):
    """A folder of images in COCO's format, whose objects are what the model finds, so that its mask AP is near 1."""
    from mmcentermask.apis.torch_model import TorchModel

    folder = tmp_path_factory.mktemp('annotated')
    model = TorchModel(*checkpoint, 'cpu')
    content = dict(images=[], annotations=[], categories=[dict(id=i + 1, name=n) for i, n in enumerate(model.classes)])
    for i, image in enumerate(images_to_compare(None, 3)):
        cv2.imwrite(str(folder / f'{i}.png'), image)
        (found,) = model.run([model.load(image)])
        coco = found.to_coco(i)
        content['images'].append(dict(coco['images'][0], file_name=f'{i}.png'))
        content['annotations'] += [{**a, 'id': 1000 * i + a['id']} for a in coco['annotations']]
    (folder / 'annotations.json').write_text(json.dumps(content))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('file_format, package', [('onnx', 'onnxruntime'), ('openvino', 'nncf')])
def test_int8_is_held_to_a_floor_of_mask_ap(checkpoint, annotated, tmp_path, capsys, file_format, package):
    pytest.importorskip('onnx'), pytest.importorskip(package)
    out = tmp_path / f'int8{".onnx" if file_format == "onnx" else ".xml"}'
    args = ['--format', file_format, '--int8', '--data', annotated, '--out', out]
    assert run_export(checkpoint, *args, '--max-drop', 0) == 1
    assert re.search(r'error: int8 loses 0\.\d+ mask AP, and 0\.0 is allowed', capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
    assert run_export(checkpoint, *args, '--max-drop', 1, *(['--symmetric'] if file_format == 'onnx' else [])) == 0
    metadata = ExportedModel(str(out), threads=1).metadata
    assert metadata.precision == 'int8' and metadata.verification['images'] == 3
    assert metadata.verification['mask_ap'] > metadata.verification['mask_ap_int8']
    if file_format == 'onnx':
        assert_for_tensorrt(pytest.importorskip('onnx').load(out).graph)


def assert_for_tensorrt(graph):
    """Its operators are in the parser's table, and zero points are 0."""
    onnx = pytest.importorskip('onnx')
    assert {node.op_type for node in graph.node} <= TENSORRT
    weights = {weight.name: onnx.numpy_helper.to_array(weight) for weight in graph.initializer}
    zero_points = [weights[node.input[2]] for node in graph.node if node.op_type == 'QuantizeLinear']
    assert zero_points and not any(zero_point.any() for zero_point in zero_points)


@pytest.mark.parametrize(
    'args, message',
    [
        (['--static', 31, 64], 'give 32 pixels or more'),
        (['--int8'], 'name their folder with --data'),
        (['--symmetric'], 'give it with --int8'),
        (['--out', 'a.xml'], r'a file of this format ends with \.onnx'),
        (['--batch', 0], '--batch is 0: give 1 or more'),
        (['--max-drop', -1], '--max-drop is -1.0: give 0 or more'),
        (['--calibration-images', 0], '--calibration-images is 0: give 1 or more'),
        (['--opset', 11], 'RoIAlign, as this model needs it, from 16 on'),
        (['--opset', 99], '20 is the newest here'),
        (['--data', 'nowhere'], 'there is no image'),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(checkpoint, tmp_path, capsys, args, message):
    pytest.importorskip('onnx'), pytest.importorskip('onnxruntime')
    out = [] if '--out' in args else ['--out', tmp_path / 'a.onnx']
    assert run_export(checkpoint, *out, *args) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, line)
    assert list(tmp_path.iterdir()) == []


def test_folders_without_images_or_annotations(checkpoint, tmp_path, capsys):
    pytest.importorskip('onnx'), pytest.importorskip('onnxruntime')
    data, out = tmp_path / 'data', tmp_path / 'a.onnx'
    data.mkdir()
    assert run_export(checkpoint, '--data', data, '--out', out) == 1
    assert f'there is no image in the folder {data}' in capsys.readouterr().err
    cv2.imwrite(str(data / 'a.png'), np.zeros((64, 64, 3), np.uint8))
    assert run_export(checkpoint, '--data', data, '--int8', '--out', out) == 1
    assert f'there is no annotation file in {data}' in capsys.readouterr().err
    category, image = dict(id=1, name='unicorn'), dict(id=1, file_name='a.png', width=64, height=64)
    annotation = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 9, 9], segmentation=[[0, 0, 9, 0, 9, 9]], area=40)
    (data / 'a.json').write_text(json.dumps(dict(images=[image], categories=[category], annotations=[annotation])))
    assert run_export(checkpoint, '--data', data, '--int8', '--out', out) == 1
    assert 'has no object of the classes of the model (person, bicycle' in capsys.readouterr().err


def test_models_that_cannot_be_exported_are_named():
    cfg, model = Config.fromfile(CONFIGS / 'centermask_r50_fpn_ms-3x_coco.py'), build(small_config())
    with pytest.raises(
        InputError, match='export writes CenterMask, CenterMaskV1 and PanopticCenterMask alone, and this is a Linear'
    ):
        check_exportable(torch.nn.Linear(1, 1))
    cfg.test_dataloader.dataset.pipeline[1].type = 'Pad'
    with pytest.raises(InputError, match='changes images by Pad: export knows Resize alone'):
        describe_model(model, cfg)
    with pytest.raises(InputError, match='prepared for inference: give it the trained one'):
        check_exportable(prepare_for_inference(model))
    model.test_cfg.nms.type = 'soft_nms'
    with pytest.raises(InputError, match='test_cfg.nms of type soft_nms cannot be exported: only nms'):
        check_exportable(model)
    model.bbox_head = ATSSHead(3, 8)
    with pytest.raises(InputError, match='the bbox_head ATSSHead cannot be exported: only CenterMaskHead'):
        check_exportable(model)


def test_metadata_of_others_and_of_the_future_are_refused():
    metadata = exported.METADATA
    assert ExportMetadata.from_json(metadata.to_json(), 'a.onnx') == metadata
    for text in (None, '', '[]', '{}', 'no JSON'):
        with pytest.raises(InputError, match='a.onnx was not exported by mmcentermask'):
            ExportMetadata.from_json(text, 'a.onnx')
    newer = replace(metadata, format_version=2, package_version='9.0')
    with pytest.raises(InputError, match='export format 2, .* install mmcentermask 9.0 or newer'):
        ExportMetadata.from_json(newer.to_json(), 'a.onnx')


def found(boxes, scores, labels=None, mask_scores=None):
    """Objects of an image of 40 x 40 pixels whose masks fill their boxes."""
    masks = np.zeros((40, 40, len(boxes)), np.uint8, order='F')
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        masks[y1:y2, x1:x2, i] = 1
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Instances(
        boxes, labels, np.array(scores, np.float32), mask_util.encode(masks), 40, 40, ('a', 'b'), mask_scores
    )


BOXES = [(0, 0, 10, 10), (20, 20, 30, 40)]


def test_comparison_by_hand():
    expected = found(BOXES, [0.9, 0.5])
    assert compare(expected, expected) == Comparison(objects=2, matched=2)
    # in another order, with a box half a pixel wider and a score lower by 0.25
    other = expected[[1, 0]]
    other.boxes[0, 2] += 0.5
    other.scores[1] -= 0.25
    assert compare(expected, other) == Comparison(objects=2, matched=2, box=0.5, score=0.25)
    assert not compare(expected, other).equal
    # 20 of the second mask's 200 pixels are not there
    smaller = replace(expected, rle=found([BOXES[0], (20, 20, 30, 38)], [0.9, 0.5]).rle)
    assert compare(expected, smaller) == Comparison(objects=2, matched=2, iou=0.9)
    # another label, another place: each is missing on one side and too many on the other
    assert compare(expected, found(BOXES, [0.9, 0.5], labels=[1, 0])) == Comparison(objects=2, matched=1, missing=2)
    assert compare(expected, found([], [])) == Comparison(objects=2, matched=0, missing=2)
    assert not compare(expected, expected[:1]).equal


def test_comparison_excuses_what_rounding_decides():
    # both lists are cut behind the second object, which is another one of an equal score
    expected, other = found(BOXES, [0.9, 0.5]), found([BOXES[0], (0, 20, 10, 30)], [0.9, 0.5])
    assert compare(expected, other) == Comparison(objects=2, matched=1)
    # but no more than a tenth of the objects may be
    assert not compare(expected, other).equal
    # NMS kept the other one of two that overlap
    expected, other = found([(0, 0, 20, 20), BOXES[1]], [0.9, 0.5]), found([(0, 0, 20, 17), BOXES[1]], [0.9, 0.5])
    assert compare(expected, other) == Comparison(objects=2, matched=1)
    other.scores[0] = 0.8
    assert compare(expected, other) == Comparison(objects=2, matched=1, missing=2)
