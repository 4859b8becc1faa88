"""The first CenterMask's parameters: maskrcnn-benchmark's names."""

from .names_mobilenet_v2 import mobilenet_v2_name
from .names_vovnet import authors_name
from .renaming import compile_rules, rename, shifted, tower

_RESNET = compile_rules(
    [
        (r'(?P<layer>conv1|bn1)\.{leaf}', r'stem.\g<layer>.\g<leaf>'),
        (r'(?P<rest>layer[1-4]\..*)', r'\g<rest>'),
    ]
)


def _resnet_name(name: str) -> str:
    return rename(name, _RESNET)


BACKBONE_NAMES = {
    'VoVNet': authors_name,
    'TrimmedMobileNetV2': mobilenet_v2_name,
    'ResNet': _resnet_name,
    'ResNeXt': _resnet_name,
}
"""Type of our backbone -> function from its names to the official ones."""

_MASK = 'roi_heads.mask.'
_IOU = 'roi_heads.maskiou.'
_RULES = tower('rpn.head.') + compile_rules(
    [
        (r'neck\.lateral_convs\.(?P<i>[012])\.conv\.{leaf}', shifted('backbone.fpn.fpn_inner{i}.{leaf}', 2)),
        (r'neck\.fpn_convs\.(?P<i>[012])\.conv\.{leaf}', shifted('backbone.fpn.fpn_layer{i}.{leaf}', 2)),
        (r'neck\.fpn_convs\.(?P<i>[34])\.conv\.{leaf}', shifted('backbone.fpn.top_blocks.p{i}.{leaf}', 3)),
        (r'bbox_head\.conv_cls\.{leaf}', r'rpn.head.cls_logits.\g<leaf>'),
        (r'bbox_head\.conv_reg\.{leaf}', r'rpn.head.bbox_pred.\g<leaf>'),
        (r'bbox_head\.conv_centerness\.{leaf}', r'rpn.head.centerness.\g<leaf>'),
        (r'bbox_head\.scales\.(\d)\.scale', r'rpn.head.scales.\1.scale'),
        (
            r'roi_head\.mask_head\.convs\.(?P<i>\d)\.conv\.{leaf}',
            shifted(_MASK + 'feature_extractor.mask_fcn{i}.{leaf}', 1),
        ),
        (
            r'roi_head\.mask_head\.attention\.conv\.{leaf}',
            _MASK + r'feature_extractor.spatialAtt.conv.\g<leaf>',
        ),
        (r'roi_head\.mask_head\.upsample\.{leaf}', _MASK + r'predictor.conv5_mask.\g<leaf>'),
        (r'roi_head\.mask_head\.conv_logits\.{leaf}', _MASK + r'predictor.mask_fcn_logits.\g<leaf>'),
        (
            r'roi_head\.mask_iou_head\.convs\.(?P<i>\d)\.{leaf}',
            shifted(_IOU + 'feature_extractor.maskiou_fcn{i}.{leaf}', 1),
        ),
        (
            r'roi_head\.mask_iou_head\.fcs\.(?P<i>[01])\.{leaf}',
            shifted(_IOU + 'feature_extractor.maskiou_fc{i}.{leaf}', 1),
        ),
        (r'roi_head\.mask_iou_head\.fc_mask_iou\.{leaf}', _IOU + r'predictor.maskiou.\g<leaf>'),
    ]
)


def centermask_name(name: str, backbone: str, deformable: bool = False) -> str:
    """Return maskrcnn-benchmark's name of a parameter of our CenterMask.

    Args:
        name (str): Our name.
        backbone (str): Type of our backbone, a key of ``BACKBONE_NAMES``.
        deformable (bool): The parameter is a deformable convolution's. Defaults to False.

    >>> centermask_name('neck.lateral_convs.1.conv.bias', 'VoVNet')
    'backbone.fpn.fpn_inner3.bias'
    """
    if not name.startswith('backbone.'):
        return rename(name, _RULES)
    name = BACKBONE_NAMES[backbone](name.removeprefix('backbone.'))
    if deformable:  # one module that holds the convolution and what predicts its offsets
        name = name.replace('/conv_offset.', '/conv.offset.').replace('/conv.weight', '/conv.conv.weight')
    return f'backbone.body.{name}'
