"""mmdet's visualizer with the look of this package."""

import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData, PixelData

from .drawing import draw_instances, draw_panoptic


@VISUALIZERS.register_module()
class CenterMaskVisualizer(DetLocalVisualizer):
    """DetLocalVisualizer that draws a class in one color wherever it occurs, and masks as RLEs, too.

    Of a panoptic prediction the fused map is drawn alone, without the objects that it was made of.

    Lines and labels follow the size of the image, see ``draw_instances``; ``line_width`` and ``text_color`` are for
    segmentation maps only.

    Args:
        name (str): As DetLocalVisualizer. Defaults to 'visualizer'.
        *args: As DetLocalVisualizer.
        alpha (float): Opacity of masks, 0..1. Defaults to 0.45.
        **kwargs: As DetLocalVisualizer. ``mask_color`` or ``bbox_color``, one color or mmdet's name of a palette, takes
            the place of the dataset's.

    >>> visualizer = CenterMaskVisualizer()  # doctest: +SKIP
    >>> visualizer.dataset_meta = dict(classes=('cat', 'dog'))  # doctest: +SKIP
    >>> visualizer.add_datasample('image', image, data_sample, out_file='drawn.png')  # doctest: +SKIP
    """

    def __init__(self, name: str = 'visualizer', *args, alpha: float = 0.45, **kwargs) -> None:
        super().__init__(name, *args, alpha=alpha, **kwargs)

    def add_datasample(
        self, name: str, image: np.ndarray, data_sample: DetDataSample | None = None, *args, **kwargs
    ) -> None:
        """Draw an image; see DetLocalVisualizer."""
        if data_sample is not None and 'pred_panoptic_seg' in data_sample and 'pred_instances' in data_sample:
            data_sample = data_sample.clone()
            del data_sample.pred_instances
        super().add_datasample(name, image, data_sample, *args, **kwargs)

    def _draw_panoptic_seg(
        self, image: np.ndarray, panoptic_seg: PixelData, classes: list[str], palette: list[tuple] | None
    ) -> np.ndarray:
        chosen = palette if self.mask_color is None else self.mask_color
        return draw_panoptic(image, np.asarray(panoptic_seg.sem_seg)[0], classes, chosen, alpha=self.alpha)

    def _draw_instances(
        self, image: np.ndarray, instances: InstanceData, classes: list[str] | None, palette: list[tuple] | None
    ) -> np.ndarray:
        chosen = [choice for choice in (self.mask_color, self.bbox_color, palette) if choice is not None]
        return draw_instances(image, instances, classes, chosen[0] if chosen else None, alpha=self.alpha)
