"""Prediction on images, with an exported model where there is no torch, mmcv or mmdet.

It needs numpy, OpenCV, Pillow, pycocotools, and onnxruntime or openvino: ``pip install mmcentermask[runtime]``.
"""

from ..structures import Instances
from .segmenter import Segmenter

__all__ = ['Instances', 'Segmenter']
