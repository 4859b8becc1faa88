"""Reading annotations in any mask form, and a drawn data set to try training on."""

from .load_annotations import LoadInstanceAnnotations
from .shapes import CLASSES, DEFAULT, HARD, PALETTE, Difficulty, Instance, draw
from .shapes_coco import decode, make_shapes, segmentation

__all__ = [
    'CLASSES',
    'DEFAULT',
    'HARD',
    'PALETTE',
    'Difficulty',
    'Instance',
    'LoadInstanceAnnotations',
    'decode',
    'draw',
    'make_shapes',
    'segmentation',
]
