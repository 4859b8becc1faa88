"""Exported files for tests of the runtime: of a model, and graphs whose outputs are constants."""

from dataclasses import replace

import numpy as np
import pytest

from mmcentermask.apis import CenterMaskInferencer
from mmcentermask.export.metadata import FORMAT_VERSION, KEY, ExportMetadata

METADATA = ExportMetadata(
    format_version=FORMAT_VERSION,
    package_version='0.1.0',
    task='instance',
    classes=['cat', 'dog'],
    color_order='BGR',
    mean=[1.0, 2.0, 3.0],
    std=[1.0, 1.0, 1.0],
    resize='opencv',
    scale=[128, 64],
    keep_ratio=True,
    score_thr=0.05,
    iou_thr=0.6,
    max_per_img=50,
    mask_thr=0.5,
    mask_scoring=True,
    pasting='bilinear',
    legacy_box_offset=False,
)


def write_constants(
    path, metadata=METADATA, text=None, index=(0,), boxes=((20.0, 10.0, 60.0, 50.0),), maps=None, **more
):
    """Write an ONNX file that finds the same boxes in any images: the first a dog of 0.9, the others cats of 0.4."""
    onnx = pytest.importorskip('onnx')
    number = len(boxes)
    outputs = dict(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([0.9, *[0.4] * number][:number], np.float32),
        mask_scores=np.array([0.8, *[0.2] * number][:number], np.float32),
        labels=np.array([1, *[0] * number][:number]),
        image_index=np.array(index, np.int64),
        masks=np.ones((number, 28, 28), np.float32) if maps is None else maps,
    )
    helper = onnx.helper
    types = {np.dtype(np.float32): onnx.TensorProto.FLOAT, np.dtype(np.int64): onnx.TensorProto.INT64}
    graph = helper.make_graph(
        [
            helper.make_node('Constant', [], [name], value=onnx.numpy_helper.from_array(value))
            for name, value in outputs.items()
        ],
        'constants',
        [helper.make_tensor_value_info('images', onnx.TensorProto.UINT8, ['N', 3, 'H', 'W'])],
        [
            helper.make_tensor_value_info(name, types[value.dtype], [None] * value.ndim)
            for name, value in outputs.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    helper.set_model_props(model, {KEY: replace(metadata, **more).to_json() if text is None else text})
    onnx.save(model, str(path))
    return str(path)


def write_model(path, config, weights):
    """Write the ONNX file of a model, without a comparison."""
    onnx = pytest.importorskip('onnx')
    from mmcentermask.export.describe import describe_model
    from mmcentermask.export.onnx_graph import to_onnx

    inferencer = CenterMaskInferencer(config, weights, 'cpu', show_progress=False)
    onnx.save(to_onnx(inferencer.model, describe_model(inferencer.model, inferencer.cfg)), str(path))
    return str(path)
