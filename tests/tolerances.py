"""How far apart two float32 computations of the same numbers may be, on any processor.

A kernel adds the products of a convolution in an order of its own, which depends on the instruction set, the number of
threads, the batch size, the memory format and on what is fused. So two computations that follow the same rules differ
by rounding. Adding K products one after the other rounds by ``u * sqrt(K / 6)`` of the sum's own spread, with
``u = 2**-24``: each partial sum of k products has sqrt(k) times the spread of one of them and rounds by up to u of
itself. L layers add their errors like a random walk, and so do the two computations. For the 3 x 3 convolutions of 256
channels here and L = 70, which is what lies between an image and its logits, that is ``ROUNDING`` = 1.4e-5.

Errors are relative to the largest value of a map or a list. The largest of them is some 4 deviations of the rounding,
and the largest value at least 2 of its own, so that twice ``ROUNDING`` is reached but rarely; the bounds leave twice
of that again. A wrong rule changes a thousandth or more: see the table in docs/equality.md.
"""

import math

import torch

ROUNDING = 2**-24 * math.sqrt(9 * 256 / 6) * math.sqrt(2 * 70)

#: Features and logits, relative to the largest value of a map.
MAPS = 4 * ROUNDING
#: Scores and probabilities: a sigmoid's slope is at most 1/4, and logits are up to 8.
SCORES = 2 * MAPS
#: Boxes, in pixels of the input: distances of up to 8 strides; those of finer levels, most of all, are more exact.
BOXES = 0.01
#: Masks: pixels whose probability is the threshold but for rounding may go either way.
PIXELS, IOU = 2, 0.99


def assert_same_detections(found, expected, boxes=BOXES, scores=SCORES):
    """Compare instances with masks, in whatever order: scores that are equal but for rounding may change places.

    Args:
        found, expected (InstanceData): ``bboxes``, ``scores``, ``labels``, ``masks`` and, if any, ``mask_scores``.
        boxes (float): How far coordinates may be apart, in pixels.
        scores (float): How far scores may be apart, relative to 1 or to the largest, if that is larger.
    """
    assert len(found) == len(expected) > 0 and set(found.keys()) == set(expected.keys())
    distance = (found.bboxes[:, None] - expected.bboxes[None]).abs().amax(dim=2)
    distance[found.labels[:, None] != expected.labels[None]] = torch.inf
    # clipped to the image, two boxes may be one
    nearest = (distance + (found.scores[:, None] - expected.scores[None]).abs()).argmin(dim=1)
    assert sorted(nearest.tolist()) == list(range(len(expected)))
    assert distance.gather(1, nearest[:, None]).max() <= boxes
    for name in {'scores', 'mask_scores'} & set(found.keys()):
        scale = expected[name].abs().max().clamp(min=1).item()
        torch.testing.assert_close(found[name], expected[name][nearest], rtol=0, atol=scores * scale)
    assert_same_masks(found.masks, expected.masks[nearest])


def assert_same_masks(found, expected):
    """Compare masks, (N, H, W) of bool: few pixels differ, and not all are empty."""
    assert found.shape == expected.shape and expected.any()
    both, either = ((op(found, expected)).sum(dim=(1, 2)) for op in (torch.logical_and, torch.logical_or))
    assert ((either - both <= PIXELS) | (both >= IOU * either)).all()
