"""Names of parameters, official -> ours, and VoVNet's back again: every table of the converter.

A table is a chain of substitutions, applied in its order to every name. In a template ``{1}`` is the first group of
the pattern, and ``{1-3}`` that group as a number, less 3.
"""

import re
from collections.abc import Iterable

__all__ = [
    'CAFFE2',
    'CENTERMASK2',
    'CENTERMASK_V1',
    'PANOPTIC_CENTERMASK2',
    'TIMM',
    'TIMM_DEPTHWISE',
    'TORCHVISION_MOBILENET_V2',
    'TO_AUTHORS',
    'VOVNET',
    'Table',
    'rename',
]

Table = tuple[tuple[str, str], ...]

# VoVNet by its authors, as all of their code bases name it; the deformable convolution is one of three spellings
VOVNET: Table = (
    (r'/conv_offset\.|/conv\.offset\.', '/conv.conv_offset.'),
    (r'/conv\.conv\.', '/conv.'),
    (r'/dw_conv3x3\.', '/depthwise_conv.conv.'),
    (r'/pw_conv1x1\.', '/pointwise_conv.conv.'),
    (r'/pw_norm\.', '/pointwise_conv.bn.'),
    (r'/norm\.', '/bn.'),
    (r'\bstem\.stem_(\d)/', 'stem.{1-1}.'),
    (r'\bstage(\d)\.OSA\d_(\d+)\.', 'stage{1}.{2-1}.'),
    (r'\blayers\.(\d)\.OSA\w+/', 'layers.{1}.'),
    (r'\bconcat\.OSA\w+/', 'concat.'),
    (r'\bconv_reduction\.OSA\w+/', 'reduction.'),
    (r'\bese\.', 'attention.'),
)

# and back: ours -> the authors'
_OSA, _MODULE = r'^stage(\d)\.(\d+)\.', 'OSA{1}_{2+1}'
TO_AUTHORS: Table = (
    (r'^stem\.(\d)\.', 'stem.stem_{1+1}/'),
    (_OSA + r'layers\.(\d)\.', f'stage{{1}}.{_MODULE}.layers.{{3}}.{_MODULE}_{{3}}/'),
    (_OSA + r'concat\.', f'stage{{1}}.{_MODULE}.concat.{_MODULE}_concat/'),
    (_OSA + r'reduction\.', f'stage{{1}}.{_MODULE}.conv_reduction.{_MODULE}_reduction_0/'),
    (_OSA + r'attention\.', f'stage{{1}}.{_MODULE}.ese.'),
    (r'/conv\.conv_offset\.', '/conv_offset.'),
    (r'/depthwise_conv\.conv\.', '/dw_conv3x3.'),
    (r'/pointwise_conv\.conv\.', '/pw_conv1x1.'),
    (r'/pointwise_conv\.bn\.', '/pw_norm.'),
    (r'/bn\.', '/norm.'),
)

TIMM: Table = (
    (r'^stages\.(\d)\.blocks\.(\d+)\.', 'stage{1+2}.{2}.'),
    (r'\bconv_mid\.', 'layers.'),
    (r'\bconv_(concat|reduction)\.', '{1}.'),
    (r'\battn\.', 'attention.'),
)
TIMM_DEPTHWISE: Table = (
    (r'^(stem\.[12]|.*\bconv_mid\.\d)\.bn\.', '{1}.pointwise_conv.bn.'),
    (r'\bconv_dw\.', 'depthwise_conv.conv.'),
    (r'\bconv_pw\.', 'pointwise_conv.conv.'),
    *TIMM,
)


def _mobilenet_v2(flat: bool) -> Table:
    """MobileNetV2 by torchvision, which counts the inverted residuals of mmdet's layers 1 to 7 in one row.

    In a block convolution, norm and ReLU6 alternate (flat), as in its old names, or a convolution and its norm are in a
    module, but for the last ones. The first block expands nothing.
    """
    table = [(r'\bfeatures\.0\.0\.', 'conv1.conv.'), (r'\bfeatures\.0\.1\.', 'conv1.bn.')]
    blocks = [(layer, block) for layer, number in enumerate((1, 2, 3, 4, 3, 3, 1), 1) for block in range(number)]
    for i, (layer, block) in enumerate(blocks, 1):
        for j, conv in enumerate(('expand', 'depthwise', 'linear')[i == 1 :]):
            for k, part in enumerate(('conv', 'bn')):
                place = 3 * j + k if flat else j + k if conv == 'linear' else rf'{j}\.{k}'
                table.append((rf'\bfeatures\.{i}\.conv\.{place}\.', f'layer{layer}.{block}.{conv}_conv.{part}.'))
    return tuple(table)


TORCHVISION_MOBILENET_V2 = _mobilenet_v2(flat=False)

# ResNet and ResNeXt trained on ImageNet, as Detectron and detectron2 keep them
CAFFE2: Table = (
    (r'^conv1_', 'conv1.'),
    (r'^res_conv1_bn_', 'bn1.'),
    (r'_branch1_bn_', '.downsample.1.'),
    (r'_branch1_', '.downsample.0.'),
    *((f'_branch2{letter}_bn_', f'.bn{i}.') for i, letter in enumerate('abc', 1)),
    *((f'_branch2{letter}_', f'.conv{i}.') for i, letter in enumerate('abc', 1)),
    (r'^res(\d)_(\d+)\.', 'layer{1-1}.{2}.'),
    (r'\.(?:w|s|gamma)$', '.weight'),
    (r'\.(?:b|beta)$', '.bias'),
    (r'\.rm$', '.running_mean'),
    (r'\.riv$', '.running_var'),
)

