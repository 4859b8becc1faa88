"""Prediction on images that are much larger than what the model takes, tile by tile."""

from __future__ import annotations

import importlib.util
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..errors import ImageError, InputError, MissingFileError
from ..image_inputs import describe, read_image
from ..structures import Instances
from .tiles import Tile, make_tiles, merge_tiles, shift

if TYPE_CHECKING:
    from ..apis.torch_model import TorchModel
    from .exported_model import ExportedModel

_WINDOWED = ('.tif', '.tiff', '.jp2', '.vrt', '.img')  # formats of which rasterio reads parts
_CACHE = 64  # MB of blocks that rasterio keeps; by default it would keep a twentieth of the memory


class _Pixels:
    """An image in memory."""

    def __init__(self, source: Any) -> None:
        self._image = read_image(source)
        self.height, self.width = self._image.shape[:2]

    def read(self, tile: Tile) -> np.ndarray:
        """Read a part, uint8 (h, w, 3), BGR."""
        return self._image[tile.y1 : tile.y2, tile.x1 : tile.x2]

    def reduced(self, side: int) -> np.ndarray:
        """Read all of it, its longer side made ``side`` pixels."""
        size = _reduced_size(self.width, self.height, side)
        return cv2.resize(self._image, size, interpolation=cv2.INTER_AREA)


class _Raster:
    """An image file of which parts are read, by rasterio."""

    def __init__(self, path: str) -> None:
        import rasterio

        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)  # an image, and no map
                self._file = rasterio.open(path)
        except rasterio.errors.RasterioIOError as error:
            raise ImageError(f'the image {path} cannot be read ({error}): replace it by a complete copy.') from error
        self._path, self.height, self.width = path, self._file.height, self._file.width
        self.has_palette = rasterio.enums.ColorInterp.palette in self._file.colorinterp
        self._bands = [3, 2, 1] if self._file.count >= 3 else [1, 1, 1]

    def read(self, tile: Tile, **options: Any) -> np.ndarray:
        """Read a part, uint8 (h, w, 3), BGR."""
        import rasterio

        window = ((tile.y1, tile.y2), (tile.x1, tile.x2))
        try:
            with rasterio.Env(GDAL_CACHEMAX=_CACHE):
                pixels = self._file.read(self._bands, window=window, **options)
        except rasterio.errors.RasterioIOError as error:
            raise ImageError(
                f'the image {self._path} cannot be decoded ({error}): replace it by a complete copy.'
            ) from error
        return read_image(np.ascontiguousarray(pixels.transpose(1, 2, 0)))

    def reduced(self, side: int) -> np.ndarray:
        """Read all of it, its longer side made ``side`` pixels."""
        import rasterio

        width, height = _reduced_size(self.width, self.height, side)
        options = dict(out_shape=(3, height, width), resampling=rasterio.enums.Resampling.average)
        return self.read(Tile(0, 0, self.width, self.height), **options)


def _reduced_size(width: int, height: int, side: int) -> tuple[int, int]:
    return tuple(max(1, round(length * side / max(width, height))) for length in (width, height))


def _open(source: Any) -> _Pixels | _Raster:
    is_raster = isinstance(source, (str, os.PathLike)) and Path(source).suffix.lower() in _WINDOWED
    if is_raster and importlib.util.find_spec('rasterio') is not None:
        if not Path(source).is_file():
            raise MissingFileError(f'there is no image {str(source)!r}: correct the path.')
        raster = _Raster(str(source))
        if not raster.has_palette:  # whose values are no colors
            return raster
    return _Pixels(source)


def read_reduced(source: Any, side: int) -> np.ndarray:
    """Read a copy of an image that is no longer than ``side`` pixels, uint8 (h, w, 3), BGR; see ``predict_large``."""
    image = _open(source)
    return image.reduced(min(side, max(image.height, image.width)))


def predict_large(
    model: ExportedModel | TorchModel,
    source: Any,
    tile: int,
    overlap: float,
    batch_size: int,
    threshold: float,
    progress: bool,
) -> Instances:
    """Find the objects of a large image; see ``Segmenter.predict_large``."""
    if not 64 <= tile <= 2**14:
        raise InputError(f'tile is {tile}: give 64 to 16384 pixels.')
    if not 0 < overlap <= 0.75:
        raise InputError(f'overlap is {overlap}: give a share of the tile above 0 and up to 0.75.')
    image = _open(source)
    height, width, shared = image.height, image.width, max(1, round(tile * overlap))
    tiles = make_tiles(height, width, tile, shared)
    starts = range(0, len(tiles), batch_size)
    if progress:
        from tqdm import tqdm

        starts = tqdm(starts, unit='batch')
    found = []
    for start in starts:
        batch = tiles[start : start + batch_size]
        try:
            results = model.run([model.load(image.read(place)) for place in batch])
        except ImageError as error:
            raise ImageError(f'of {describe(source)} a tile cannot be used: {error}') from error
        found += [shift(one.filter(threshold), place, height, width) for one, place in zip(results, batch)]
    coarse = None
    if len(tiles) > 1:
        reduced = model.load(image.reduced(2 * tile), size=(width, height))
        coarse = model.run([reduced])[0].filter(threshold)
    objects = merge_tiles(tiles, found, coarse, shared)
    objects.file_name = str(source) if isinstance(source, (str, os.PathLike)) else None
    return objects
