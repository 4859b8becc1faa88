"""Reads the images of training, and does without those that are damaged."""

import logging

import cv2
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine.logging import print_log

_SLOTS = 1 << 20  # bytes; data sets beyond a million images may leave a damaged one unnamed


@TRANSFORMS.register_module()
class LoadTrainingImage(LoadImageFromFile):
    """LoadImageFromFile that names an image which it cannot read, once, and returns None.

    The data set then takes another image at random, until ``max_refetch`` of them (1000 by default) failed in a row.
    For training only: an evaluation without some of its images would be of another data set.

    Args:
        **kwargs: As LoadImageFromFile, but for ``ignore_empty``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(ignore_empty=False, **kwargs)
        # workers are processes, and each image may come to any of them: they share what was named already
        self._named = torch.zeros(_SLOTS, dtype=torch.uint8).share_memory_()

    def transform(self, results: dict) -> dict | None:
        """Read the image.

        Args:
            results (dict): With ``img_path``, and ``sample_idx``, its number in the data set.

        Returns:
            dict or None: With ``img``, ``img_shape`` and ``ori_shape``; None if it cannot be read.
        """
        try:
            return super().transform(results)
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
            return None