# FCOS's towers, where convolution, GroupNorm and ReLU alternate, and what both code bases name alike in the heads
_HEADS: Table = (
    *(
        (rf'\b{theirs}_tower\.{3 * i + j}\.', f'{ours}_convs.{i}.{part}.')
        for theirs, ours in (('cls', 'cls'), ('bbox', 'reg'))
        for i in range(4)
        for j, part in enumerate(('conv', 'gn'))
    ),
    (r'\bcls_logits\.', 'conv_cls.'),
    (r'\bbbox_pred\.', 'conv_reg.'),
    (r'\b(?:ctrness|centerness)\.', 'conv_centerness.'),
    (r'\bmask_fcn(\d)\.', 'convs.{1-1}.conv.'),
    (r'\bspatialAtt\.', 'attention.'),
    (r'\b(?:deconv|conv5_mask)\.', 'upsample.'),
    (r'\bmaskiou_fcn(\d)\.', 'convs.{1-1}.'),
    (r'\bmaskiou_fc(\d)\.', 'fcs.{1-1}.'),
    (r'\bmaskiou\.(weight|bias)$', 'fc_mask_iou.{1}'),
)

# detectron2; its ResNets and ResNeXts too
CENTERMASK2: Table = (
    (r'^backbone\.fpn_lateral(\d)\.', 'neck.lateral_convs.{1-3}.conv.'),
    (r'^backbone\.(?:fpn_output|top_block\.p)(\d)\.', 'neck.fpn_convs.{1-3}.conv.'),
    (r'^backbone\.bottom_up\.', 'backbone.'),
    (r'^backbone\.stem\.conv1\.norm\.', 'backbone.bn1.'),
    (r'^backbone\.stem\.conv1\.', 'backbone.conv1.'),
    (r'^backbone\.res(\d)\.', 'backbone.layer{1-1}.'),
    (r'\bconv(\d)\.norm\.', 'bn{1}.'),
    (r'\bshortcut\.norm\.', 'downsample.1.'),
    (r'\bshortcut\.', 'downsample.0.'),
    (r'^proposal_generator\.fcos_head\.', 'bbox_head.'),
    (r'^roi_heads\.mask_head\.predictor\.', 'roi_head.mask_head.conv_logits.'),
    (r'^roi_heads\.mask_head\.', 'roi_head.mask_head.'),
    (r'^roi_heads\.maskiou_head\.', 'roi_head.mask_iou_head.'),
    *VOVNET,
    *_mobilenet_v2(flat=True),
    *_HEADS,
)

# a semantic branch, and an FPN that begins with P2; of a level of the branch, convolutions and upsamplings alternate
PANOPTIC_CENTERMASK2: Table = (
    (r'^backbone\.fpn_lateral(\d)\.', 'neck.lateral_convs.{1-2}.conv.'),
    (r'^backbone\.(?:fpn_output|top_block\.p)(\d)\.', 'neck.fpn_convs.{1-2}.conv.'),
    (r'^sem_seg_head\.predictor\.', 'semantic_head.conv_logits.'),
    *(
        (rf'^sem_seg_head\.p(\d)\.{2 * i}\.{theirs}', f'semantic_head.conv_upsample_layers.{{1-2}}.conv.{i}.{ours}.')
        for i in range(3)
        for theirs, ours in ((r'norm\.', 'gn'), ('(?=weight|bias)', 'conv'))
    ),
    *CENTERMASK2,
)

# maskrcnn-benchmark; its ResNets and ResNeXts too
CENTERMASK_V1: Table = (
    (r'^backbone\.fpn\.fpn_inner(\d)\.', 'neck.lateral_convs.{1-2}.conv.'),
    (r'^backbone\.fpn\.fpn_layer(\d)\.', 'neck.fpn_convs.{1-2}.conv.'),
    (r'^backbone\.fpn\.top_blocks\.p(\d)\.', 'neck.fpn_convs.{1-3}.conv.'),
    (r'^backbone\.body\.', 'backbone.'),
    (r'^backbone\.stem\.(conv1|bn1)\.', 'backbone.{1}.'),
    (r'^rpn\.head\.', 'bbox_head.'),
    (r'^roi_heads\.mask\.predictor\.mask_fcn_logits\.', 'roi_head.mask_head.conv_logits.'),
    (r'^roi_heads\.mask\.(?:feature_extractor|predictor)\.', 'roi_head.mask_head.'),
    (r'^roi_heads\.maskiou\.(?:feature_extractor|predictor)\.', 'roi_head.mask_iou_head.'),
    *VOVNET,
    *_mobilenet_v2(flat=True),
    *_HEADS,
)


def rename(names: Iterable[str], table: Table) -> dict[str, str]:
    """Apply a table to names; return name -> new name, where one that no pattern matches stays as it is.

    >>> rename(['stage3.OSA3_1.layers.0.OSA3_1_0/norm.weight'], VOVNET)
    {'stage3.OSA3_1.layers.0.OSA3_1_0/norm.weight': 'stage3.0.layers.0.bn.weight'}
    """
    compiled = [(re.compile(pattern), template) for pattern, template in table]
    renamed = {}
    for name in names:
        ours = name
        for pattern, template in compiled:
            ours = pattern.sub(lambda match, template=template: _fill(template, match), ours)
        renamed[name] = ours
    return renamed


def _fill(template: str, match: re.Match) -> str:
    return re.sub(
        r'\{(\d)([+-]\d)?\}', lambda m: str(int(match[int(m[1])]) + int(m[2])) if m[2] else match[int(m[1])], template
    )
