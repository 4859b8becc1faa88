"""Data to try training on. Imports neither torch nor mmdet."""

from .shapes import CLASSES, DEFAULT, HARD, PALETTE, Difficulty, Instance, draw
from .shapes_coco import decode, make_shapes, segmentation

__all__ = [
    'CLASSES',
    'DEFAULT',
    'HARD',
    'PALETTE',
    'Difficulty',
    'Instance',
    'decode',
    'draw',
    'make_shapes',
    'segmentation',
]
