"""What an exported file says of itself. Imports the standard library alone: it is read where there is no torch."""

import json
from dataclasses import asdict, dataclass, fields

from ..errors import InputError

KEY = 'mmcentermask'  # in the metadata of ONNX, and in the runtime information of OpenVINO
FORMAT_VERSION = 1
INPUTS = ('images', 'score_thr', 'iou_thr', 'max_per_img')
OUTPUTS = ('boxes', 'scores', 'mask_scores', 'labels', 'image_index', 'masks')
SEMANTIC = 'semantic'  # one more output, of a panoptic model


@dataclass
class ExportMetadata:
    """What a runtime has to know to use an exported file, kept in it as JSON."""

    format_version: int  # of these fields and of the graph's inputs and outputs
    package_version: str  # of the mmcentermask that wrote the file
    task: str  # 'instance' or 'panoptic'
    classes: list[str]  # names, in the order of ``labels``
    color_order: str  # of the images that the graph takes: 'BGR'
    mean: list[float]  # subtracted inside of the graph, one a channel; for information
    std: list[float]  # divided by inside of the graph; for information
    # how an image is resized before: 'opencv' (bilinear, sides rounded as mmcv does) or 'legacy' (Pillow's bilinear
    # filter, the long side truncated: see LegacyResize)
    resize: str
    scale: list[int]  # to at most [long side, short side] in pixels; to exactly [width, height] without ``keep_ratio``
    keep_ratio: bool  # whether the ratio of sides is kept
    score_thr: float  # least probability of a class; the default of the input of this name
    iou_thr: float  # overlap above which NMS drops the lesser box; likewise
    max_per_img: int  # most boxes of an image; likewise
    mask_thr: float  # probability from which on a pixel belongs to the mask
    mask_scoring: bool  # whether ``mask_scores`` come from a mask-IoU head; they equal ``scores`` otherwise
    pasting: str  # 'bilinear', or 'legacy' for maskrcnn-benchmark's
    legacy_box_offset: bool  # whether a pixel is to be added to x2 and y2 of a box, once it is in pixels of the image
    batch: int | None = None  # number of images that the graph takes, or None for any
    static_shape: list[int] | None = None  # [height, width] of the images that the graph takes, or None for any
    # of a panoptic model the last five arguments of ``structures.panoptic_map.fuse``, by name
    fusion: dict | None = None
    divisor: int = 32  # to a multiple of which the graph pads the sides of the images
    precision: str = 'fp32'  # or 'int8'
    verification: dict | None = None  # what was found when the file was compared with PyTorch

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return OUTPUTS if self.fusion is None else (*OUTPUTS, SEMANTIC)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None, path: str) -> 'ExportMetadata':
        """Read what stands under ``KEY`` in the file ``path``, None where nothing does.

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
