"""The operators of mmcv that a graph needs: run by mmcv, written as the standard operators of ONNX.

torch's tracing exporter calls ``symbolic`` in the place of ``forward``.
"""

import torch
from mmcv.ops import ModulatedDeformConv2dPack, modulated_deform_conv2d, nms, roi_align
from torch import Tensor
from torch.autograd import Function


class NonMaxSuppression(Function):
    """NMS of the boxes of several images, as one class."""

    @staticmethod
    def forward(ctx, boxes: Tensor, scores: Tensor, iou_thr: Tensor, max_per_img: Tensor) -> Tensor:
        """Choose of boxes (N, M, 4) those with a positive score, of scores (N, 1, M), and no better one on them.

        Returns:
            Tensor: Image, 0 and number of each box, int64 (k, 3); an image after the other, best first.
        """
        chosen = []
        for i, (image_boxes, image_scores) in enumerate(zip(boxes, scores[:, 0])):
            valid = (image_scores > 0).nonzero().squeeze(1)
            kept = valid[nms(image_boxes[valid], image_scores[valid], iou_thr.item())[1]][: max_per_img.item()]
            chosen.append(torch.stack([torch.full_like(kept, i), torch.zeros_like(kept), kept], dim=1))
        return torch.cat(chosen)

    @staticmethod
    def symbolic(g, boxes, scores, iou_thr, max_per_img):
        """Write it as NonMaxSuppression."""
        zero = g.op('Constant', value_t=torch.zeros(1))
        return g.op('NonMaxSuppression', boxes, scores, max_per_img, iou_thr, zero)


class RoIAlign(Function):
    """Average RoIAlign with square outputs."""

    @staticmethod
    def forward(
        ctx, feats: Tensor, rois: Tensor, size: int, spatial_scale: float, sampling_ratio: int, aligned: bool
    ) -> Tensor:
        """Extract features (n, C, size, size) of RoIs (n, 5), as mmcv's ``roi_align``."""
        return roi_align(feats, rois, (size, size), spatial_scale, sampling_ratio, 'avg', aligned)

    @staticmethod
    def symbolic(g, feats, rois, size, spatial_scale, sampling_ratio, aligned):
        """Write it as RoiAlign."""
        column = g.op('Constant', value_t=torch.tensor(0))
        images = g.op('Cast', g.op('Gather', rois, column, axis_i=1), to_i=7)  # to int64
        boxes = g.op('Gather', rois, g.op('Constant', value_t=torch.arange(1, 5)), axis_i=1)
        return g.op(
            'RoiAlign',
            feats,
            boxes,
            images,
            coordinate_transformation_mode_s='half_pixel' if aligned else 'output_half_pixel',
            mode_s='avg',
            output_height_i=size,
            output_width_i=size,
            sampling_ratio_i=sampling_ratio,
            spatial_scale_f=spatial_scale,
        )


class DeformConv(Function):
    """Modulated deformable convolution (v2)."""

    @staticmethod
    def forward(ctx, x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, *settings) -> Tensor:
        """Convolve, as mmcv's ``modulated_deform_conv2d``; settings are its stride, padding, ..., deform_groups."""
        return modulated_deform_conv2d(x, offset, mask, weight, bias, *settings)

    @staticmethod
    def symbolic(g, x, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups):
        """Write it as DeformConv, which ONNX has from opset 19 on."""
        return g.op(
            'DeformConv',
            x,
            weight,
            offset,
            bias,
            mask,
            dilations_i=dilation,
            group_i=groups,
            kernel_shape_i=weight.type().sizes()[2:],
            offset_group_i=deform_groups,
            pads_i=[*padding, *padding],
            strides_i=stride,
        )


class _DeformConvPack(ModulatedDeformConv2dPack):
    def forward(self, x: Tensor) -> Tensor:
        first, second, mask = self.conv_offset(x).chunk(3, dim=1)
        bias = self.weight.new_zeros(self.out_channels) if self.bias is None else self.bias
        return DeformConv.apply(
            x, torch.cat([first, second], dim=1), mask.sigmoid(), self.weight, bias,
            self.stride, self.padding, self.dilation, self.groups, self.deform_groups,
        )  # fmt: skip


def replace_deform_convs(model: torch.nn.Module) -> bool:
    """Let the deformable convolutions of a model be written as DeformConv, in place; return whether it has any."""
    found = [module for module in model.modules() if type(module) is ModulatedDeformConv2dPack]
    for module in found:
        module.__class__ = _DeformConvPack  # the same parameters, another forward
    return bool(found)
