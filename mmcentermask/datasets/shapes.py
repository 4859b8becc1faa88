"""Draws images of overlapping textured shapes, with the visible mask of every shape.

A small, honest task to learn instance segmentation on without a download: four classes, colours that hint at the class
and do not tell it (in hard images not even that), shapes that hide parts of each other or leave the image, sizes from
a few pixels to most of the image, images with nothing in them, and crowds. Needs numpy and OpenCV only.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from .textures import TEXTURES, draw_ground, near_colour, random_colour, textured

CLASSES = ('ellipse', 'rectangle', 'triangle', 'star')
PALETTE = ((220, 60, 60), (60, 130, 230), (60, 180, 90), (240, 170, 30))
# stuff: class, RGB, texture
STUFF = (('sky', (150, 200, 235), 'gradient'), ('grass', (90, 120, 50), 'noise'), ('sand', (215, 190, 140), 'dots'))

# Width and height as parts of the long side, and how often: photographs are mostly landscape.
ASPECTS = (((1.0, 1.0), 0.3), ((1.0, 0.75), 0.3), ((0.75, 1.0), 0.2), ((1.0, 2 / 3), 0.1), ((2 / 3, 1.0), 0.1))
MIN_PIXELS = 20
_SUBPIXEL_BITS = 4  # cv2.fillPoly takes fixed-point corners: sixteenths of a pixel


@dataclass(frozen=True)
class Difficulty:
    """What makes a set of images easy or hard.

    Attributes:
        max_objects: Most objects tried in an image; the least is 1.
        min_visible: An object is left out when less than this part of it can be seen.
        smallest: Smallest ordinary object, long side in pixels.
        largest: Largest object, long side as a part of the image's long side.
        contrast: Colour distance asked for between an object and the background, in grey levels.
        texture_contrast: Least and most colour distance inside a texture.
        colour_hint: Chance that an object is about the colour of its class (``PALETTE``), as many real things are. The
            others, and all backgrounds, have any colour.
        camouflage: Chance that an object takes the background's own texture.
        tiny: Chance that an object has half the smallest size up to the smallest.
        beside: Chance that an object is put where it overlaps an earlier one.
        empty: Chance of an image without objects.
        crowd: Chance of a crowd in an image.
        noise: Least and most standard deviation of the pixel noise.
    """

    max_objects: int = 4
    min_visible: float = 0.25
    smallest: float = 56.0
    largest: float = 0.75
    contrast: float = 110.0
    texture_contrast: tuple[float, float] = (6.0, 36.0)
    colour_hint: float = 0.95
    camouflage: float = 0.0
    tiny: float = 0.05
    beside: float = 0.3
    empty: float = 0.04
    crowd: float = 0.06
    noise: tuple[float, float] = (1.0, 5.0)


DEFAULT = Difficulty()
HARD = Difficulty(
    max_objects=12,
    min_visible=0.15,
    smallest=10.0,
    largest=0.5,
    contrast=30.0,
    texture_contrast=(20.0, 110.0),
    colour_hint=0.0,
    camouflage=0.3,
    tiny=0.1,
    beside=0.55,
    crowd=0.12,
    noise=(3.0, 16.0),
)


class Instance(NamedTuple):
    """One annotated thing of a drawn image.

    Attributes:
        label: Index into ``CLASSES``; of stuff, which follows them, into ``STUFF`` plus the number of ``CLASSES``.
        mask: Visible pixels, bool, shape (H, W) of the image.
        crowd: Whether it is a crowd: many shapes of one class that are not told apart.
    """

    label: int
    mask: np.ndarray
    crowd: bool = False


class _Item(NamedTuple):
    """Something to paint: the coverage (0..255, uint8, whole image) of each of its members."""

    label: int
    coverage: list[np.ndarray]
    crowd: bool


def _outline(rng: np.random.Generator, label: int) -> np.ndarray:
    """Corners of one random shape about the origin, turned by a random angle: (corners, 2), x and y, 1 away at most."""
    name = CLASSES[label]
    if name == 'ellipse':
        turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        points = np.stack([np.cos(turn), np.sin(turn) * rng.uniform(0.55, 1.0)], axis=1)
    elif name == 'rectangle':
        corner = np.array([1.0, rng.uniform(0.45, 1.0)])
        points = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * corner / np.linalg.norm(corner)
    elif name == 'triangle':
        turn = np.array([0, 2, 4]) * np.pi / 3 + rng.uniform(-0.35, 0.35, 3)
        points = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    else:
        turn = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2 == 0, 1.0, rng.uniform(0.38, 0.5))
        points = np.stack([np.cos(turn), np.sin(turn)], axis=1) * reach[:, None]
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _cover(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """How far each pixel lies inside a polygon: uint8, shape (height, width), smooth at the edge."""
    canvas = np.zeros((height, width), np.uint8)
    # OpenCV counts pixel centres as whole numbers, the corners here count pixel edges so.
    fixed = np.round((points - 0.5) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 255, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
    return canvas


def _place(rng: np.random.Generator, level: Difficulty, height: int, width: int, earlier: list) -> tuple:
    """Where the next object goes: its centre (x, y) and its reach (half its long side), in pixels."""
    long_side = max(height, width)
    smallest = min(level.smallest, long_side / 4)
    size = np.exp(rng.uniform(np.log(smallest), np.log(max(level.largest * long_side, smallest))))
    if rng.random() < level.tiny:
        size = rng.uniform(smallest / 2, smallest)
    centre = rng.uniform(0.06, 0.94, 2) * (width, height)
    if earlier and rng.random() < level.beside:
        near, reach = earlier[rng.integers(len(earlier))]
        angle = rng.uniform(0, 2 * np.pi)
        gap = rng.uniform(0.4, 0.9) * (reach + size / 2)
        centre = np.clip(near + gap * np.array([np.cos(angle), np.sin(angle)]), 2, (width - 2, height - 2))
    return centre, size / 2


def _crowd(rng: np.random.Generator, height: int, width: int) -> _Item:
    """Many small shapes of one class, close together."""
    label = int(rng.integers(len(CLASSES)))
    reach = rng.uniform(0.024, 0.04) * max(height, width)
    spread = reach * rng.uniform(3.5, 5.5)
    centre = rng.uniform(0.2, 0.8, 2) * (width, height)
    members = []
    for _ in range(int(rng.integers(12, 25))):
        offset = rng.normal(size=2) * spread * (0.8, 0.5)
        points = _outline(rng, label) * reach * rng.uniform(0.8, 1.3) + centre + offset
        members.append(_cover(points, height, width))
    return _Item(label, members, True)


def _plan(rng: np.random.Generator, level: Difficulty, height: int, width: int) -> list[_Item]:
    """What is in the image, from back to front."""
    items, places = [], []
    if rng.random() < level.empty:
        return items
    if rng.random() < level.crowd:
        items.append(_crowd(rng, height, width))
    for _ in range(int(rng.integers(1, level.max_objects + 1))):
        centre, reach = _place(rng, level, height, width, places)
        label = int(rng.integers(len(CLASSES)))
        places.append((centre, reach))
        items.append(_Item(label, [_cover(_outline(rng, label) * reach + centre, height, width)], False))
    return items


def _visible(items: list[_Item], min_visible: float) -> tuple[list[_Item], list[np.ndarray]]:
    """Leaves out what is hidden nearly wholly and gives the visible mask of the rest.

    An object is left out, and not painted either, when less than ``min_visible`` of it or fewer than ``MIN_PIXELS``
    pixels can be seen. So every shape in the image is annotated.
    """
    taken, kept, masks = np.zeros((), bool), [], []
    for item in reversed(items):  # front to back: only what is nearer hides it
        solid = np.max(item.coverage, axis=0) > 127
        mask = solid & ~taken
        seen = int(mask.sum())
        if seen >= MIN_PIXELS and seen >= min_visible * int(solid.sum()):
            kept.append(item)
            masks.append(mask)
            taken = taken | solid
    return kept[::-1], masks[::-1]


def _paint(
    rng: np.random.Generator, level: Difficulty, items: list[_Item], height: int, width: int, stuff: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """The image: background, shapes from back to front, light and noise. uint8, shape (height, width, 3), BGR.

    With ``stuff`` the background is of it, and its index into ``STUFF``, (height, width), comes with the image.
    """
    ground = random_colour(rng)
    ground_second = near_colour(rng, ground, *level.texture_contrast)
    ground_kind = TEXTURES[rng.integers(len(TEXTURES))]
    background = np.stack([ground, ground_second, (ground + ground_second) / 2])
    if stuff:
        background = np.array([colour[::-1] for _, colour, _ in STUFF], np.float32)
        image, ground_map = draw_ground(rng, height, width, background, [kind for _, _, kind in STUFF])
    else:
        image, ground_map = textured(rng, ground_kind, height, width, ground, ground_second), None
    shadow = rng.uniform(0.1, 0.4) if rng.random() < 0.5 else 0.0
    shift = rng.uniform(-0.025, 0.025, 2) * max(height, width)
    for item in items:
        hidden = rng.random() < level.camouflage
        own = np.array(PALETTE[item.label][::-1], np.float32) if rng.random() < level.colour_hint else None
        first = random_colour(rng, background, level.contrast, about=own)
        for coverage in item.coverage:
            x, y, w, h = cv2.boundingRect(coverage)
            if h == 0:
                continue
            kind = ground_kind if hidden else TEXTURES[rng.integers(len(TEXTURES))]
            colour = near_colour(rng, first, 0, 30) if item.crowd else first
            if shadow:
                dark = cv2.warpAffine(coverage, np.float32([[1, 0, shift[0]], [0, 1, shift[1]]]), (width, height))
                dark = cv2.blur(dark, (5, 5)).astype(np.float32) * (shadow / 255)
                image *= 1 - dark[..., None]
            second = near_colour(rng, colour, *level.texture_contrast)
            patch = textured(rng, kind, h, w, colour, second)
            alpha = coverage[y : y + h, x : x + w, None].astype(np.float32) / 255
            below = image[y : y + h, x : x + w]
            below += alpha * (patch - below)
    light = textured(rng, 'gradient', height, width, *rng.uniform(0.75, 1.15, (2, 1)).astype(np.float32))
    noise = rng.standard_normal((height, width, 3), dtype=np.float32) * rng.uniform(*level.noise)
    image = image * light + noise
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.4, 1.0))
    return np.clip(image, 0, 255).astype(np.uint8), ground_map


def draw(
    rng: np.random.Generator, size: int, level: Difficulty = DEFAULT, stuff: bool = False
) -> tuple[np.ndarray, list[Instance]]:
    """Draws one image.

    Args:
        rng: Source of randomness; the same state gives the same image.
        size: Long side of the image in pixels. A part of the images is square, landscape and portrait.
        level: How hard the image shall be.
        stuff: Draw a background of stuff, a segment a kind, which stand before the objects in the result.

    Returns:
        The image, uint8, shape (H, W, 3), BGR, and its instances from back to front. Their masks do not overlap.
    """
    parts, weights = zip(*ASPECTS, strict=True)
    width, height = (max(round(size * part), 1) for part in parts[rng.choice(len(parts), p=weights)])
    items, masks = _visible(_plan(rng, level, height, width), level.min_visible)
    image, ground_map = _paint(rng, level, items, height, width, stuff)
    instances = [Instance(item.label, mask, item.crowd) for item, mask in zip(items, masks, strict=True)]
    if not stuff:
        return image, instances
    free = ~np.any([np.zeros((height, width), bool), *masks], axis=0)
    grounds = [Instance(len(CLASSES) + kind, free & (ground_map == kind)) for kind in np.unique(ground_map).tolist()]
    return image, [ground for ground in grounds if ground.mask.any()] + instances
