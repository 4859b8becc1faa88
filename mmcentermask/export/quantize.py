"""Turns exported models into int8 ones, by post-training quantization."""

import logging
import os
import tempfile
from collections.abc import Sequence

import numpy as np
import onnx

_PARTS = ('backbone', 'neck', 'bbox_head', 'mask_head', 'mask_iou_head')


def quantize_onnx(graph: onnx.ModelProto, images: Sequence[np.ndarray], symmetric: bool = False) -> onnx.ModelProto:
    """Quantize the backbone and the large fully connected layers for onnxruntime.

    The other convolutions read features that are summed, normalized or resized in float32, where going to int8 and back
    costs onnxruntime more than it saves.

    The ranges of values are found by ``images``, uint8 (N, 3, H, W), as the graph takes them; with ``symmetric`` they
    lie around zero, as TensorRT wants them. QuantizeLinear and DequantizeLinear stand around what is computed in int8.
    """
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    onnxruntime.set_default_logger_severity(3)  # or it warns of the thresholds' defaults

    inputs = iter([{'images': image} for image in images])

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict | None:
            return next(inputs, None)

    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ('float.onnx', 'int8.onnx')]
        onnx.save(graph, paths[0])
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it asks for a pre-processing that would fix shapes
        try:
            quantize_static(
                *paths,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=[node.name for node in graph.graph.node if _is_for_onnxruntime(node)],
                extra_options=dict(ActivationSymmetric=symmetric),
            )
        finally:
            logging.disable(level)
        return onnx.load(paths[1])


def _is_for_onnxruntime(node: onnx.NodeProto) -> bool:
    if '/backbone/' in node.name:
        # eSE's few outputs weigh whole channels
        return node.op_type in ('Conv', 'Concat', 'MaxPool') and 'attention' not in node.name
    return node.op_type == 'Gemm' and '/fcs' in node.name


def quantize_openvino(model, images: Sequence[np.ndarray]):
    """Quantize backbone, neck and heads of an ``openvino.Model``; see ``quantize_onnx``."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    ignored = [node.get_friendly_name() for node in model.get_ops() if not _is_for_openvino(node)]
    return nncf.quantize(
        model,
        nncf.Dataset(images),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
    )


def _is_for_openvino(node) -> bool:
    name = node.get_friendly_name()
    if '/mask_head/' in name:  # its attention and its maps, which are cut at a threshold, are too fine for int8
        return node.get_type_name() == 'Convolution'
    return any(f'/{part}/' in name for part in _PARTS)
