"""maskrcnn-benchmark's pasting of masks, by which CenterMaskV1's AP was measured."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .rle import encode_crop


def paste_legacy(
    maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float = 0.5, mask_format: str = 'dense'
) -> Tensor | list[dict]:
    """Paste masks as maskrcnn-benchmark does.

    A ring of zeros is put around the map, and the box is enlarged about its center by as much. Its four numbers are
    truncated; the map is resized to x2 - x1 + 1 by y2 - y1 + 1 pixels, thresholded and written at x1, y1.

    Arguments and result are those of ``paste_masks``. Boxes come without the legacy offset, and pixels have to be above
    the threshold.
    """
    size = maps.new_tensor(maps.shape[:0:-1])
    padded = F.pad(maps.detach().float(), (1, 1, 1, 1)).cpu()
    center, half = (boxes[:, 2:] + boxes[:, :2]) * 0.5, (boxes[:, 2:] - boxes[:, :2]) * 0.5 * ((size + 2) / size)
    corners = torch.cat([center - half, center + half], dim=1).detach().cpu().nan_to_num().trunc().long().tolist()
    dense = np.zeros((len(boxes), height, width), bool) if mask_format == 'dense' else None
    codes = []
    for i, (x1, y1, x2, y2) in enumerate(corners):
        crop_size = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        resized = F.interpolate(padded[None, None, i], size=crop_size, mode='bilinear', align_corners=False)
        left, top = max(x1, 0), max(y1, 0)
        crop = (resized[0, 0] > threshold).numpy()[top - y1 : max(height - y1, 0), left - x1 : max(width - x1, 0)]
        if dense is None:
            codes.append(encode_crop(crop, left, top, height, width))
        elif crop.size:
            dense[i, top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return codes if dense is None else torch.from_numpy(dense).to(boxes.device)
