"""Reads COCO panoptic annotations: a JSON file of segments, which are colors of a PNG an image."""

import os

from mmdet.datasets import CocoPanopticDataset
from mmdet.datasets.api_wrappers import COCOPanoptic
from mmdet.registry import DATASETS

from ..errors import AnnotationError, ConfigError
from .coco import CocoReader

__all__ = ['CityscapesPanopticDataset', 'PanopticDataset', 'PanopticReader']


class PanopticReader(CocoReader, COCOPanoptic):
    """The COCO API on panoptic annotation files, as CocoReader on those of instances.

    Args:
        annotation_file (str, optional): A JSON file. Defaults to None, an empty dataset.

    Raises:
        InputError: As :func:`read_coco`, or if a segment is of no category or an annotation of no image.
    """

    panoptic = True

    def createIndex(self) -> None:
        """Index the file; the PNG of an image is the one that its annotation names."""
        super().createIndex()
        for annotation in self.dataset.get('annotations', []):
            name = annotation.get('file_name')
            if annotation['image_id'] not in self.imgs:
                raise AnnotationError(
                    f'the annotation of {name} is of image {annotation["image_id"]}, which is not among the images of '
                    'the file: add the image, or take the annotation out.'
                )
            self.imgs[annotation['image_id']]['segm_file'] = name
            for segment in annotation['segments_info']:
                if segment['category_id'] not in self.cats:
                    raise AnnotationError(
                        f'segment {segment["id"]} of {name} has category_id {segment["category_id"]}, which none of '
                        f'the {len(self.cats)} categories has: add it to categories, or correct the segment.'
                    )

    def get_ann_ids(self, img_ids: list) -> list:
        """Return what ``load_anns`` takes: the images, as segments of different images may have the same id."""
        return img_ids

    def load_anns(self, ids: list) -> list[dict]:
        """Return the segments of images; mmdet would go through those of all images that have the same id."""
        return [segment for image in ids for segment in self.imgToAnns[image]]


@DATASETS.register_module()
class PanopticDataset(CocoPanopticDataset):
    """CocoPanopticDataset whose labels follow ``metainfo``: first the things, then the stuff.

    Segments of the file's other categories are void.

    Args: As CocoPanopticDataset. ``metainfo`` has ``thing_classes`` and ``stuff_classes``, from which ``classes``
        follows; without them it is COCO's.

    Raises:
        ConfigError: If only a part of the classes is given.
        InputError: As PanopticReader; or if the file lacks a class, or takes a thing for stuff.

    >>> metainfo = dict(thing_classes=('cat', 'dog'), stuff_classes=('sky', 'grass'))
    >>> PanopticDataset(metainfo=metainfo, lazy_init=True).metainfo['classes']
    ('cat', 'dog', 'sky', 'grass')
    """

    COCOAPI = PanopticReader

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        metainfo = dict(metainfo or {})
        if metainfo.keys() & {'classes', 'thing_classes', 'stuff_classes'}:
            if not metainfo.keys() >= {'thing_classes', 'stuff_classes'}:
                raise ConfigError(
                    'PanopticDataset: metainfo does not say which classes are things and which stuff: write '
                    "metainfo=dict(thing_classes=('cat', 'dog'), stuff_classes=('sky', 'grass')), say."
                )
            metainfo['classes'] = (*metainfo['thing_classes'], *metainfo['stuff_classes'])
        return super()._load_metainfo(metainfo)

    def load_data_list(self) -> list[dict]:
        """Read the file; return an entry an image, with ``instances``, ``segments_info`` and ``seg_map_path``."""
        data_list = super().load_data_list()
        if len(self.cat_ids) < len(self.metainfo['classes']):
            raise AnnotationError(
                f'the annotation file {self.ann_file} has only {len(self.cat_ids)} of the '
                f'{len(self.metainfo["classes"])} classes: set thing_classes and stuff_classes in metainfo to names '
                'of its categories, and model.num_classes and model.num_stuff_classes to their numbers.'
            )
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Make the entry of an image; see CocoPanopticDataset."""
        segments = [segment for segment in raw_data_info['raw_ann_info'] if segment['category_id'] in self.cat2label]
        for segment in segments:
            category = self.coco.cats[segment['category_id']]
            if (category['name'] in self.metainfo['thing_classes']) != bool(category.get('isthing')):
                raise AnnotationError(
                    f'category {category["name"]} has isthing={category.get("isthing")} in {self.ann_file}, but the '
                    'config says otherwise: move it between thing_classes and stuff_classes of metainfo, or correct '
                    'the file.'
                )
        data_info = super().parse_data_info({**raw_data_info, 'raw_ann_info': segments})
        if data_info['seg_map_path']:
            name = raw_data_info['raw_img_info']['segm_file']
            data_info['seg_map_path'] = os.path.join(self.data_prefix['seg'], name)
        return data_info


@DATASETS.register_module()
class CityscapesPanopticDataset(PanopticDataset):
    """PanopticDataset of what ``createPanopticImgs.py`` of cityscapesScripts writes, with images in folders of cities.

    Args: As PanopticDataset.
    """

    METAINFO = dict(
        thing_classes=('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle'),
        stuff_classes=(
            *('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign'),
            *('vegetation', 'terrain', 'sky'),
        ),
        palette=[
            *[(220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230)],
            *[(119, 11, 32), (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153)],
            *[(153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180)],
        ],
    )
    METAINFO['classes'] = METAINFO['thing_classes'] + METAINFO['stuff_classes']

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Make the entry of an image; see PanopticDataset."""
        data_info = super().parse_data_info(raw_data_info)
        folder, name = os.path.split(data_info['img_path'])
        data_info['img_path'] = os.path.join(folder, name.split('_')[0], name)
        return data_info
