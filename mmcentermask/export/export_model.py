"""From a config and a checkpoint to a file that has been compared with PyTorch."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..analysis.tables import markdown_table
from ..apis.torch_model import TorchModel
from ..atomic_write import write_files
from ..errors import ExportError, InputError
from ..image_inputs import read_image
from ..runtime.exported_model import ExportedModel
from .describe import describe_model
from .metadata import KEY, ExportMetadata
from .onnx_graph import to_onnx
from .quantize import quantize_onnx, quantize_openvino
from .verify import (
    BOX_TOLERANCE,
    LEAST_IOU,
    PIXELS_TOLERANCE,
    SCORE_TOLERANCE,
    Comparison,
    images_to_compare,
    mask_ap,
    read_annotated,
    verify,
)

__all__ = ['export_model', 'open_graph', 'quantize']  # what docs/api.md shows

Graph = Any  # onnx.ModelProto or openvino.Model


def export_model(
    config: str | Path,
    checkpoint: str | Path,
    out: str | Path,
    data: str | Path | None = None,
    int8: bool = False,
    symmetric: bool = False,
    calibration_images: int = 100,
    max_drop: float = 0.01,
    opset: int | None = None,
    static_shape: tuple[int, int] | None = None,
    batch: int | None = None,
    cfg_options: dict[str, Any] | None = None,
    report: Callable[[str], None] = print,
) -> ExportMetadata:
    """Export a trained CenterMask, compare the file with PyTorch, and only then give it its name.

    Args:
        config (str or Path): A config file, or the name of a model.
        checkpoint (str or Path): Its weights.
        out (str or Path): File to write; ``.onnx``, or ``.xml`` for OpenVINO, which writes a ``.bin`` beside it.
        data (str or Path, optional): Images to compare by, a folder. For int8 annotated ones, in COCO's format; a
            COCO annotation file, too. Defaults to None, which draws some images.
        int8 (bool): Quantize. Defaults to False.
        symmetric (bool): Quantize an ONNX file as TensorRT wants it. Defaults to False.
        calibration_images (int): Images of ``data`` to quantize and to measure the mask AP by. Defaults to 100.
        max_drop (float): Mask AP, 0..1, that int8 may lose. Defaults to 0.01.
        opset (int, optional): Of ONNX. Defaults to 17, to 19 with deformable convolutions.
        static_shape (tuple[int, int], optional): Height and width of the images where they shall be fixed.
        batch (int, optional): Number of images where it shall be fixed.
        cfg_options (dict, optional): Parts of the config to override. Defaults to None.
        report (Callable): Is given the table of the comparison and what else there is to tell.

    Returns:
        ExportMetadata: As the file holds them.

    Raises:
        InputError: If the model or an option cannot be used.
        ExportError: If the file does not give PyTorch's results, or int8 loses more mask AP than it may.
    """
    out = Path(out)
    images = images_to_compare(data)
    model = TorchModel(config, checkpoint, 'cpu', cfg_options=cfg_options)
    metadata = describe_model(model.inferencer.model, model.inferencer.cfg)
    metadata.batch, metadata.static_shape = batch, None if static_shape is None else list(static_shape)
    if int8 and metadata.fusion is not None:
        raise InputError(
            'int8 is for instance segmentation alone, as its cost to a panoptic map is not measured: leave --int8 out.'
        )
    annotated = read_annotated(Path(data), metadata.classes, calibration_images) if int8 else None
    graph = to_onnx(model.inferencer.model, metadata, opset)
    with tempfile.TemporaryDirectory() as folder:
        exported = open_graph(graph, metadata, Path(folder, 'float').with_suffix(out.suffix))
        metadata.verification = _check(verify(model, exported, images), metadata.fusion is not None, report)
        if int8:
            calibration = [_batch(exported, read_image(path)) for path in annotated.paths.values()]
            graph = quantize(graph, calibration, out.suffix, symmetric)
            metadata.precision = 'int8'
            quantized = open_graph(graph, metadata, Path(folder, 'int8').with_suffix(out.suffix))
            metadata.verification |= _check_ap(
                mask_ap(exported, annotated), mask_ap(quantized, annotated), max_drop, len(annotated.paths), report
            )
        write_files(out.parent, _files(graph, metadata, out), '--out')
    return metadata


def open_graph(graph: Graph, metadata: ExportMetadata, path: Path, threads: int | None = None) -> ExportedModel:
    """Write a graph, of ONNX or OpenVINO, to a file, ``.onnx`` or ``.xml``, and open it, as the runtime does."""
    write_files(path.parent, _files(graph, metadata, path))
    return ExportedModel(str(path), threads=threads)


def _files(graph: Graph, metadata: ExportMetadata, path: Path) -> dict[str, bytes]:
    """Return the files of a graph, by name."""
    if path.suffix == '.onnx':
        onnx.helper.set_model_props(graph, {KEY: metadata.to_json()})
        return {path.name: graph.SerializeToString()}
    import openvino

    model = _to_openvino(graph) if isinstance(graph, onnx.ModelProto) else graph
    model.set_rt_info(metadata.to_json(), [KEY])
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, path.name)
        openvino.save_model(model, written, compress_to_fp16=False)
        return {file.name: file.read_bytes() for file in (written, written.with_suffix('.bin'))}


def _to_openvino(graph: onnx.ModelProto) -> Any:
    """Convert a graph to an ``openvino.Model``; its thresholds become constants, as inputs there have no defaults."""
    import openvino

    if any(node.op_type == 'DeformConv' for node in graph.graph.node):
        raise ExportError('OpenVINO has no DeformConv, which this model needs: export it with --format onnx.')
    return openvino.Core().read_model(graph.SerializeToString())


def quantize(graph: onnx.ModelProto, batches: list[np.ndarray], suffix: str, symmetric: bool = False) -> Graph:
    """Quantize a graph for the kind of file, '.onnx' or '.xml': see ``quantize_onnx`` and ``quantize_openvino``."""
    if suffix == '.onnx':
        return quantize_onnx(graph, batches, symmetric)
    return quantize_openvino(_to_openvino(graph), batches)


def _batch(exported: ExportedModel, image: np.ndarray) -> np.ndarray:
    """Return an image as the graph takes it, uint8 (N, 3, H, W)."""
    pixels = exported.load(image).pixels.transpose(2, 0, 1)
    return np.stack([pixels] * (exported.metadata.batch or 1))


def _check(
    results: list[tuple[tuple[int, int], Comparison]], panoptic: bool, report: Callable[[str], None]
) -> dict[str, Any]:
    """Report a comparison; return it for the metadata."""
    columns = {
        'image, twice': '{height} x {width}',
        'objects': '{each.objects}',
        'matched': '{each.matched}',
        'boxes (pixels)': '{each.box:.1e}',
        'scores': '{each.score:.1e}',
        'least mask IoU': '{each.iou:.4f}',
        **({'pixels of another class': '{each.pixels:.1e}'} if panoptic else {}),
    }
    rows = [
        [cell.format(height=height, width=width, each=each) for cell in columns.values()]
        for (height, width), each in results
    ]
    report(markdown_table(columns, rows))
    total = sum((each for _, each in results), Comparison())
    if not total.equal:
        raise ExportError(
            f'the exported model does not give the results of PyTorch: {total.missing} of {total.objects} objects are '
            f'missing or added, boxes differ by {total.box:.2g} pixels ({BOX_TOLERANCE} is allowed), scores by '
            f'{total.score:.2g} ({SCORE_TOLERANCE}), the least mask IoU is {total.iou:.4f} ({LEAST_IOU}), the share of '
            f'pixels with another class {total.pixels:.2g} ({PIXELS_TOLERANCE}); nothing was written: please report it '
            'with the config.'
        )
    found = dict(objects=total.objects, matched=total.matched, box=total.box, score=total.score, mask_iou=total.iou)
    return {**found, 'pixels': total.pixels} if panoptic else found


def _check_ap(
    before: float, after: float, max_drop: float, number: int, report: Callable[[str], None]
) -> dict[str, float]:
    """Report the mask AP before and after quantization; return it for the metadata."""
    report(f'mask AP on {number} images: float32 {before:.4f}, int8 {after:.4f}')
    if before == 0:
        raise ExportError(
            'the mask AP of the model is 0 before quantization, so what int8 costs cannot be told: give a trained '
            'model, and data of its classes with --data; nothing was written.'
        )
    if after < before - max_drop:
        raise ExportError(
            f'int8 loses {before - after:.4f} mask AP, and {max_drop} is allowed: quantize by more images '
            '(--calibration-images), stay with float32, or allow it (--max-drop); nothing was written.'
        )
    return dict(mask_ap=before, mask_ap_int8=after, images=number)
