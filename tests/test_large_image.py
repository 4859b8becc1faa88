"""Objects of a large image are found once and whole, whatever the tiles cut."""

import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api
from tiny_run import load_tool

from mmcentermask.errors import ImageError, InputError
from mmcentermask.image_inputs import read_image
from mmcentermask.runtime import large_image
from mmcentermask.runtime.large_image import predict_large
from mmcentermask.runtime.tiles import make_tiles
from mmcentermask.structures import Instances, encode_crop, rle_to_json

sys.path.append(str(Path(sys.prefix, 'others')))  # where `make test-slow` puts rasterio
MARK = 200  # red of every object; at the borders of a reduced copy it is mixed


class Oracle:
    """Segments what is drawn, each object in a color of its own whose green channel is its class.

    It sees nothing that fills more than ``most`` of an image, as a detector would of an object it is too close to.
    """

    def __init__(self, most=1.0):
        self.most, self.images = most, 0

    def load(self, source, size=None):
        return SimpleNamespace(pixels=np.array(source), size=size or source.shape[1::-1])

    def run(self, images):
        self.images += len(images)
        return [self._find(image.pixels, *image.size) for image in images]

    def _find(self, pixels, width, height):
        if pixels.shape[:2] != (height, width):
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST)
        numbers = pixels.astype(np.int64) @ np.array([1, 256, 65536])
        boxes, labels, codes = [], [], []
        drawn, areas = np.unique(numbers[numbers > 0], return_counts=True)
        for number, area in zip(drawn, areas):
            if number // 65536 != MARK or area > self.most * numbers.size:
                continue
            mask = numbers == number
            ys, xs = np.nonzero(mask)
            boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            labels.append(number // 256 % 256)
            codes.append(encode_crop(mask, 0, 0, height, width))
        return Instances(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(labels, np.int64),
            np.linspace(0.9, 0.8, len(labels)).astype(np.float32),
            rle_to_json(codes),
            height,
            width,
            ('a', 'b'),
        )


def drawing(height, width, number, sides, seed=0):
    """An image of ellipses that do not touch, and the RLE of each."""
    rng, image = np.random.default_rng(seed), np.zeros((height, width, 3), np.uint8)
    codes = []
    while len(codes) < number:
        w, h = rng.integers(*sides, 2)
        x, y = rng.integers(0, width - w), rng.integers(0, height - h)
        around = image[max(0, y - 3) : y + h + 3, max(0, x - 3) : x + w + 3]
        if around.any():
            continue
        yy, xx = np.mgrid[:h, :w]
        inside = ((xx - (w - 1) / 2) / (w / 2)) ** 2 + ((yy - (h - 1) / 2) / (h / 2)) ** 2 <= 1
        color = (1 + len(codes), len(codes) % 2, MARK)
        image[y : y + h, x : x + w][inside] = color
        codes.append(encode_crop(inside, x, y, height, width))
    return image, codes


def assert_found(found, codes):
    """Every drawn object was found once, to the pixel."""
    assert sorted(code['counts'] for code in found.rle) == sorted(code['counts'] for code in rle_to_json(codes))
    extents = mask_api.toBbox(found.rle)
    np.testing.assert_array_equal(found.boxes, np.concatenate([extents[:, :2], extents[:, :2] + extents[:, 2:]], 1))


def test_tiles_cover_the_image_and_overlap():
    tiles = make_tiles(1000, 777, 256, 64)
    covered = np.zeros((1000, 777), int)
    for tile in tiles:
        assert tile.x2 - tile.x1 == tile.y2 - tile.y1 == 256
        covered[tile.y1 : tile.y2, tile.x1 : tile.x2] += 1
    assert covered.min() == 1
    assert all(b.x1 - a.x1 <= 192 for a, b in zip(tiles, tiles[1:]) if a.y1 == b.y1)
    assert make_tiles(100, 50, 256, 64) == [(0, 0, 50, 100)]


@pytest.mark.parametrize('sides', [(8, 60), (60, 250), (250, 600)])
def test_every_object_is_found_once_and_whole(sides):
    """Smaller than the overlap, larger than it, and larger than a tile."""
    image, codes = drawing(1100, 1300, {8: 60, 60: 14, 250: 4}[sides[0]], sides)
    model = Oracle()
    found = predict_large(model, image, 256, 0.25, 4, 0.3, False)
    assert_found(found, codes)
    assert (found.height, found.width) == (1100, 1300) and (np.diff(found.scores) <= 0).all()
    assert model.images == len(make_tiles(1100, 1300, 256, 64)) + 1


def test_an_object_that_no_tile_shows_comes_from_the_reduced_image():
    image, codes = drawing(1024, 1024, 1, (600, 700))
    (found,) = predict_large(Oracle(most=0.5), image, 256, 0.25, 1, 0.3, False).rle
    both, either = mask_api.merge([found, *codes], intersect=True), mask_api.merge([found, *codes])
    assert mask_api.area(both) / mask_api.area(either) > 0.97


def test_an_image_of_one_tile_is_predicted_once():
    image, codes = drawing(200, 256, 5, (8, 60))
    model = Oracle()
    assert_found(predict_large(model, image, 256, 0.25, 1, 0.3, False), codes)
    assert model.images == 1


def test_nothing_is_found_in_an_empty_image():
    found = predict_large(Oracle(), np.zeros((600, 600, 3), np.uint8), 256, 0.25, 1, 0.3, False)
    assert len(found) == 0 and found.boxes.shape == (0, 4) and (found.height, found.width) == (600, 600)


@pytest.mark.parametrize('options, message', [((16, 0.25), '64 to 16384'), ((256, 0.0), 'share of the tile')])
def test_options_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        predict_large(Oracle(), np.zeros((600, 600, 3), np.uint8), *options, 1, 0.3, False)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')  # of the written file
def test_a_file_is_read_by_windows(tmp_path, monkeypatch):
    """The same objects as of the picture in memory, though no more than a tile is read at a time."""
    rasterio = pytest.importorskip('rasterio')
    image, codes = drawing(1100, 1300, 40, (8, 200))
    options = dict(driver='GTiff', height=1100, width=1300, count=3, dtype='uint8', tiled=True, compress='deflate')
    with rasterio.open(tmp_path / 'a.tif', 'w', **options) as file:
        file.write(image[..., ::-1].transpose(2, 0, 1))
    sizes = []
    monkeypatch.setattr(large_image, 'read_image', lambda pixels: (sizes.append(pixels.shape), read_image(pixels))[1])
    found = predict_large(Oracle(), tmp_path / 'a.tif', 256, 0.25, 4, 0.3, False)
    assert_found(found, codes)
    assert found.file_name == str(tmp_path / 'a.tif')
    assert set(sizes) == {(256, 256, 3), (433, 512, 3)}
    (tmp_path / 'b.tif').write_bytes((tmp_path / 'a.tif').read_bytes()[:20000])
    with pytest.raises(ImageError, match='b.tif cannot be .*replace it by a complete copy'):
        predict_large(Oracle(), tmp_path / 'b.tif', 256, 0.25, 4, 0.3, False)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
def test_a_file_with_a_palette_is_read_in_its_colors(tmp_path):
    pytest.importorskip('rasterio')
    image, codes = drawing(300, 400, 5, (8, 60))
    Image.fromarray(image[..., ::-1]).quantize(32).save(tmp_path / 'a.tif')
    assert Image.open(tmp_path / 'a.tif').mode == 'P'
    assert_found(predict_large(Oracle(), tmp_path / 'a.tif', 256, 0.25, 4, 0.3, False), codes)


def test_the_command_writes_beside_no_other_results(tmp_path, monkeypatch, capsys):
    """An image is not written over, and a dot in its name is part of the name."""
    tool = load_tool('demo/large_image_demo.py')
    image, codes = drawing(100, 120, 3, (8, 30))
    found = predict_large(Oracle(), image, 256, 0.25, 1, 0.3, False)
    segmenter = SimpleNamespace(predict_large=lambda *args, **kwargs: found)
    monkeypatch.setattr(tool, 'Segmenter', lambda *args, **kwargs: segmenter)
    for name in ('a.1.jpg', 'a.2.png'):
        cv2.imwrite(str(tmp_path / name), image)
        assert tool.main([str(tmp_path / name), 'model.onnx', '--out-dir', str(tmp_path / 'out')]) == 0
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.1.jpg', 'a.1.json', 'a.2.jpg', 'a.2.json']
    content = (tmp_path / 'a.1.jpg').read_bytes()
    assert tool.main([str(tmp_path / 'a.1.jpg'), 'model.onnx', '--out-dir', str(tmp_path)]) == 1
    assert 'a.1.jpg is the image itself' in capsys.readouterr().err and (tmp_path / 'a.1.jpg').read_bytes() == content
