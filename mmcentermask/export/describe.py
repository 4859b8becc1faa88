"""Tells what a runtime has to know of a model and its config."""

from mmengine.config import Config
from torch import nn

from ..errors import InputError
from ..models import CenterMaskV1RoIHead, PanopticCenterMask
from ..models.centermask_v1 import CenterMaskV1MaskHead
from ..structures.panoptic_map import FUSION
from ..version import __version__
from .end_to_end import check_exportable
from .metadata import FORMAT_VERSION, ExportMetadata


def describe_model(model: nn.Module, cfg: Config) -> ExportMetadata:
    """Describe a model, whose ``dataset_meta`` has the names of its classes, and the test pipeline of its config.

    Raises:
        InputError: If the model has a part that cannot be exported, or the test pipeline a step.
    """
    check_exportable(model)
    roi_head, preprocessor, test_cfg = model.roi_head, model.data_preprocessor, model.test_cfg
    resize = _find_resize(cfg)
    keep_ratio = resize['type'] == 'LegacyResize' or resize.get('keep_ratio', False)
    fusion = None
    if isinstance(model, PanopticCenterMask):
        head = model.panoptic_fusion_head
        fusion = {name: head.test_cfg[name] for name in FUSION}
        fusion |= dict(num_things=head.num_things_classes, num_stuff=head.num_stuff_classes)
    return ExportMetadata(
        format_version=FORMAT_VERSION,
        package_version=__version__,
        task='instance' if fusion is None else 'panoptic',
        classes=list(model.dataset_meta['classes']),
        color_order='BGR',
        mean=preprocessor.mean.flatten().tolist(),
        std=preprocessor.std.flatten().tolist(),
        resize='legacy' if resize['type'] == 'LegacyResize' else 'opencv',
        scale=sorted(resize['scale'], reverse=True) if keep_ratio else list(resize['scale']),
        keep_ratio=keep_ratio,
        score_thr=test_cfg.score_thr,
        iou_thr=test_cfg.nms.iou_threshold,
        max_per_img=test_cfg.max_per_img,
        mask_thr=test_cfg.rcnn.mask_thr_binary,
        mask_scoring=roi_head.mask_iou_head is not None,
        pasting='legacy' if isinstance(roi_head.mask_head, CenterMaskV1MaskHead) else 'bilinear',
        legacy_box_offset=isinstance(roi_head, CenterMaskV1RoIHead),
        fusion=fusion,
        divisor=preprocessor.pad_size_divisor,
    )


def _find_resize(cfg: Config) -> dict:
    """Return the one step of the test pipeline that changes the image."""
    steps = cfg.test_dataloader.dataset.pipeline
    # the inferencer has put its loader in the place of the config's
    kept = ('Load', 'InferencerLoader', 'Pack')
    changing = [step for step in steps if not step['type'].split('.')[-1].startswith(kept)]
    if len(changing) != 1 or changing[0]['type'] not in ('Resize', 'LegacyResize'):
        raise InputError(
            f'the test pipeline of the config changes images by {", ".join(step["type"] for step in changing)}: export '
            'knows Resize alone.'
        )
    return changing[0]
