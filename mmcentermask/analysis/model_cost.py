"""The cost of a model: parameters and multiply-adds, and a workload of the network alone."""

from collections.abc import Callable

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .timing import StageTimer


def count_parameters(model: nn.Module) -> int:
    """Return the number of a model's parameters, frozen ones included, running statistics not."""
    return sum(p.numel() for p in model.parameters())


def network_pass(model: nn.Module, size: tuple[int, int], boxes: int) -> Callable[[], dict[str, float]]:
    """Make a function that runs every layer of a CenterMask once, with a workload that does not depend on its weights.

    It runs backbone, neck, box head (without NMS) and mask branch (without pasting) on one image, and returns the
    seconds as ``'network'``.

    Args:
        model (nn.Module): A CenterMask in evaluation mode.
        size (tuple[int, int]): Height and width of the image in pixels, multiples of 32.
        boxes (int): Number of boxes that get a mask; of sizes from a sixteenth of the image to all of it.
    """
    generator = torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    image = torch.randn(1, 3, *size, generator=generator).to(device)
    corner = torch.rand(boxes, 2, generator=generator) * 0.75
    side = 0.0625 + torch.rand(boxes, 2, generator=generator) * (1 - corner - 0.0625)
    scale = torch.tensor([size[1], size[0]] * 2)
    results = InstanceData(
        bboxes=(torch.cat([corner, corner + side], dim=1) * scale).to(device),
        labels=torch.zeros(boxes, dtype=torch.long, device=device),
    )
    sample = DetDataSample(metainfo=dict(img_shape=size))

    timer = StageTimer(model)

    def run() -> dict[str, float]:
        began = timer.now()
        with torch.no_grad():
            x = model.extract_feat(image)
            model.bbox_head(model.box_feats(x))
            model.roi_head.predict_maps(model.roi_feats(x), [results], [sample])
        return {'network': timer.now() - began}

    return run


def count_macs(run: Callable[[], object]) -> int:
    """Count the multiply-adds of convolutions and matrix products in a function: half of the floating-point operations.

    mmengine's ``get_model_complexity_info`` traces a model and so takes tensors only; this counts what is executed,
    detections included. RoIAlign, pooling, norms and the sampling of deformable convolutions are not counted.
    """
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2
