"""How far apart two float32 computations of the same numbers may be, on any processor.

A kernel adds the products of a convolution in an order of its own, which depends on the instruction set, the number of
threads, the batch size, the memory format and on what is fused. So two computations that follow the same rules differ
by rounding. Adding K products one after the other rounds by ``u * sqrt(K / 6)`` of the sum's own spread, with
``u = 2**-24``: each partial sum of k products has sqrt(k) times the spread of one of them and rounds by up to u of
itself. L layers add their errors like a random walk, and so do the two computations. For the 3 x 3 convolutions of 256
channels here and L = 70, which is what lies between an image and its logits, that is ``ROUNDING`` = 1.4e-5.

The largest of many errors is some 4 deviations, and the largest value of a map at least 2 of its own, so that errors
reach twice ``ROUNDING`` relative to the largest value where a kernel adds in plain order. Kernels that add in blocks,
as oneDNN's do, stay 4 times below. Wrong rules exceed the bounds 200 times and more (see docs/equality.md).
"""

import math

import torch

ROUNDING = 2**-24 * math.sqrt(9 * 256 / 6) * math.sqrt(2 * 70)

#: Features and logits, relative to the largest value of the whole map.
MAPS = 2 * ROUNDING
#: Scores and probabilities: a sigmoid's slope is at most 1/4, and logits are up to 16.
SCORES = 4 * MAPS
#: Boxes, in pixels of the input: ``MAPS`` of a distance of 8 strides of 32. The official cases ask for less.
BOXES, REFERENCE_BOXES = 0.01, 0.005
#: Masks: pixels whose probability is the threshold but for rounding may go either way.
PIXELS, IOU = 2, 0.99
#: Losses, relative: means over many locations, in which rounding cancels out.
LOSSES = 1e-5
#: Gradients and their norms, relative to the largest value. Where they pass many ReLUs and the borders of mask pixels,
#: which rounding may move to the other side, single summands come and go.
GRADIENTS, KINKED_GRADIENTS = 1e-4, 1e-3
#: Boxes where cuDNN may choose Winograd's minimal filtering, in pixels.
WINOGRAD_BOXES = 0.05


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
