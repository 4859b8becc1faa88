"""CenterMask2's parameters: detectron2's names."""

from .names_mobilenet_v2 import mobilenet_v2_name
from .names_vovnet import authors_name
from .renaming import compile_rules, rename, shifted, tower

_BLOCK = r'layer(?P<i>[1-4])\.(?P<block>\d+)\.'

_RESNET = compile_rules(
    [
        (r'conv1\.{leaf}', r'stem.conv1.\g<leaf>'),
        (r'bn1\.{leaf}', r'stem.conv1.norm.\g<leaf>'),
        (
            _BLOCK + r'(?P<kind>conv|bn)(?P<k>[123])\.{leaf}',
            lambda m: f'res{int(m["i"]) + 1}.{m["block"]}.conv{m["k"]}{_NORM[m["kind"]]}.{m["leaf"]}',
        ),
        (
            _BLOCK + r'downsample\.(?P<kind>[01])\.{leaf}',
            lambda m: f'res{int(m["i"]) + 1}.{m["block"]}.shortcut{_NORM[m["kind"]]}.{m["leaf"]}',
        ),
    ]
)
_NORM = {'conv': '', 'bn': '.norm', '0': '', '1': '.norm'}

BACKBONE_NAMES = {
    'VoVNet': authors_name,
    'TrimmedMobileNetV2': mobilenet_v2_name,
    'ResNet': lambda name: rename(name, _RESNET),
    'ResNeXt': lambda name: rename(name, _RESNET),
}
"""Type of our backbone -> function from its names to the official ones."""

_FCOS = 'proposal_generator.fcos_head.'
_RULES = tower(_FCOS) + compile_rules(
    [
        (r'neck\.lateral_convs\.(?P<i>[012])\.conv\.{leaf}', shifted('backbone.fpn_lateral{i}.{leaf}', 3)),
        (r'neck\.fpn_convs\.(?P<i>[012])\.conv\.{leaf}', shifted('backbone.fpn_output{i}.{leaf}', 3)),
        (r'neck\.fpn_convs\.(?P<i>[34])\.conv\.{leaf}', shifted('backbone.top_block.p{i}.{leaf}', 3)),
        (r'bbox_head\.conv_cls\.{leaf}', _FCOS + r'cls_logits.\g<leaf>'),
        (r'bbox_head\.conv_reg\.{leaf}', _FCOS + r'bbox_pred.\g<leaf>'),
        (r'bbox_head\.conv_centerness\.{leaf}', _FCOS + r'ctrness.\g<leaf>'),
        (r'bbox_head\.scales\.(\d)\.scale', _FCOS + r'scales.\1.scale'),
        (
            r'roi_head\.mask_head\.convs\.(?P<i>\d)\.conv\.{leaf}',
            shifted('roi_heads.mask_head.mask_fcn{i}.{leaf}', 1),
        ),
        (r'roi_head\.mask_head\.attention\.conv\.{leaf}', r'roi_heads.mask_head.spatialAtt.conv.\g<leaf>'),
        (r'roi_head\.mask_head\.upsample\.{leaf}', r'roi_heads.mask_head.deconv.\g<leaf>'),
        (r'roi_head\.mask_head\.conv_logits\.{leaf}', r'roi_heads.mask_head.predictor.\g<leaf>'),
        (
            r'roi_head\.mask_iou_head\.convs\.(?P<i>\d)\.{leaf}',
            shifted('roi_heads.maskiou_head.maskiou_fcn{i}.{leaf}', 1),
        ),
        (
            r'roi_head\.mask_iou_head\.fcs\.(?P<i>[01])\.{leaf}',
            shifted('roi_heads.maskiou_head.maskiou_fc{i}.{leaf}', 1),
        ),
        (r'roi_head\.mask_iou_head\.fc_mask_iou\.{leaf}', r'roi_heads.maskiou_head.maskiou.\g<leaf>'),
    ]
)


def centermask2_name(name: str, backbone: str) -> str:
    """Return detectron2's name of a parameter of our CenterMask.

    Args:
        name (str): Our name.
        backbone (str): Type of our backbone, a key of ``BACKBONE_NAMES``.

    >>> centermask2_name('neck.lateral_convs.1.conv.bias', 'VoVNet')
    'backbone.fpn_lateral4.bias'
    """
    if name.startswith('backbone.'):
        return 'backbone.bottom_up.' + BACKBONE_NAMES[backbone](name.removeprefix('backbone.'))
    return rename(name, _RULES)
