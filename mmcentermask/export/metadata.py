"""What an exported file says of itself. Imports the standard library alone: it is read where there is no torch."""

import json
from dataclasses import asdict, dataclass, fields

from ..errors import InputError

__all__ = ['FORMAT_VERSION', 'INPUTS', 'KEY', 'OUTPUTS', 'SEMANTIC', 'ExportMetadata']

KEY = 'mmcentermask'  # in the metadata of ONNX, and in the runtime information of OpenVINO
FORMAT_VERSION = 1
INPUTS = ('images', 'score_thr', 'iou_thr', 'max_per_img')
OUTPUTS = ('boxes', 'scores', 'mask_scores', 'labels', 'image_index', 'masks')
SEMANTIC = 'semantic'  # one more output, of a panoptic model


@dataclass
class ExportMetadata:
    """What a runtime has to know to use an exported file, kept in it as JSON.

    Attributes:
        format_version: Of these fields and of the graph's inputs and outputs.
        package_version: Of the mmcentermask that wrote the file.
        task: 'instance' or 'panoptic'.
        classes: Names, in the order of ``labels``.
        color_order: Of the images that the graph takes: 'BGR'.
        mean: Subtracted inside of the graph, one a channel; for information.
        std: Divided by inside of the graph; for information.
        resize: How an image is resized before: 'opencv' (bilinear, sides rounded as mmcv does) or 'legacy' (Pillow's
            bilinear filter, the long side truncated: see LegacyResize).
        scale: To at most [long side, short side] in pixels; to exactly [width, height] without ``keep_ratio``.
        keep_ratio: Whether the ratio of sides is kept.
        score_thr: Least probability of a class; the default of the input of this name.
        iou_thr: Overlap above which NMS drops the lesser box; likewise.
        max_per_img: Most boxes of an image; likewise.
        mask_thr: Probability from which on a pixel belongs to the mask.
        mask_scoring: Whether ``mask_scores`` come from a mask-IoU head; they equal ``scores`` otherwise.
        pasting: 'bilinear', or 'legacy' for maskrcnn-benchmark's.
        legacy_box_offset: Whether a pixel is to be added to x2 and y2 of a box, once it is in pixels of the image.
        batch: Number of images that the graph takes, or None for any.
        static_shape: [height, width] of the images that the graph takes, or None for any.
        fusion: Of a panoptic model the last five arguments of ``structures.panoptic_map.fuse``, by name, or None.
        divisor: To a multiple of which the graph pads the sides of the images.
        precision: 'fp32' or 'int8'.
        verification: What was found when the file was compared with PyTorch, or None.
    """

    format_version: int
    package_version: str
    task: str
    classes: list[str]
    color_order: str
    mean: list[float]
    std: list[float]
    resize: str
    scale: list[int]
    keep_ratio: bool
    score_thr: float
    iou_thr: float
    max_per_img: int
    mask_thr: float
    mask_scoring: bool
    pasting: str
    legacy_box_offset: bool
    batch: int | None = None
    static_shape: list[int] | None = None
    fusion: dict | None = None
    divisor: int = 32
    precision: str = 'fp32'
    verification: dict | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return OUTPUTS if self.fusion is None else (*OUTPUTS, SEMANTIC)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None, path: str) -> 'ExportMetadata':
        """Read it.

        Args:
            text (str, optional): What stands under ``KEY`` in a file, None where nothing does.
            path (str): The file, for the message.

        Raises:
            InputError: If the file is no export of this package, or of a newer version.
        """
        try:
            values = json.loads(text)
            version = values['format_version']
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(
                f'{path} was not exported by mmcentermask: give a file that tools/export.py wrote.'
            ) from error
        if version != FORMAT_VERSION:
            raise InputError(
                f'{path} has the export format {version}, and this mmcentermask reads {FORMAT_VERSION}: install '
                f'mmcentermask {values.get("package_version")} or newer, or export the model again.'
            )
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
