"""Finds images that cannot be read, before a run starts instead of in the middle of it."""

import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import mmcv

from ..errors import ImageError, MissingFileError

__all__ = ['check_images', 'image_problem', 'named_image_errors']

_TAIL = 32
# First bytes of a format -> what stands among the last bytes of a complete file, None where nothing does.
_FORMATS = {
    b'\xff\xd8\xff': b'\xff\xd9',
    b'\x89PNG': b'IEND',
    b'BM': None,
    b'II*\x00': None,
    b'MM\x00*': None,
    b'RIFF': None,
}
_MEND = 'replace it by a complete copy, or leave it out'
_TOLERATED = 0.1  # share of broken images that training goes on without; more is a broken copy of the data


def _looks_complete(path: str) -> bool:
    """Whether the first and the last bytes of a file are those of a complete image: quick, and wrong at times."""
    with open(path, 'rb') as file:
        head = file.read(8)
        file.seek(0, 2)
        file.seek(max(file.tell() - _TAIL, 0))
        tail = file.read()
    ends = [end for start, end in _FORMATS.items() if head.startswith(start)]
    return bool(ends) and (ends[0] is None or ends[0] in tail)


def _decodes(path: str) -> bool:
    try:
        return mmcv.imfrombytes(Path(path).read_bytes()) is not None
    except cv2.error:  # an empty file
        return False


def image_problem(path: str) -> str | None:
    """Say what is wrong with an image file, from its first and last bytes: quick, and wrong at times.

    Args:
        path (str): A local file.

    Returns:
        str or None: ``'missing'``, ``'broken'`` or None.
    """
    try:
        # some programs write on after the end of the image, so only the decoder has the last word
        return None if _looks_complete(path) or _decodes(path) else 'broken'
    except FileNotFoundError:
        return 'missing'
    except OSError:
        return 'broken'


def check_images(paths: Sequence[str], source: str, some_broken: bool = False) -> None:
    """Check that image files are there and complete, from their first and last bytes.

    Damage in the middle of a file is not found: that takes decoding it.

    Args:
        paths (Sequence[str]): Local image files.
        source (str): What names these files, for the message.
        some_broken (bool): Say on stderr that up to a tenth of them are no images, and go on. Defaults to False.

    Raises:
        MissingFileError: If files are not there.
        ImageError: If files are no images, or truncated.
    """
    with ThreadPoolExecutor(16) as pool:  # the time goes into waiting for the disk
        problems = list(pool.map(image_problem, paths))
    for kind in ('missing', 'broken'):
        found = [path for path, problem in zip(paths, problems, strict=True) if problem == kind]
        if not found:
            continue
        more = '' if len(found) == 1 else f' (and {len(found) - 1} more of {len(paths)})'
        if kind == 'broken' and some_broken and len(found) <= _TOLERATED * len(paths):
            print(
                f'warning: the image {found[0]}{more} cannot be decoded, it is truncated or no image; training takes '
                'others in their place. `python tools/check_dataset.py CONFIG` names them all.',
                file=sys.stderr,
                flush=True,
            )
            continue
        if kind == 'missing':
            raise MissingFileError(
                f'there is no image {found[0]}{more}, which {source} names: put it there, or mend the path.'
            )
        raise ImageError(f'the image {found[0]}{more} cannot be decoded, it is truncated or no image: {_MEND}.')


@contextmanager
def named_image_errors() -> Iterator[None]:
    """Turn the decoder's failures, those of a data loader's worker too, into an ImageError that names the file.

    Raises:
        ImageError: If an image could not be decoded, or if training found none that could.
    """
    try:
        yield
    except AssertionError as error:
        # mmcv's LoadImageFromFile; a worker's error carries its whole traceback as text
        found = re.findall(r'failed to load image: (.+)', str(error))
        if not found:
            raise
        raise ImageError(
            f'the image {found[-1].strip()} cannot be decoded, it is damaged or no image: {_MEND}.'
        ) from error
    except Exception as error:
        # mmengine's data set, which raises nothing more special, after as many images as its max_refetch says
        found = re.search(r'Cannot find valid image after (\d+)', str(error))
        if not found:
            raise
        raise ImageError(
            f'none of {found[1]} training images in a row can be used, as the log says of each: replace the damaged '
            'ones by complete copies; `python tools/check_dataset.py CONFIG` names them all.'
        ) from error
