"""Draws detections whose masks are run-length codes."""

from __future__ import annotations

import cv2
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures.mask import bitmap_to_polygon
from mmdet.visualization import DetLocalVisualizer
from mmdet.visualization.palette import get_palette, jitter_color
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api

from mmcentermask.structures import decode_crop


@VISUALIZERS.register_module()
class CenterMaskVisualizer(DetLocalVisualizer):
    """DetLocalVisualizer that also draws run-length codes, and decodes one of them at a time.

    What it draws is what DetLocalVisualizer draws from dense masks.

    Args: As DetLocalVisualizer.
    """

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: list[str] | None,
        palette: list[tuple] | None,
    ) -> np.ndarray:
        """Draw boxes, names and masks; ``masks`` may be a list of run-length codes."""
        if not isinstance(instances.get('masks'), list):
            return super()._draw_instances(image, instances, classes, palette)
        without_masks = instances.new()
        codes = without_masks.pop('masks')
        super()._draw_instances(image, without_masks, classes, palette)
        if codes:
            mask_color = palette if self.mask_color is None else self.mask_color
            mask_palette = get_palette(mask_color, int(max(instances.labels)) + 1)
            colors = [jitter_color(mask_palette[label]) for label in instances.labels]
            self._draw_codes([(code, color) for code, color in zip(codes, colors) if mask_api.area(code)])
        return self.get_image()

    def _draw_codes(self, codes: list[tuple[dict, tuple]]) -> None:
        """Outline all masks, then lay their colors over the image, one mask after another."""
        outlines = []
        for code, _ in codes:
            mask, x, y = decode_crop(code)
            outlines.extend(outline + (x, y) for outline in bitmap_to_polygon(mask)[0])
        self.draw_polygons(outlines, edge_colors='w', alpha=self.alpha)
        image = self.get_image()
        for code, color in codes:
            mask, x, y = decode_crop(code)
            part = image[y : y + mask.shape[0], x : x + mask.shape[1]]
            colored = np.where(mask[..., None], np.array(color, np.uint8), part)
            part[...] = cv2.addWeighted(part, 1 - self.alpha, colored, self.alpha, 0)
        self.ax_save.imshow(image, extent=(0, self.width, self.height, 0), interpolation='nearest')
