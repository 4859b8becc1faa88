"""What a user gives as images: files, folders, URLs, encoded bytes, arrays and Pillow images."""

from __future__ import annotations

import contextlib
import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

import cv2
import numpy as np
from PIL import Image

from .errors import ImageError, InputError, MissingFileError

__all__ = [
    'FULL_RANGE',
    'ResultNames',
    'describe',
    'images_of_folder',
    'images_outside',
    'is_single',
    'list_images',
    'read_image',
    'result_names',
]

IMG_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')  # those of mmdet
FULL_RANGE = 2**15  # a 16-bit image that stays below uses 15 bits or fewer, and turns dark when cut to 8

_DRAWN = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')  # in the format of their image; others as PNG
_EIGHT_BITS = (b'\xff\xd8\xff', b'BM', b'RIFF', b'GIF8')  # first bytes of formats that have no more a channel


class ResultNames(NamedTuple):
    """File names of an image's results: of the JSON file, and of the drawing."""

    prediction: str
    drawing: str


def list_images(inputs: Any, recursive: bool = False) -> list:
    """List images, those of folders in the order of their names.

    Args:
        inputs: One image in any form that ``read_image`` takes, a folder, a pattern such as ``photos/*.jpg``, or a
            list of such.
        recursive (bool): Look into the folders in folders, too. Hidden files and folders are left out. Defaults to
            False.

    Returns:
        list: Images; files and URLs as str.

    Raises:
        MissingFileError: If none of the files is there, or none fits a pattern.
        InputError: If a folder has no images.

    >>> list_images(['cat.jpg', 'photos/'], recursive=True)  # doctest: +SKIP
    """
    images = []
    for item in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
        if isinstance(item, (str, os.PathLike)) and os.path.isdir(item):  # of a name that cannot be, Path's own fails
            images += images_of_folder(item, recursive)
        elif _is_pattern(item):
            found = sorted(filter(os.path.isfile, glob.glob(item, recursive=True)))
            if not found:
                raise MissingFileError(f'there is no image {item!r}: correct the pattern.')
            images += found
        else:
            images.append(str(item) if isinstance(item, os.PathLike) else item)
    files = [item for item in images if isinstance(item, str)]
    if files and len(files) == len(images) and not any(_is_url(file) or os.path.lexists(file) for file in files):
        more = '' if len(files) == 1 else f', nor are the other {len(files) - 1}'
        raise MissingFileError(f'there is no image {files[0]!r}{more}: correct the path.')
    return images


def images_outside(images: list[str], folder: str) -> list[str]:
    """Return the images that do not lie below a folder: drawings of an earlier run are no input of the next one."""
    below = Path(folder).resolve()
    return [image for image in images if below not in Path(image).resolve().parents]


def is_single(inputs: Any) -> bool:
    """Tell whether ``list_images`` takes it for one image, and not for a list, a folder or a pattern."""
    if isinstance(inputs, (str, os.PathLike)):
        return not os.path.isdir(inputs) and not _is_pattern(inputs)
    return not isinstance(inputs, (list, tuple))


def images_of_folder(folder: str | os.PathLike, recursive: bool) -> Iterator[str]:
    """Yield the images of a folder in the order of their names, without a list of them all; see ``list_images``."""
    empty = True
    for parent, folders, files in os.walk(Path(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith('.')) if recursive else []
        for name in sorted(files):
            if name.lower().endswith(IMG_EXTENSIONS) and not name.startswith('.'):
                empty = False
                yield str(Path(parent, name))
    if empty:
        more = '' if recursive else ', and folders in it are looked into with --recursive only'
        raise InputError(
            f'there is no image in the folder {folder}: give one with {", ".join(IMG_EXTENSIONS)} files{more}.'
        )


def _is_pattern(item: Any) -> bool:
    return isinstance(item, str) and glob.has_magic(item) and not _is_url(item) and not os.path.lexists(item)


def _is_url(item: Any) -> bool:
    return isinstance(item, str) and '://' in item


def describe(source: Any) -> str:
    """Name an input in a message."""
    if isinstance(source, (str, os.PathLike)):
        return f'the image {source}'
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f'the image of {len(source)} bytes'
    if isinstance(source, np.ndarray):
        return f'the {source.dtype} array of shape {source.shape}'
    return f'the {type(source).__name__}'


def _decode_by_opencv(content: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


Decode = Callable[[bytes], np.ndarray | None]


def read_image(source: Any, decode: Decode = _decode_by_opencv) -> np.ndarray:
    """Read an image in any of the usual forms, as the loader of a test pipeline reads a file.

    Gray images get three equal channels, and an alpha channel is left out. Of 16-bit images that use the upper half of
    the range, the upper 8 bits are taken. A Pillow image or an array is taken as its pixels stand; a file is turned as
    its EXIF orientation says.

    Args:
        source: A path or a URL, the bytes of a file, a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) in BGR,
            or (H, W, 4) in BGRA.
        decode (Callable): Decodes the bytes of a file. Defaults to OpenCV, as the loader of mmcv does.

    Returns:
        np.ndarray: uint8 (H, W, 3), BGR.

    Raises:
        MissingFileError: If there is no such file.
        ImageError: If it cannot be decoded, is empty, or is of another form.

    >>> read_image('cat.jpg').shape  # doctest: +SKIP
    (480, 640, 3)
    """
    if isinstance(source, (str, os.PathLike)):
        return _decode(_content(str(source)), describe(source), decode)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), describe(source), decode)
    if isinstance(source, Image.Image):
        deep = source.mode in ('F', 'I') or source.mode.startswith('I;')
        try:
            pixels = np.asarray(source if deep else source.convert('RGB'))
        except OSError as error:  # Pillow decodes late
            raise ImageError(f'the Pillow image cannot be decoded ({error}): give a complete one.') from error
        return _bgr(pixels if deep else pixels[..., ::-1], 'the Pillow image')
    if isinstance(source, np.ndarray):
        return _bgr(source, describe(source))
    raise ImageError(
        f'{describe(source)} is no image: give a path, the bytes of an image file, a Pillow image, or a uint8 array of '
        'shape (H, W, 3) in BGR (of a tensor (3, H, W): tensor.permute(1, 2, 0).numpy()).'
    )


