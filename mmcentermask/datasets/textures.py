"""Textures for drawn images: plain, gradient, stripes, checker, dots and noise, each between two colours."""

import cv2
import numpy as np

TEXTURES = ('plain', 'gradient', 'stripes', 'checker', 'dots', 'noise')


def random_colour(
    rng: np.random.Generator,
    away_from: np.ndarray | None = None,
    distance: float = 0.0,
    about: np.ndarray | None = None,
) -> np.ndarray:
    """A random colour, BGR, float32, shape (3,), in 0..255.

    It keeps ``distance`` grey levels (Euclidean) from each colour of ``away_from``, shape (N, 3), and is in the
    neighbourhood of the colour ``about``; None of either means any colour will do. Of 20 tries it is the first so far
    away, or else the farthest.
    """
    if about is None:
        tries = rng.uniform(20, 235, (20, 3)).astype(np.float32)
    else:
        tries = np.clip(rng.normal(about, 25, (20, 3)), 10, 245).astype(np.float32)
    if away_from is None:
        return tries[0]
    gaps = np.linalg.norm(tries[:, None] - away_from[None], axis=2).min(axis=1)
    far_enough = np.flatnonzero(gaps >= distance)
    return tries[far_enough[0]] if far_enough.size else tries[gaps.argmax()]


def near_colour(rng: np.random.Generator, colour: np.ndarray, low: float, high: float) -> np.ndarray:
    """A second colour for a texture: ``colour`` moved by ``low``..``high`` grey levels in a random direction."""
    step = rng.normal(size=3).astype(np.float32)
    step *= rng.uniform(low, high) / max(float(np.linalg.norm(step)), 1e-6)
    return np.clip(colour + step, 5, 250)


def _noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth value noise of two octaves, shape (height, width), in 0..1."""
    cell = rng.uniform(6, 24)
    total = np.zeros((height, width), np.float32)
    for weight, size in ((0.65, cell), (0.35, cell / 3)):
        grid = rng.random((int(height / size) + 2, int(width / size) + 2), dtype=np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip((total - 0.5) * 1.6 + 0.5, 0, 1)


def _mix(rng: np.random.Generator, kind: str, height: int, width: int) -> np.ndarray:
    """How much of the second colour each pixel has, 0..1: float32, shape (height, width)."""
    if kind == 'plain':
        return np.full((height, width), rng.random(), np.float32)
    if kind == 'noise':
        return _noise(rng, height, width)
    angle = rng.uniform(0, 2 * np.pi)
    x = np.arange(width, dtype=np.float32)[None] - width / 2
    y = np.arange(height, dtype=np.float32)[:, None] - height / 2
    along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    if kind == 'gradient':
        return along / max(float(np.abs(along).max()), 1.0) * 0.5 + 0.5
    wave = np.float32(2 * np.pi / rng.uniform(5, 22))
    phase = np.float32(rng.uniform(0, 2 * np.pi))
    if kind == 'stripes':
        return np.clip(np.sin(along * wave + phase) * 2 + 0.5, 0, 1)
    across = np.float32(-np.sin(angle)) * x + np.float32(np.cos(angle)) * y
    product = np.sin(along * wave + phase) * np.sin(across * wave + phase)
    if kind == 'checker':
        return np.clip(product * 4 + 0.5, 0, 1)
    return np.clip((np.abs(product) - 0.45) * 6, 0, 1)


def textured(
    rng: np.random.Generator, kind: str, height: int, width: int, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """A patch of a kind of ``TEXTURES`` between two BGR colours, (3,): float32, shape (height, width, 3), 0..255."""
    mix = _mix(rng, kind, height, width)[..., None]
    return (first + mix * (second - first)).astype(np.float32)


def draw_ground(
    rng: np.random.Generator, height: int, width: int, colours: np.ndarray, kinds: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """A background of two bands of stuff, with a slanting border.

    Each of N stuffs is about one of the ``colours``, shape (N, 3), BGR in 0..255, and has a texture of ``kinds``, of
    ``TEXTURES``. Returns the image, float32, shape (height, width, 3), in 0..255, and which stuff each pixel is,
    0..N - 1, uint8.
    """
    upper, lower = rng.permutation(len(kinds))[:2]
    x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    ground_map = np.where(y < rng.uniform(-0.5, 0.5) + rng.uniform(-0.4, 0.4) * x, upper, lower).astype(np.uint8)
    image = np.empty((height, width, 3), np.float32)
    for kind in (upper, lower):
        first = random_colour(rng, about=colours[kind])
        patch = textured(rng, kinds[kind], height, width, first, near_colour(rng, first, 30, 60))
        image[ground_map == kind] = patch[ground_map == kind]
    return image, ground_map
