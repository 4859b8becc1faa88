"""Whatever form a mask has in the annotations, the heads train on the same targets."""

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from scipy.ndimage import binary_dilation, binary_erosion

from mmcentermask.models import CenterMaskIoUHead, SAGMaskHead

HEIGHT, WIDTH = 100, 120
ANY = np.ones((3, 3), bool)


def _circle(x, y, radius, corners=40):
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1).ravel().tolist()


# a square ring: from the outer corner to the inner one, round the hole the other way, and back the same way
KEYHOLE = [20, 20, 80, 20, 80, 80, 20, 80, 20, 20, 40, 40, 40, 60, 60, 60, 60, 40, 40, 40]
OBJECTS = {
    'square': [[20.0, 20.0, 80.0, 20.0, 80.0, 80.0, 20.0, 80.0]],
    'round': [_circle(52.3, 48.7, 33.4)],
    'two parts': [_circle(35.5, 40.2, 18.0), [60.0, 35.0, 95.5, 35.0, 95.5, 78.0]],
    'hole': [[float(value) for value in KEYHOLE]],
}


def bitmap(polygons):
    """The object's pixels, as pycocotools fills them."""
    return mask_util.decode(mask_util.merge(mask_util.frPyObjects(polygons, HEIGHT, WIDTH)))


def as_form(polygons, form):
    if form == 'polygon':
        return polygons
    pixels = np.asfortranarray(bitmap(polygons))
    encoded = mask_util.encode(pixels)
    if form == 'bytes':
        return encoded
    if form == 'compressed':
        return dict(encoded, counts=encoded['counts'].decode())  # as JSON holds it
    column_wise = pixels.ravel(order='F')
    edges = np.flatnonzero(np.diff(column_wise)) + 1
    runs = np.diff([0, *edges, column_wise.size]).tolist()
    return dict(size=[HEIGHT, WIDTH], counts=runs if column_wise[0] == 0 else [0, *runs])


def box(polygons):
    points = np.concatenate([np.reshape(part, (-1, 2)) for part in polygons])
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def training_masks(objects, forms, transforms=()):
    """What a training pipeline makes of the masks of one image."""
    instances = [
        dict(bbox=box(polygons), bbox_label=0, mask=as_form(polygons, form), ignore_flag=0)
        for polygons, form in zip(objects, forms, strict=True)
    ]
    results = dict(
        img=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        height=HEIGHT,
        width=WIDTH,
        instances=instances,
    )
    for transform in (dict(type='LoadInstanceAnnotations'), *transforms):
        results = TRANSFORMS.build(transform)(results)
    assert not results['gt_ignore_flags'].any()
    return results['gt_masks'], results['gt_bboxes'].tensor


# of a size at which no pixel of the bitmap is larger than a pixel of the target
ENLARGED = (dict(type='Resize', scale=(240, 200), keep_ratio=True), dict(type='RandomFlip', prob=1.0))


def targets(objects, forms, transforms=()):
    """Mask targets and visible ratios of two RoIs an object: its box, and one that cuts it and leaves the image."""
    masks, boxes = training_masks(objects, forms, transforms)
    size = boxes[:, 2:] - boxes[:, :2]
    rois = torch.stack([boxes, boxes + torch.cat([size, size], dim=1) * 0.4], dim=1).flatten(0, 1)
    inds = torch.arange(len(boxes)).repeat_interleave(2)
    sampled = ConfigDict(pos_priors=rois, pos_assigned_gt_inds=inds)
    head = SAGMaskHead(num_convs=1, in_channels=8, conv_out_channels=8)
    mask_targets = head.get_targets([sampled], [InstanceData(masks=masks)], ConfigDict(mask_size=28))
    ratios = CenterMaskIoUHead(num_convs=2, in_channels=8, conv_out_channels=8).visible_ratios
    return mask_targets.numpy().astype(bool), ratios(rois.numpy(), inds.numpy(), masks), masks


