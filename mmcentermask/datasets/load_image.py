"""Reads the images of training, and does without those that are damaged."""

import logging

import cv2
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine.logging import print_log

from ..errors import ImageError

_SLOTS = 1 << 20  # bytes; data sets beyond a million images may leave a damaged one unnamed


@TRANSFORMS.register_module()
class LoadTrainingImage(LoadImageFromFile):
    """LoadImageFromFile that names an image which it cannot read, once, and returns None.

    The dataset then takes another image at random. For training only: an evaluation without some of its images would
    be of another dataset.

    Args:
        max_failures (int): Images that cannot be read in a row until training stops. Defaults to 1000.
        **kwargs: As LoadImageFromFile, but for ``ignore_empty``.
    """

    def __init__(self, max_failures: int = 1000, **kwargs) -> None:
        super().__init__(ignore_empty=False, **kwargs)
        self.max_failures, self._failures = max_failures, 0
        # workers are processes, and each image may come to any of them: they share what was named already
        self._named = torch.zeros(_SLOTS, dtype=torch.uint8).share_memory_()

    def transform(self, results: dict) -> dict | None:
        """Read the image.

        Args:
            results (dict): With ``img_path``, and ``sample_idx``, its number in the data set.

        Returns:
            dict or None: With ``img``, ``img_shape`` and ``ori_shape``; None if it cannot be read.

        Raises:
            ImageError: If it is the last of ``max_failures`` in a row.
        """
        try:
            results = super().transform(results)
        except (AssertionError, OSError, cv2.error) as error:  # not decoded, not to be read, empty
            slot = results.get('sample_idx', 0) % _SLOTS
            if not self._named[slot]:
                self._named[slot] = 1
                reason = error.strerror if isinstance(error, OSError) and error.strerror else 'cannot be decoded'
                # of all processes only the first shows what is below an error
                print_log(
                    f'damaged image {results["img_path"]} ({reason}): training takes another in its place.',
                    logger='current',
                    level=logging.ERROR,
                )
            self._failures += 1
            if self._failures == self.max_failures:
                raise ImageError(
                    f'none of {self._failures} training images in a row can be read, as the log says of each: replace '
                    'the damaged ones by complete copies; `python tools/check_dataset.py CONFIG` names them all.'
                ) from error
            return None
        self._failures = 0
        return results
