"""Looks at image files before a run does: whether they are there, whole, and what their entries say."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import cv2
import numpy as np
from PIL import Image

from ..image_inputs import FULL_RANGE
from .annotation_tables import CocoSplit

__all__ = ['Problem', 'Progress', 'look_at_images']

_BATCH = 256  # images that are under way at most
_TAIL = 32
# First bytes of a format with 8 bits a channel -> what stands among the last bytes of a complete file.
_ENDS = {b'\xff\xd8\xff': b'\xff\xd9', b'\x89PNG': b'IEND', b'BM': b'', b'RIFF': b''}


Progress = Callable[[int, int], None]  # is given the number of images that were looked at, and of all
Problem = tuple[str, str]  # the name of a rule, and what was found


class _Header(NamedTuple):
    width: int
    height: int
    orientation: int  # of EXIF; 1 is upright
    complete: bool  # as far as the last bytes tell
    eight_bits: bool  # surely
    alpha: bool  # a channel beside those of the colors, in a PNG


def _header(path: str) -> _Header:
    """Read the first and the last bytes of a file: quick, and it may take a whole image for a broken one."""
    with open(path, 'rb') as file:
        head = file.read(26)
        file.seek(0, 2)
        file.seek(max(file.tell() - _TAIL, 0))
        tail = file.read()
    end = next((end for start, end in _ENDS.items() if head.startswith(start)), None)
    png = head.startswith(b'\x89PNG')
    eight_bits = end is not None and not (png and head[24:25] == b'\x10')
    alpha = png and head[25:26] in (b'\x04', b'\x06')
    try:
        with Image.open(path) as image:
            width, height = image.size
            orientation = Image.Image.getexif(image).get(0x0112, 1)  # that of PNG decodes the whole image
    except Exception:  # Pillow knows fewer formats, and has its own limits
        return _Header(0, 0, 1, False, eight_bits, alpha)
    return _Header(width, height, orientation, end is not None and end in tail, eight_bits, alpha)


def _depth(path: str) -> tuple[str, int, int]:
    """Say how an image has more than the loader takes, its largest value if it has 16 bits, and its channels.

    OpenCV keeps the upper 8 of 16 bits, and cuts floating-point values at 255.
    """
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, OSError):
        image = None
    if image is None:
        return '', 0, 0
    channels = image.shape[2] if image.ndim == 3 else 1
    if channels > 4:
        return f'{channels} channels, of which 3 are read', 0, channels
    if image.dtype == np.uint16:
        peak = int(image.max())
        return f'16 bits a channel with values up to {peak}, of which the upper 8 bits are read', peak, channels
    return '' if image.dtype == np.uint8 else f'{image.dtype} values, which are cut at 255', 0, channels


def _look(path: str, size: tuple[int, int], split: CocoSplit, decode: bool) -> tuple[list[Problem], int]:
    """Return the problems of an image file, and the largest value if it has 16 bits a channel."""
    if not os.path.lexists(path):
        others = [path.replace('\\', '/'), unquote(path), str(Path(path).parent.parent / Path(path).name)]
        others += [str(Path(path).with_suffix(case(Path(path).suffix))) for case in (str.lower, str.upper)]
        near = next((f'; there is {other}' for other in others if os.path.isfile(other)), '')
        return [('image-missing', path + near)], 0
    if not Path(path).is_file():
        return [('image-damaged', f'{path} is no ordinary file')], 0  # a pipe would keep us waiting for ever
    try:
        header = _header(path)
    except OSError as error:
        return [('image-damaged', f'{path}: {error.strerror}')], 0
    found, turned = (header.height, header.width), header.orientation != 1
    if decode or turned or not header.complete or found != size:
        image = split.read_image(path)
        if image is None:
            detail, peak, _ = _depth(path)  # some decoders fail at floating-point values
            if detail and not peak:
                return [('image-depth', f'{path} has {detail}')], 0
            return [('image-damaged', f'{path}{"" if os.path.getsize(path) else " is empty"}')], 0
        found = image.shape[:2]
    if 'ignore_orientation' in split.color_type or split.color_type == 'unchanged':
        turned = False
    if found != size:
        detail = f'{path} is {found[1]} x {found[0]} as it is read, not {size[1]} x {size[0]}'
        if found == size[::-1]:
            detail += ', turned by its EXIF orientation' if turned else ', width and height swapped'
        return [('image-size', detail)], 0
    problems, detail, peak, alpha = [], '', 0, header.alpha
    if turned and (header.orientation < 5 or found[0] == found[1]):
        problems.append(('image-turned', f'{path} has EXIF orientation {header.orientation}'))
    if not split.color_type.startswith(('color', 'gray')):
        return problems, 0
    if not header.eight_bits:
        detail, peak, channels = _depth(path)
        alpha = alpha or channels == 4
    if alpha:
        problems.append(('image-alpha', path))
    if detail:
        problems.append(('image-depth', f'{path} has {detail}'))
    return problems, peak


def look_at_images(
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    split: CocoSplit,
    decode: bool = True,
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> list[list[Problem]]:
    """Look at image files, and return the problems of each.

    16-bit images are accepted where one of them uses the upper half of the range: their upper 8 bits then are the
    image. Where none does, they hold 12 bits, say, and would be read almost black.

    Args:
        names (Sequence[str]): File names, below the folder of the split; where that is '' they are paths.
        sizes (Sequence): Height and width that the entry of each says.
        split (CocoSplit): Says how a run reads them.
        decode (bool): Decode each image; else only those whose first and last bytes raise a question.
        workers (int): Threads; the decoder lets go of Python's lock. Defaults to 1.
        progress (Progress): Defaults to none.
    """
    found, peaks, folder = [], [], os.path.abspath(split.folder)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(names), _BATCH):
            paths = [os.path.join(split.folder, name) for name in names[start : start + _BATCH]]
            looks = pool.map(lambda path, size: _look(path, size, split, decode), paths, sizes[start : start + _BATCH])
            for path, (problems, peak) in zip(paths, looks):
                # without a look at links, which are the owner's own
                if split.folder and os.path.commonpath([folder, os.path.abspath(path)]) != folder:
                    problems.append(('image-elsewhere', path))
                found.append(problems)
                peaks.append(peak)
                progress(len(found), len(names))
    if max(peaks, default=0) >= FULL_RANGE:
        for problems, peak in zip(found, peaks):
            problems[:] = [problem for problem in problems if not (peak and problem[0] == 'image-depth')]
    return found
