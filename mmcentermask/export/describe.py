"""Tells what a runtime has to know of a model and its config."""

from mmengine.config import Config
from torch import nn

from ..errors import InputError
from ..models import CenterMaskV1RoIHead
from ..models.centermask_v1 import CenterMaskV1MaskHead
from ..version import __version__
from .end_to_end import check_exportable
from .metadata import FORMAT_VERSION, ExportMetadata

__all__ = ['describe_model']


def describe_model(model: nn.Module, cfg: Config) -> ExportMetadata:
    """Describe a model for its exported file.

    Args:
        model (nn.Module): With its weights, and ``dataset_meta`` with the names of its classes.
        cfg (Config): Whose test pipeline resizes the images.

    Raises:
        InputError: If the model has a part that cannot be exported, or the test pipeline a step.
    """
    check_exportable(model)
    roi_head, preprocessor, test_cfg = model.roi_head, model.data_preprocessor, model.test_cfg
    resize = _find_resize(cfg)
    keep_ratio = resize['type'] == 'LegacyResize' or resize.get('keep_ratio', False)
    return ExportMetadata(
        format_version=FORMAT_VERSION,
        package_version=__version__,
        task='instance',
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
