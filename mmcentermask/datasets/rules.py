"""The table of rules on COCO annotation files, for training, testing and ``tools/check_dataset.py``.

Training and testing apply the cheap rules before they begin and refuse a file that breaks one of severity ``error``;
``tools/check_dataset.py`` applies all of them. What an error names would stop the run or make its results wrong; a
warning names what is left out, or perhaps not meant. What finds them is in entry_rules.py, geometry_rules.py,
class_rules.py and panoptic_rules.py.
"""

from typing import NamedTuple

from .annotation_tables import CocoSplit

__all__ = ['RULES', 'Rule']


class Rule(NamedTuple):
    """A rule on a COCO dataset.

    Attributes:
        severity: ``'error'``; ``'warning'``; or what must be so for an error, an attribute of CocoSplit.
        text: What is wrong.
        hint: How to put it right.
    """

    severity: str
    text: str
    hint: str

    def is_error(self, split: CocoSplit) -> bool:
        """Whether a run on ``split`` refuses it."""
        return self.severity == 'error' or (self.severity != 'warning' and getattr(split, self.severity))


# in the order in which they are told; the last ones follow from others
RULES = {
    'category-left-out': Rule(
        'warning', 'category is no class of the config, its objects are left out', 'add the class'
    ),
    'image-entry': Rule(
        'error',
        'image entry cannot be used',
        'give id, file_name, and height and width of the file in pixels; numbers unquoted',
    ),
    'category-entry': Rule('error', 'category entry cannot be used', 'give an id, and a name in quotes'),
    'object-entry': Rule(
        'error',
        'object entry cannot be used',
        'give id, image_id, category_id, area, and iscrowd as 0 or 1; numbers unquoted',
    ),
    'number-as-text': Rule('warning', 'number is text, and read as a number', 'write it without quotes'),
    'image-id-twice': Rule('error', 'two images have the same id', 'give each image an id of its own, in both lists'),
    'image-file-twice': Rule('warning', 'two image entries name the same file', 'take one of the entries out'),
    'category-id-twice': Rule('error', 'two categories have the same id', 'give each category an id of its own'),
    'category-name-twice': Rule(
        'error',
        'two categories have the same name',
        'take the one without objects out, give the objects of both one id, or rename one',
    ),
    'object-id-twice': Rule('error', 'two objects have the same id', 'give each object an id of its own'),
    'id-types': Rule(
        'error', 'ids are text in one place and numbers in another', 'write ids as numbers everywhere, without quotes'
    ),
    'object-id-zero': Rule('warning', 'object id 0 is taken for no object by COCOeval', 'number objects from 1'),
    'object-no-image': Rule('warning', 'object is in no image of the file', 'correct image_id, or take the object out'),
    'object-no-category': Rule(
        'warning', 'object is of no category of the file', 'correct category_id, or add the category'
    ),
    'object-area': Rule('warning', 'area is zero, so training leaves the object out', 'write the area of the mask'),
    'object-twice': Rule('warning', 'object is the same as another one of its image', 'take one of the two out'),
    'image-missing': Rule('error', 'there is no image file', 'put the file there, or correct file_name'),
    'image-damaged': Rule('error', 'image cannot be decoded', 'replace it by a complete JPEG or PNG, or leave it out'),
    'image-size': Rule(
        'error',
        'image has another size than its entry says',
        'annotate the images as they are read, and write that size into the entries; where EXIF turned an image that '
        'was annotated as it is stored, set color_type=color_ignore_orientation in each LoadTrainingImage and '
        'LoadImageFromFile: --cfg-options train_dataloader.dataset.pipeline.0.color_type=color_ignore_orientation, '
        'and so for val_dataloader and test_dataloader',
    ),
    'image-depth': Rule(
        'error',
        'image has more than 8 bits or 4 channels',
        'scale the images to 8 bits, 3 channels, in the same way as those that the weights were trained on',
    ),
    'image-turned': Rule(
        'warning',
        'image is turned or mirrored by its EXIF orientation, which its size does not show',
        'make sure that it was annotated upright, or set color_type=color_ignore_orientation in its loader',
    ),
    'image-alpha': Rule(
        'warning',
        'image has a fourth channel (transparency or another band), which is not read',
        'make sure that the other three are the image as it was annotated',
    ),
    'image-elsewhere': Rule('warning', 'image is outside of the image folder', 'make sure that this is meant'),
    'box-invalid': Rule('error', 'box is not [x, y, width, height]', 'give four finite numbers, sizes not negative'),
    'box-corners': Rule('error', 'boxes are [x1, y1, x2, y2]', 'write [x, y, width, height], as COCO does'),
    'box-outside': Rule('warning', 'box reaches out of the image', 'cut it at the border; it is [x, y, width, height]'),
    'box-small': Rule('warning', 'box is less than a pixel wide or high, so training leaves it out', 'take it out'),
    'box-mask-differ': Rule('warning', 'box and mask are not of the same place', 'compute the box from the mask'),
    'mask-missing': Rule('masks_needed', 'object has no mask', 'give a polygon or an RLE'),
    'polygon-invalid': Rule(
        'error', 'polygon is not [x1, y1, x2, y2, ...]', 'give pairs of finite numbers, in a list of polygons'
    ),
    'polygon-short': Rule('masks_scored', 'polygon has fewer than 3 points', 'take it out, or draw it anew'),
    'rle-size': Rule('error', 'RLE is for another image size', 'encode the mask at the size of its image'),
    'rle-invalid': Rule(
        'error', 'RLE cannot be decoded', 'encode the mask anew, with counts as text or a list of numbers'
    ),
    'crowd-polygon': Rule('warning', 'crowd is a polygon, where COCO has an RLE', 'encode it, or make it no crowd'),
    'polygon-outside': Rule('warning', 'polygon reaches out of the image', 'cut it at the border'),
    'polygon-crossing': Rule('warning', 'polygon crosses itself', 'draw it anew, or leave it: it is filled even-odd'),
    'polygon-flat': Rule('warning', 'polygon has no area', 'take it out'),
    'png-missing': Rule(
        'error', 'there is no panoptic PNG', 'unpack the PNGs into the folder that data_prefix.seg names'
    ),
    'png-differs': Rule('error', 'panoptic PNG and JSON disagree', 'give those of the same release'),
    'thing-or-stuff': Rule(
        'error',
        'category is a thing in the file and stuff in the config, or the other way round',
        'move it between thing_classes and stuff_classes of metainfo, or correct isthing',
    ),
    'classes': Rule('error', 'the classes of the config do not fit', ''),
    'nothing-usable': Rule(
        'annotated',
        'no object is left to learn from, or to compare with',
        'give objects of the classes that have a box, an area and a mask, and iscrowd 0 where they are single objects',
    ),
    'many-lost': Rule('warning', 'many objects are left out', 'make sure that this is meant'),
    'class-empty': Rule('warning', 'class without a usable object', 'add examples, or take the class out'),
}