def _content(path: str) -> bytes:
    if _is_url(path):
        try:
            if urlsplit(path).scheme in ('http', 'https'):
                with urlopen(path) as answer:
                    return answer.read()
            from mmengine import fileio  # for its other kinds of storage

            return fileio.get(path)
        except Exception as error:  # each kind of storage has its own
            raise ImageError(f'the image {path} cannot be fetched ({error}): check the address.') from error
    if not path or not os.path.lexists(path):
        raise MissingFileError(f'there is no image {path!r}: correct the path.')
    if not Path(path).is_file():  # a pipe would keep us waiting for ever
        raise ImageError(f'{path} is no image file: give an ordinary file.')
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f'the image {path} cannot be read ({error.strerror}): see to its permissions.') from error


def _decode(content: bytes, what: str, decode: Decode) -> np.ndarray:
    if not content.startswith(_EIGHT_BITS) and not (content.startswith(b'\x89PNG') and content[24:25] <= b'\x08'):
        with contextlib.suppress(cv2.error):
            _check_depth(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED), what)
    try:
        image = decode(content)
    except Exception:  # each decoder has its own ways to fail
        image = None
    if image is None:
        state = 'is truncated or no image' if content else 'is empty'
        raise ImageError(f'{what} cannot be decoded, it {state}: replace it by a complete copy, or leave it out.')
    return _bgr(image, what)


def _check_depth(image: np.ndarray | None, what: str) -> None:
    """Check that 8 bits a channel can be taken from an image by cutting the lower ones."""
    if image is None or image.dtype == np.uint8:
        return
    if image.dtype != np.uint16:
        raise ImageError(f'{what} has {image.dtype} values: scale it to 0..255 and give it as uint8.')
    if image.size and image.max() < FULL_RANGE:
        raise ImageError(
            f'{what} has 16 bits a channel, of which values up to {image.max()} are used, so it would be read almost '
            'black: scale it to 8 bits, in the same way as the images that the model was trained on.'
        )


def _bgr(image: np.ndarray, what: str) -> np.ndarray:
    """Bring gray, BGR and BGRA of 8 or 16 bits to uint8 (H, W, 3)."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4):
        shapes = '(H, W), (H, W, 1), (H, W, 3) in BGR or (H, W, 4) in BGRA'
        raise ImageError(f'{what} is not of the shape of an image: give {shapes}.')
    if not image.size:
        raise ImageError(f'{what} is empty: give an image of at least one pixel.')
    _check_depth(image, what)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    image = image.reshape(*image.shape[:2], channels)
    return np.ascontiguousarray(np.repeat(image, 3, axis=2) if channels == 1 else image[..., :3])


def result_names(sources: Sequence, first: int = 0) -> list[ResultNames]:
    """Name the results of images, so that no two share a file, on systems that ignore case, too.

    ``scan.jpg`` gives ``scan.json`` and is drawn as ``scan.jpg``. Only where names clash they get longer: first by the
    ending (``scan.jpg.json`` beside ``scan.png.json``), then by the folders (``a_1.png.json`` beside
    ``b_1.png.json``), at last by a number. What has no name gets a number, ``00000000.json``.

    Args:
        sources (Sequence): Inputs as ``list_images`` returns them.
        first (int): First number for those without a name. Defaults to 0.

    Returns:
        list: Of each image.

    >>> result_names(['scan.jpg', 'scan.png'])[0].prediction
    'scan.jpg.json'
    """
    parts, keys = {}, []
    for source in sources:
        if isinstance(source, str):
            path = Path(urlsplit(source).path if _is_url(source) else source)
            parts[source] = [part for part in path.parts if part not in (path.anchor, '..')] or ['image']
            keys.append(source)  # a file that is given twice has one result
        else:
            parts[first] = [f'{first:08}.jpg']
            keys.append(first)
            first += 1
    lengths = dict.fromkeys(parts, 0)
    while True:
        names = {key: _names(parts[key], lengths[key], number) for number, key in enumerate(parts)}
        taken = Counter(name.casefold() for pair in names.values() for name in pair)
        clashing = [key for key, pair in names.items() if any(taken[name.casefold()] > 1 for name in pair)]
        if not clashing:
            return [names[key] for key in keys]
        for key in clashing:
            lengths[key] += 1


def _names(parts: list[str], length: int, number: int) -> ResultNames:
    """Name by the stem (length 0), the whole name (1), and the folders above it (2 ...); beyond all, by a number."""
    name = '_'.join(parts[-max(length, 1) :])
    suffix = Path(name).suffix
    stem = name.removesuffix(suffix)
    if length > len(parts):
        name, stem = f'{stem}_{number}{suffix}', f'{stem}_{number}'
    drawing = name if suffix.lower() in _DRAWN else f'{name}.png'
    return ResultNames(f'{name if length else stem}.json', drawing)
