"""Any mask form is read; polygons stay polygons where they can."""

import numpy as np
import pycocotools.mask as mask_util
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmcentermask.datasets import LoadInstanceAnnotations

POLYGON = [[10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]]


def rle(compressed):
    mask = np.zeros((40, 50), np.uint8, order='F')
    mask[10:30, 10:30] = 1
    encoded = mask_util.encode(mask)
    if compressed:
        return dict(encoded, counts=encoded['counts'].decode())  # as JSON holds it
    counts, value, run = [], 0, 0
    for pixel in mask.ravel(order='F'):
        if pixel != value:
            counts.append(run)
            value, run = pixel, 0
        run += 1
    return dict(size=[40, 50], counts=[*counts, run])


def load(*masks, crowd=()):
    instances = [
        dict(bbox=[10, 10, 30, 30], bbox_label=0, mask=mask, ignore_flag=int(i in crowd))
        for i, mask in enumerate(masks)
    ]
    results = LoadInstanceAnnotations()(
        dict(instances=instances, img_shape=(40, 50), ori_shape=(40, 50), height=40, width=50)
    )
    return results['gt_masks'], results['gt_ignore_flags'].tolist()


def test_polygons_stay_polygons():
    masks, ignored = load(POLYGON, POLYGON + POLYGON)
    assert isinstance(masks, PolygonMasks) and [len(parts) for parts in masks.masks] == [1, 2]
    assert ignored == [False, False]


def test_rles_are_read_not_ignored():
    for form in (rle(True), rle(False)):
        masks, ignored = load(form, POLYGON)
        assert isinstance(masks, BitmapMasks)
        assert ignored == [False, False]
        assert masks.areas.tolist() == [400, 400]


def test_a_crowd_region_does_not_cost_the_others_their_polygons():
    masks, ignored = load(POLYGON, rle(False), crowd=(1,))
    assert isinstance(masks, PolygonMasks) and ignored == [False, True]


def test_one_image_does_not_change_the_next():
    loader = LoadInstanceAnnotations()
    for form, kind in ((rle(True), BitmapMasks), (POLYGON, PolygonMasks), (rle(False), BitmapMasks)):
        instance = dict(bbox=[10, 10, 30, 30], bbox_label=0, mask=form, ignore_flag=0)
        assert isinstance(
            loader(dict(instances=[instance], height=40, width=50, img_shape=(40, 50), ori_shape=(40, 50)))['gt_masks'],
            kind,
        )


def test_an_image_without_instances():
    masks, _ = load()
    assert len(masks) == 0


def test_whole_number_polygons_are_cropped_as_floats_are():
    """As integers they would be truncated at every step from the box to the mask target."""
    whole = [10, 20, 87, 25, 90, 77, 40, 80, 13, 70]
    masks = [load([polygon])[0] for polygon in (whole, [float(value) for value in whole])]
    assert all(part.dtype == np.float64 for mask in masks for parts in mask.masks for part in parts)
    box, inds = np.array([[8.3, 17.6, 92.4, 81.9]], np.float32), np.zeros(1, np.int64)
    targets = [mask.crop_and_resize(box, (28, 28), inds).to_ndarray() for mask in masks]
    assert targets[0].sum() > 200 and np.array_equal(*targets)
