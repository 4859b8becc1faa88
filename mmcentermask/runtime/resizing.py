"""Sizes that images are resized to, as mmcv and maskrcnn-benchmark compute them."""


def fitted_size(width: int, height: int, scale: tuple[int, int]) -> tuple[int, int]:
    """Return the largest width and height of this ratio within a scale, rounded as mmcv does.

    Args:
        width (int): Of the image, in pixels.
        height (int): Of the image.
        scale (tuple[int, int]): Largest long side and largest short side, in any order.

    >>> fitted_size(640, 427, (1333, 800))
    (1199, 800)
    """
    factor = min(max(scale) / max(width, height), min(scale) / min(width, height))
    return int(width * factor + 0.5), int(height * factor + 0.5)


def legacy_size(width: int, height: int, scale: tuple[int, int]) -> tuple[int, int]:
    """Return width and height as maskrcnn-benchmark does: the short side is exact, the other one truncated.

    Arguments are those of ``fitted_size``.
    """
    longest, short = max(scale), min(scale)
    if max(width, height) / min(width, height) * short > longest:
        short = round(longest * min(width, height) / max(width, height))
    if width < height:
        return short, int(short * height / width)
    return int(short * width / height), short
