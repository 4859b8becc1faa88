"""Reads image files as training does, and compares them with their entries."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS

from mmcentermask.apis.image_check import image_problem

__all__ = ['ImageReader', 'check_image_files']

_BATCH = 256  # images that are under way at most


class ImageReader:
    """Reads an image as a data set's pipeline does.

    Args:
        pipeline (list[dict]): The pipeline; its first LoadImageFromFile, or one made of it, says how.
    """

    def __init__(self, pipeline: list) -> None:
        options = {}
        for transform in pipeline:
            kind = (
                TRANSFORMS.get(transform['type']) if isinstance(transform.get('type'), str) else transform.get('type')
            )
            if isinstance(kind, type) and issubclass(kind, LoadImageFromFile):
                options = {key: transform[key] for key in ('color_type', 'imdecode_backend') if key in transform}
                break
        self._load = LoadImageFromFile(**options)

    def __call__(self, path: str):
        """Read an image.

        Args:
            path (str): A local file.

        Returns:
            ndarray or None: uint8, (H, W, 3) in BGR as a rule; None if it cannot be decoded.
        """
        try:
            return self._load(dict(img_path=path))['img']
        except Exception:  # each decoder has its own ways to fail
            return None


def _check(path: str, height: int, width: int, read: Callable | None) -> tuple[str, str] | None:
    """Return kind of finding and what was found, or None."""
    if not os.path.lexists(path):
        return 'image-missing', ''
    if not Path(path).is_file():
        return 'image-damaged', 'is no ordinary file'  # a pipe would keep us waiting for ever
    if read is None:
        return ('image-damaged', 'its end is missing') if image_problem(path) else None
    image = read(path)
    if image is None:
        return 'image-damaged', 'is empty' if not os.path.getsize(path) else ''
    found = image.shape[:2]
    if found == (height, width):
        return None
    detail = f'{found[1]} x {found[0]}, not {width} x {height}'
    return 'image-size', detail + (' (turned by its EXIF orientation?)' if found == (width, height) else '')


def _elsewhere(folder: str, name: str) -> bool:
    """Whether a file name leads out of the folder, without a look at links, which are the owner's own."""
    folder = os.path.abspath(folder)
    return os.path.commonpath([folder, os.path.abspath(os.path.join(folder, name))]) != folder


def check_image_files(
    names: list[str], sizes: list[tuple[int, int]], folder: str, read: Callable | None, workers: int
) -> Iterator[list[tuple[str, str]]]:
    """Check image files.

    Args:
        names (list[str]): File names, below ``folder``.
        sizes (list[tuple[int, int]]): Height and width that their entries say.
        folder (str): The folder of the images.
        read (ImageReader or None): Reads an image; None: look at the first and last bytes only.
        workers (int): Threads; the decoder lets go of Python's lock.

    Yields:
        list: What is wrong with the next image, as kind of finding and what was found.
    """
    paths = [os.path.join(folder, name) for name in names]
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), _BATCH):
            part = slice(start, start + _BATCH)
            heights, widths = zip(*sizes[part])
            problems = pool.map(_check, paths[part], heights, widths, [read] * len(heights))
            for name, problem in zip(names[part], problems):
                found = [problem] if problem else []
                if _elsewhere(folder, name):
                    found.append(('image-elsewhere', ''))
                yield found
