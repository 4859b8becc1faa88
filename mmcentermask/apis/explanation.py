"""What a CenterMask computes on its way from an image to masks."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from ..errors import ConfigError
from ..models import AdaptiveRoIExtractor, CenterMask, EffectiveSE, SpatialAttention
from ..structures import Instances
from .torch_model import TorchModel

__all__ = ['Explanation', 'explain']

_OF_OBJECTS = ('rois', 'levels', 'fpn_levels', 'mask_maps', 'attention', 'mask_ious')


@dataclass
class Explanation:
    """The values between an image and the K objects that a CenterMask found in it.

    Level k of the pyramid, P3 say, has the stride 2 ** k.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        found: The K objects, in pixels of the image.
        input_size: Height and width of the image as the network saw it, in pixels, without padding.
        box_levels: Levels that the box head read, such as [3, 4, 5, 6, 7].
        class_maps: Of each of them the probabilities of the C classes, float32 (C, h, w).
        centerness: Of each of them how central each location is in its object, float32 (h, w), 0..1; None of a box head
            without it.
        channel_weights: Weights of eSE, float32 (channels,), 0..1, of each of its modules, by name.
        rois: The boxes that the mask branch looked at, float32 (K, 4), x1, y1, x2, y2 in pixels of the image; they may
            leave it.
        levels: Level that each RoI was read from, int64 (K,).
        fpn_levels: Level by Eq. 1, FPN's, among those that the mask branch has, int64 (K,).
        mask_maps: Probabilities of the mask in the RoI, before pasting, float32 (K, h, w).
        attention: Spatial attention in the RoI, float32 (K, h, w), 0..1; None of a mask head without it.
        mask_ious: Predicted mask IoU, float32 (K,); None without a mask-IoU head.
    """

    image: np.ndarray
    found: Instances
    input_size: tuple[int, int]
    box_levels: list[int]
    class_maps: list[np.ndarray]
    centerness: list[np.ndarray] | None
    channel_weights: dict[str, np.ndarray]
    rois: np.ndarray
    levels: np.ndarray
    fpn_levels: np.ndarray
    mask_maps: np.ndarray
    attention: np.ndarray | None = None
    mask_ious: np.ndarray | None = None

    def __getitem__(self, index: Any) -> Explanation:
        """Choose objects, as ``Instances`` does; what is of the whole image stays."""
        chosen = np.atleast_1d(np.arange(len(self.found))[index])
        values = {name: getattr(self, name) for name in _OF_OBJECTS}
        values = {name: None if value is None else value[chosen] for name, value in values.items()}
        return Explanation(**{**vars(self), **values, 'found': self.found[chosen]})


def explain(model: TorchModel, source: Any) -> Explanation:
    """Find the objects of an image, and keep what the model computed on the way.

    The model's own modules are called, and their inputs and outputs are read. The objects are those that
    ``TorchModel.run`` finds; the image has any form that ``read_image`` takes.

    Raises:
        ConfigError: If it is no CenterMask.
        ImageError: If the image cannot be used.

    >>> explain(TorchModel('own.py', 'iter_1000.pth'), 'street.jpg').levels  # doctest: +SKIP
    array([4, 3, 3])
    """
    detector = model.inferencer.model
    if not isinstance(detector, CenterMask):
        raise ConfigError(
            f'only a CenterMask can be looked into, but the model is a {type(detector).__name__}: give a CenterMask.'
        )
    image, data = model.inferencer.load(source)
    data = detector.data_preprocessor(model.inferencer.collate_fn([data]), False)
    samples, roi_head = data['data_samples'], detector.roi_head
    height, width = samples[0].img_shape[:2]
    ese = {name: part for name, part in detector.backbone.named_modules() if isinstance(part, EffectiveSE)}
    spatial = [part for part in roi_head.mask_head.modules() if isinstance(part, SpatialAttention)]
    modules = [detector.bbox_head, *ese.values(), *spatial]
    with torch.no_grad(), warnings.catch_warnings(), _recorded(modules) as seen:
        warnings.filterwarnings('ignore', 'torch.meshgrid')  # in mmdet
        x = detector.extract_feat(data['inputs'])
        results = detector.bbox_head.predict(detector.box_feats(x), samples, rescale=False)
        mask_preds, mask_ious = roi_head.predict_maps(detector.roi_feats(x), results, samples)
        weights = {name: _array(part.channel_weights(seen[part][0]).flatten()) for name, part in ese.items()}
        (found,) = results
        found.rois = found.bboxes / found.bboxes.new_tensor(samples[0].scale_factor).repeat(2)
        found.levels, found.fpn_levels = _roi_levels(roi_head.mask_roi_extractor, found.bboxes, height * width)
        found.mask_maps = mask_preds[0][:, 0].sigmoid()
        if spatial:
            found.attention = spatial[0].attention_map(seen[spatial[0]][0])[:, 0]
        if mask_ious is not None:
            found.mask_ious = mask_ious[0].gather(1, found.labels[:, None])[:, 0]
        # boxes outside of the image are dropped, and with them what belongs to them
        (found,) = roi_head.finish(results, mask_preds, mask_ious, [samples[0].metainfo], rescale=True)
    of_objects = {name: _array(found.pop(name)) for name in _OF_OBJECTS if name in found}
    sample = DetDataSample(metainfo=samples[0].metainfo, pred_instances=found)
    class_maps, centerness, strides = _location_maps(detector.bbox_head, seen[detector.bbox_head][1], height, width)
    return Explanation(
        image,
        Instances.from_dict(model.inferencer.pred2dict(sample), model.classes),
        (height, width),
        [int(stride).bit_length() - 1 for stride in strides],
        class_maps,
        centerness,
        weights,
        **of_objects,
    )


@contextlib.contextmanager
def _recorded(modules: list[nn.Module]) -> Iterator[dict[nn.Module, tuple[Any, Any]]]:
    """Note the first input and the output of the last call of each module."""
    seen = {}

    def note(module: nn.Module, inputs: tuple, output: Any) -> None:
        seen[module] = inputs[0], output

    handles = [module.register_forward_hook(note) for module in modules]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _roi_levels(extractor: nn.Module, boxes: Tensor, image_area: int) -> tuple[Tensor, Tensor]:
    """Return the level of each box (n, 4), in pixels of the network's input, as the model chooses and by Eq. 1."""
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
    finest = int(extractor.featmap_strides[0]).bit_length() - 1
    coarsest = finest + extractor.num_inputs - 1
    adaptive = isinstance(extractor, AdaptiveRoIExtractor)
    levels = finest + extractor.map_roi_levels(rois, image_area if adaptive else extractor.num_inputs)
    areas = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6).prod(dim=1)
    eq1 = (4 + torch.log2(areas.sqrt() / 224)).floor()  # FPN, Eq. 1, with k0 = 4
    return levels, eq1.clamp(finest, coarsest).long()


def _location_maps(
    head: nn.Module, outputs: tuple, height: int, width: int
) -> tuple[list[np.ndarray], list[np.ndarray] | None, list[int]]:
    """Return class probabilities and centerness of each level, without the padding, and the strides."""
    strides = [stride[0] for stride in head.prior_generator.strides]

    def inside(maps: Tensor, stride: int) -> Tensor:
        return maps[0, :, : -(-height // stride), : -(-width // stride)].sigmoid()

    # of a head with several anchors a location the best one
    class_maps = [
        _array(inside(scores, stride).unflatten(0, (-1, head.cls_out_channels)).amax(dim=0))
        for scores, stride in zip(outputs[0], strides)
    ]
    has_centerness = len(outputs) > 2 and outputs[2][0].shape[1] == 1
    centerness = (
        [_array(inside(maps, stride)[0]) for maps, stride in zip(outputs[2], strides)] if has_centerness else None
    )
    return class_maps, centerness, strides


def _array(values: Tensor) -> np.ndarray:
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()
