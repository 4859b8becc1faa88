"""Turns an ONNX graph into an OpenVINO model."""

import tempfile
from pathlib import Path

import onnx
import openvino

from ..errors import ExportError
from .metadata import KEY, ExportMetadata

__all__ = ['openvino_files', 'to_openvino']


def to_openvino(graph: onnx.ModelProto) -> openvino.Model:
    """Convert a graph; its thresholds become constants, as inputs of OpenVINO have no defaults.

    Raises:
        ExportError: If it has an operator that OpenVINO has not.
    """
    if any(node.op_type == 'DeformConv' for node in graph.graph.node):
        raise ExportError('OpenVINO has no DeformConv, which this model needs: export it with --format onnx.')
    return openvino.Core().read_model(graph.SerializeToString())


def openvino_files(model: openvino.Model, metadata: ExportMetadata, name: str) -> dict[str, bytes]:
    """Return the files ``name``.xml and ``name``.bin of a model with its metadata, by name."""
    model.set_rt_info(metadata.to_json(), [KEY])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f'{name}.xml')
        openvino.save_model(model, path, compress_to_fp16=False)
        return {file.name: file.read_bytes() for file in (path, path.with_suffix('.bin'))}
