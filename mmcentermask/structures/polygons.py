"""Outlines of masks as polygons with holes, along the edges of their pixels."""

import cv2
import numpy as np

__all__ = ['trace_polygons']


def trace_polygons(mask: np.ndarray) -> list[list[np.ndarray]]:
    """Trace the outlines of a mask, bool (h, w), so that they enclose its very pixels.

    Returns of each part its outer ring, clockwise as one sees it, then those of its holes, counterclockwise: x, y of
    corners in pixels, (p, 2), int32; the pixel x, y is x..x + 1, y..y + 1. A ring ends before its first corner would
    come again. Pixels that touch at a corner only are in different parts.

    >>> trace_polygons(np.ones((2, 3), bool))[0][0].tolist()
    [[0, 0], [3, 0], [3, 2], [0, 2]]
    """
    pixels = np.pad(mask.astype(np.uint8), 1)
    around = pixels[:-1, :-1] + 2 * pixels[:-1, 1:] + 4 * pixels[1:, :-1] + 8 * pixels[1:, 1:]
    rising = around == 6  # two pixels that touch at a corner: right above, left below
    touching = rising | (around == 9)
    turns = np.isin(around, [1, 2, 4, 8, 7, 11, 13, 14]) | touching
    y, x = np.nonzero(turns)
    # where pixels touch, two corners lie in one place; of each, the mates along its row and column are its neighbors
    y, x = (np.repeat(values, 1 + touching[y, x]) for values in (y, x))
    second = np.zeros(len(y), bool)
    second[1:] = (y[1:] == y[:-1]) & (x[1:] == x[:-1])
    row_mate, column_mate = np.empty((2, len(y)), np.int64)
    for mate, order in (
        (row_mate, np.lexsort((second, x, y))),
        (column_mate, np.lexsort((second ^ rising[y, x], y, x))),
    ):
        mate[order[0::2]], mate[order[1::2]] = order[1::2], order[0::2]
    corners = np.stack([x, y], axis=1).astype(np.int32)
    part_of = cv2.connectedComponents(pixels, connectivity=4)[1]
    parts = {}
    row_mate, column_mate, seen = row_mate.tolist(), column_mate.tolist(), [False] * len(corners)
    for start in range(len(corners)):  # the first corner of a ring is its leftmost one of the top row
        if seen[start]:
            continue
        ring, corner = [], start
        while not seen[corner]:
            other = row_mate[corner]
            seen[corner] = seen[other] = True
            ring += [corner, other]
            corner = column_mate[other]
        left, top = corners[start]
        outer = bool(pixels[top + 1, left + 1])
        rings = parts.setdefault(int(part_of[top + outer, left + 1]), [])
        rings.append(corners[ring] if outer else corners[[ring[0], *ring[:0:-1]]])
    return list(parts.values())
