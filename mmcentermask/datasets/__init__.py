"""Reading images and annotations, and a drawn data set to try training on."""

from .coco import CocoInstanceDataset
from .legacy_transforms import FilterLegacyBoxes, LegacyRandomFlip, LegacyResize
from .loading import (
    LoadInstanceAnnotations,
    LoadPanopticPNGAnnotations,
    LoadTrainingImage,
    show_loaders_to_mmdet,
)
from .panoptic import CityscapesPanopticDataset, PanopticDataset
from .shapes import CLASSES, DEFAULT, HARD, PALETTE, STUFF, Difficulty, Instance, draw
from .shapes_coco import decode, make_shapes, segmentation

__all__ = [
    'CLASSES',
    'CityscapesPanopticDataset',
    'CocoInstanceDataset',
    'DEFAULT',
    'FilterLegacyBoxes',
    'HARD',
    'PALETTE',
    'Difficulty',
    'Instance',
    'LegacyRandomFlip',
    'LegacyResize',
    'LoadInstanceAnnotations',
    'LoadPanopticPNGAnnotations',
    'LoadTrainingImage',
    'PanopticDataset',
    'STUFF',
    'decode',
    'draw',
    'make_shapes',
    'segmentation',
]

show_loaders_to_mmdet()
