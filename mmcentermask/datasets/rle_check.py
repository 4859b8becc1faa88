"""Checks RLEs without handing them to pycocotools, which trusts what it reads."""

import numpy as np

from .values import shown

__all__ = ['counts_of', 'rle_problem']


def counts_of(code: str) -> np.ndarray | None:
    """Decode the counts of a compressed RLE.

    Each character is 48 plus six bits: five of a number, the lowest first, and whether more follow. The last five are
    signed. From the fourth number on, a number is the difference to the one before the last.

    Args:
        code (str): As in COCO's ``counts``.

    Returns:
        ndarray or None: int64, the counts; None if the code is broken.
    """
    try:
        values = np.frombuffer(code.encode('ascii'), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        return None
    if not len(values) or (values < 0).any() or (values > 63).any() or values[-1] & 32:
        return None
    last = (values & 32) == 0
    start = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    length = np.diff([*start, len(values)])
    if length.max() > 8:  # 40 bits; a count fits into 32
        return None
    place = np.arange(len(values)) - np.repeat(start, length)
    numbers = np.add.reduceat((values & 31) << (5 * place), start)
    negative = (values[last] & 16) != 0
    numbers[negative] -= 1 << (5 * length[negative])
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def rle_problem(form: dict, height: int, width: int, decode: bool = True) -> tuple[str, str] | None:
    """Say what is wrong with an RLE.

    Args:
        form (dict): A ``segmentation`` with ``size`` and ``counts``.
        height (int): Of the image.
        width (int): Of the image.
        decode (bool): Whether to decode compressed counts, too. Defaults to True.

    Returns:
        tuple or None: Name of the rule and what was found; None where nothing is wrong.
    """
    size, counts = form.get('size'), form.get('counts')
    if not isinstance(size, list) or len(size) != 2 or any(type(side) is not int for side in size):
        return 'rle-invalid', f'size is {shown(size)} and not [height, width], two whole numbers'
    if size != [height, width]:
        h, w = (side if abs(side) < 1e9 else 'huge' for side in size)
        turned = ', height and width swapped' if size == [width, height] else ''
        return 'rle-size', f'{h} high and {w} wide, in an image {height} high and {width} wide{turned}'
    if isinstance(counts, str):
        if counts[:2] in ("b'", 'b"'):
            return 'rle-invalid', f'counts is {shown(counts)}, the text of a Python bytes object: write counts.decode()'
        if not decode:
            return None
        runs = counts_of(counts)
    elif isinstance(counts, list) and all(type(run) is int and abs(run) < 2**32 for run in counts):
        runs = np.array(counts, np.int64)
    else:
        return 'rle-invalid', f'counts is {shown(counts)}, neither a string nor a list of whole numbers'
    if runs is None:
        return 'rle-invalid', f'counts is {shown(counts)}, which ends inside a number or holds other characters'
    if (runs < 0).any():
        return 'rle-invalid', 'a count is negative'
    if (runs > height * width).any():  # enough of them have any sum, since it is taken in 64 bits
        return 'rle-invalid', f'a count of {runs.max()} pixels, in an image of {height * width}'
    if runs.sum() != height * width:
        return 'rle-invalid', f'counts of {runs.sum()} pixels in all, in an image of {height * width}'
    return None
