"""mmdet's visualizer with the look of this package."""

import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from .drawing import draw_instances


@VISUALIZERS.register_module()
class CenterMaskVisualizer(DetLocalVisualizer):
    """DetLocalVisualizer that draws a class in one color wherever it occurs, and masks as RLEs, too.

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

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: list[str] | None,
        palette: list[tuple] | None,
    ) -> np.ndarray:
        chosen = [choice for choice in (self.mask_color, self.bbox_color, palette) if choice is not None]
        return draw_instances(image, instances, classes, chosen[0] if chosen else None, alpha=self.alpha)
