"""Which dense heads give the mask branch in training the boxes that they give in evaluation."""

import inspect

from mmdet.models.dense_heads import CenterNetUpdateHead, CondInstBboxHead, FCOSHead, RepPointsHead, VFNetHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.dense_heads.guided_anchor_head import GuidedAnchorHead
from torch import nn

from ..errors import ConfigError

_DECODING = ('predict_by_feat', 'loss_and_predict')
_OUTPUTS = ('forward_single', *_DECODING)
_SCALED = 'its distances are multiplied by the stride in evaluation only'

# class -> the methods where a subclass can make it right, what differs, what to do
_UNEQUAL = {
    VFNetHead: (_OUTPUTS, 'in training it also returns the distances before refinement', 'use CenterMaskVFNetHead'),
    RepPointsHead: (_OUTPUTS, 'in training it returns points in the place of boxes', 'use another head'),
    CenterNetUpdateHead: (_OUTPUTS, _SCALED, 'use CenterMaskHead'),
    FCOSHead: (_OUTPUTS, _SCALED, 'use CenterMaskHead, or set norm_on_bbox=False'),
    CondInstBboxHead: (_OUTPUTS, _SCALED, 'use CenterMaskHead, or set norm_on_bbox=False'),
    GuidedAnchorHead: (_DECODING, 'it leaves locations out in evaluation only', 'use another head'),
}


def check_proposals(head: nn.Module) -> None:
    """Refuse a dense head whose proposals in training are not its boxes in evaluation.

    mmdet decodes proposals in training from the head's training outputs. Some heads have other outputs in
    training, or other units, and their proposals are then wrong without an error. A subclass that overrides the
    method where this happens is taken at its word.

    Args:
        head (nn.Module): A dense head.

    Raises:
        ConfigError: If the head is known to differ, or cannot make proposals in training at all.
    """
    name = type(head).__name__
    if not isinstance(head, BaseDenseHead):
        raise ConfigError(
            f'CenterMask: {name} cannot be the bbox_head, because it is no dense head of mmdet (a BaseDenseHead), '
            'which gives losses and proposals at once: use CenterMaskHead, ATSSHead or GFLHead.'
        )
    parameters = inspect.signature(head.predict_by_feat).parameters
    if 'rescale' not in parameters and any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        parameters = inspect.signature(BaseDenseHead.predict_by_feat).parameters  # passed on by **kwargs
    if 'cfg' not in parameters or parameters['rescale'].default is not False:
        raise ConfigError(
            f'CenterMask: {name} cannot be the bbox_head, because its predict_by_feat does not decode proposals by '
            "train_cfg.proposal in pixels of the network's input: use CenterMaskHead, ATSSHead or GFLHead."
        )
    for cls, (methods, reason, hint) in _UNEQUAL.items():
        if not isinstance(head, cls) or not getattr(head, 'norm_on_bbox', True):
            continue
        if all(getattr(type(head), method) is getattr(cls, method) for method in methods):
            raise ConfigError(
                f'CenterMask: {name} cannot be the bbox_head, because its proposals in training would not be its '
                f'boxes in evaluation ({reason}): {hint}.'
            )
