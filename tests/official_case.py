"""A model with the recipe's weights beside what the official implementation answers with them."""

import functools

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.structures import InstanceData
from recipe import DATA, official_shapes, recipe

from conftest import CONFIGS, sample
from mmcentermask.checkpoints import convert_state_dict

_GROUND_TRUTH = (
    ([(5.1, 10.5, 75.7, 100.1), (80, 15, 150, 60), (100, 50, 115, 70)], [3, 17, 55]),
    ([(5, 8, 120, 139), (50, 45, 70, 80)], [0, 79]),
)


V1 = 'v1/'  # before the name of a case of CenterMaskV1; the others are CenterMask2's


def known_answers(name):
    return np.load(DATA / ('cases_v1' if name.startswith(V1) else 'cases') / f'{name.removeprefix(V1)}.npz')


@functools.lru_cache(maxsize=2)  # the two cases that are compared whole take turns
def converted(name):
    family = 'centermask' if name.startswith(V1) else 'centermask2'
    return convert_state_dict(recipe(official_shapes()[family][name.removeprefix(V1)]))


def build_model(name):
    conversion = converted(name)
    cfg = Config.fromfile(CONFIGS / f'{conversion.config}.py').model
    cfg.test_cfg.max_per_img = 20
    cfg.train_cfg.rcnn.sampler.num = 100000  # every positive is used
    cfg.backbone.norm_eval = True  # as the original trains all of them, also those that we start from scratch
    model = MODELS.build(cfg)
    model.load_state_dict(conversion.state_dict, strict=True)
    return model.eval()


def _star(box):
    """A polygon of 12 points around the centre of a box, in turn on and inside of its ellipse."""
    x1, y1, x2, y2 = box
    angle = 2 * np.pi * np.arange(12) / 12
    radius = np.where(np.arange(12) % 2 == 0, 1.0, 0.6)
    x = (x1 + x2) / 2 + radius * (x2 - x1) / 2 * np.cos(angle)
    y = (y1 + y2) / 2 + radius * (y2 - y1) / 2 * np.sin(angle)
    return [np.stack([x, y], axis=1).ravel()]


def _two_stars(box):
    """An object of two parts: a star in the left half of its box, one in the right half."""
    x1, y1, x2, y2 = box
    middle = (x1 + x2) / 2
    return _star((x1, y1, middle, y2)) + _star((middle, y1, x2, y2))


def batch(case, model, two_parts=False, dtype=np.float64):
    """The two images in one padded batch, and their ground truth, polygons of ``dtype``."""
    polygons_of = _two_stars if two_parts else _star
    images, samples = [], []
    for i, (boxes, labels) in enumerate(_GROUND_TRUTH):
        image = torch.from_numpy(case[f'image/{i}']).permute(2, 0, 1)
        data_sample = sample(*image.shape[1:], boxes, labels)
        masks = data_sample.gt_instances.masks
        data_sample.gt_instances.masks = type(masks)(
            [[part.astype(dtype) for part in polygons_of(box)] for box in boxes], *image.shape[1:]
        )
        data_sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
        images.append(image)
        samples.append(data_sample)
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=False)
    return data['inputs'], data['data_samples']


def relative(ours, theirs, whole=None):
    """Largest difference in units of the largest value, of the whole map where ``ours`` is a sample of it."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs if whole is None else np.asarray(whole, np.float64)).max()


def match(boxes, labels, case, i):
    """For each of our detections, the official one with the same label and the nearest box."""
    distance = np.abs(boxes[:, None] - case[f'det/{i}/boxes'][None]).max(axis=2)
    distance[labels[:, None] != case[f'det/{i}/labels'][None]] = np.inf
    nearest = distance.argmin(axis=1)
    assert sorted(nearest) == list(range(len(case[f'det/{i}/boxes'])))  # one for each
    return nearest


def official_masks(case, i, prefix=''):
    shape = case[f'det/{i}/{prefix}masks_shape']
    bits = np.unpackbits(case[f'det/{i}/{prefix}masks'], count=int(np.prod(shape)))
    return bits.reshape(shape).astype(bool)


def snap_proposals(model, case, key):
    """Put proposals that lie within 0.01 pixel of an official one in its place.

    Rounding moves them by less, which is enough to change some pixels of a mask target whose edge is on pixels.
    """
    loss_and_predict = model.bbox_head.loss_and_predict

    def snapped(*args, **kwargs):
        losses, proposals = loss_and_predict(*args, **kwargs)
        for i, proposal in enumerate(proposals):
            official = torch.from_numpy(case[f'{key}/{i}/boxes'])
            distance, nearest = (proposal.bboxes[:, None] - official).abs().amax(dim=2).min(dim=1)
            assert (distance < 0.01).all()
            proposal.bboxes = official[nearest]
        return losses, proposals

    model.bbox_head.loss_and_predict = snapped
