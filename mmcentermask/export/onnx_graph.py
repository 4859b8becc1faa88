"""Writes a CenterMask as an ONNX graph."""

import contextlib
import copy
import io
import warnings

import onnx
import torch
from torch import nn

from ..apis.fast_inference import fold_batch_norms
from ..errors import ExportError, InputError
from .end_to_end import EndToEnd
from .metadata import INPUTS, KEY, OUTPUTS, SEMANTIC, ExportMetadata
from .operators import replace_deform_convs

_LEAST_OPSET, _DEFORM_CONV_OPSET, _NEWEST_OPSET = 16, 19, 20  # of RoIAlign with aligned corners, of DeformConv


def to_onnx(model: nn.Module, metadata: ExportMetadata, opset: int | None = None) -> onnx.ModelProto:
    """Write a model as an ONNX graph with ``metadata``, and check it.

    Args:
        model (nn.Module): A CenterMask with its weights, in evaluation mode; not changed.
        metadata (ExportMetadata): Whose ``batch`` and ``static_shape`` fix the shape of the images, and whose
            thresholds become the defaults of the inputs of these names.
        opset (int, optional): Of ONNX. Defaults to 17, to 19 with deformable convolutions.

    Raises:
        InputError: If the model has a part that cannot be written, or ``opset`` is too low or too high.
    """
    model = copy.deepcopy(model)
    fold_batch_norms(model)
    deforms = replace_deform_convs(model)
    least = _DEFORM_CONV_OPSET if deforms else _LEAST_OPSET
    opset = opset or max(least, 17)
    if not least <= opset <= _NEWEST_OPSET:
        what = 'DeformConv, which this model needs,' if deforms else 'RoIAlign, as this model needs it,'
        raise InputError(
            f'--opset is {opset}: ONNX has {what} from {least} on, and {_NEWEST_OPSET} is the newest here.'
        )
    height, width = metadata.static_shape or (96, 160)
    images = torch.randint(0, 256, (metadata.batch or 2, 3, height, width), dtype=torch.uint8)
    options = {name: torch.tensor([getattr(metadata, name)]) for name in INPUTS[1:]}  # the thresholds
    shapes = {name: {0: 'K'} for name in OUTPUTS}
    free = {0: 'N'} if metadata.batch is None else {}
    shapes['images'] = free if metadata.static_shape else {**free, 2: 'H', 3: 'W'}
    if metadata.fusion is not None:
        shapes[SEMANTIC] = free if metadata.static_shape else {**free, 2: 'h', 3: 'w'}
    file = io.BytesIO()
    # where it fails it prints the whole graph
    with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        try:
            # The exporter that traces: it takes 5 s where the one by torch.export takes 25 to 90 s and onnxscript on
            # top, and it names nodes by the modules they are from, by which quantization is told where to keep out.
            torch.onnx.export(
                EndToEnd(model).eval(),
                (images, *options.values()),
                file,
                input_names=list(INPUTS),
                output_names=list(metadata.outputs),
                dynamic_axes=shapes,
                opset_version=opset,
                dynamo=False,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            reason = str(error).strip().splitlines()[0][:300]
            raise ExportError(
                f'torch cannot write a part of this model as ONNX ({reason}): exchange that part, or fix the size of '
                'the images with --static and --batch.'
            ) from error
    graph = onnx.load_from_string(file.getvalue())
    _drop_identities(graph.graph)
    # an input with an initializer of its name has it as its default
    graph.graph.initializer.extend(onnx.numpy_helper.from_array(value.numpy(), name) for name, value in options.items())
    onnx.helper.set_model_props(graph, {KEY: metadata.to_json()})
    onnx.checker.check_model(graph)
    return graph


def _drop_identities(graph: onnx.GraphProto) -> None:
    """Let nodes read weights directly: torch names equal ones once and copies them, which quantizers cannot follow."""
    weights = {weight.name for weight in graph.initializer}
    copies = {n.output[0]: n.input[0] for n in graph.node if n.op_type == 'Identity' and n.input[0] in weights}
    kept = [node for node in graph.node if node.output[0] not in copies]
    del graph.node[:]
    graph.node.extend(kept)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = copies.get(name, name)