def assert_same_but_for_the_outline(found, expected):
    """Two roundings of one outline, each off by less than a pixel, differ in no pixel that is not beside it."""
    for one, other in zip(found, expected, strict=True):
        inner, outer = binary_erosion(other, ANY, border_value=1), binary_dilation(other, ANY)
        assert (one | ~inner).all() and (~one | outer).all()
        assert np.logical_and(one, other).sum() >= 0.9 * np.logical_or(one, other).sum() > 0


@pytest.mark.parametrize('transforms', [(), ENLARGED], ids=['as it is', 'enlarged and mirrored'])
@pytest.mark.parametrize('name', OBJECTS)
def test_all_forms_give_one_target(name, transforms):
    polygons = [OBJECTS[name]]
    expected, ratios, masks = targets(polygons, ['polygon'], transforms)
    assert isinstance(masks, PolygonMasks)
    found = {form: targets(polygons, [form], transforms) for form in ('compressed', 'uncompressed', 'bytes')}
    for form, (mask_targets, form_ratios, form_masks) in found.items():
        assert isinstance(form_masks, BitmapMasks)
        np.testing.assert_array_equal(mask_targets, found['compressed'][0], err_msg=form)
        np.testing.assert_array_equal(form_ratios, found['compressed'][1], err_msg=form)
    assert_same_but_for_the_outline(found['compressed'][0], expected)
    # the ratio of two areas, each of which is off by at most the pixels along the outline and the cut
    mask = form_masks.masks[0].astype(bool)
    outline = (mask & ~binary_erosion(mask, ANY)).sum()
    assert np.abs(form_ratios - ratios).max() <= outline / mask.sum()


def test_a_square_gives_the_same_target_to_the_pixel():
    """Its edges are the RoI's, so nothing is to be rounded."""
    for form in ('polygon', 'compressed'):
        mask_targets, ratios, _ = targets([OBJECTS['square']], [form])
        assert mask_targets[0].all() and ratios[0] == 1
        # the second RoI begins at 0.4 of the object, so 0.6 of each side are in it: 16.8 pixels of 28
        assert mask_targets[1, :16, :16].all() and not mask_targets[1, 17:].any() and not mask_targets[1, :, 17:].any()
        assert ratios[1] == pytest.approx(0.36, abs=1e-6)


@pytest.mark.parametrize('form', ['polygon', 'compressed', 'uncompressed'])
def test_a_hole_stays_a_hole(form):
    (target, _), ratios, masks = targets([OBJECTS['hole']], [form])
    assert masks.areas.tolist() == [3600 - 400]
    # in a target of 28 pixels for 60 the hole is pixels 9.33 to 18.67 on each side
    assert not target[10:18, 10:18].any() and target[:9].all() and target[:, 19:].all()
    assert ratios[0] == 1


@pytest.mark.parametrize('form', ['polygon', 'compressed', 'uncompressed'])
def test_all_parts_count(form):
    (target, _), ratios, _ = targets([OBJECTS['two parts']], [form])
    left, right = target[:, :14].sum(), target[:, 14:].sum()
    assert left > 80 and right > 80
    assert ratios[0] == pytest.approx(1, abs=0.03)


def test_an_image_with_every_form_at_once():
    objects = list(OBJECTS.values())
    mixed, ratios, masks = targets(objects, ['polygon', 'compressed', 'uncompressed', 'bytes'])
    assert isinstance(masks, BitmapMasks) and len(masks) == 4
    all_rle = targets(objects, ['compressed'] * 4)
    np.testing.assert_array_equal(mixed, all_rle[0])
    np.testing.assert_array_equal(ratios, all_rle[1])
    assert_same_but_for_the_outline(mixed, targets(objects, ['polygon'] * 4)[0])


def test_the_order_of_objects_stays():
    """Of each object the other's target would be wrong."""
    objects = [OBJECTS['square'], OBJECTS['two parts']]
    for forms in (['polygon', 'compressed'], ['compressed', 'polygon']):
        mask_targets, _, _ = targets(objects, forms)
        assert mask_targets[0].all() and not mask_targets[2].all()
