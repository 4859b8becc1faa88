"""The overview of a dataset: numbers as counted by hand, and images with their objects."""

import json

import cv2
import numpy as np
import pytest

from mmcentermask.datasets.annotation_tables import CocoSplit
from mmcentermask.datasets.inspection import inspect_dataset
from mmcentermask.visualization import dataset_overview


@pytest.fixture
def figure(tmp_path, monkeypatch):
    """Three images, one without objects; 2 cats (20 x 20, 50 x 50), 1 dog (100 x 100), a crowd, a class without any."""
    boxes = [(1, 1, 20, 0), (1, 1, 50, 0), (2, 2, 100, 0), (2, 1, 90, 1)]
    content = dict(
        images=[dict(id=i, file_name=f'{i}.png', height=120, width=200) for i in (1, 2, 3)],
        categories=[dict(id=i, name=name) for i, name in enumerate(('cat', 'dog', 'co$_w$'), 1)],
        annotations=[
            dict(
                id=i, image_id=image, category_id=category, iscrowd=crowd, area=side * side, bbox=[5, 5, side, side],
                segmentation=[[5, 5, 5 + side, 5, 5 + side, 5 + side, 5, 5 + side]],
            )
            for i, (image, category, side, crowd) in enumerate(boxes, 1)
        ],
    )  # fmt: skip
    (tmp_path / 'ann.json').write_text(json.dumps(content))
    for i in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full((120, 200, 3), 200, np.uint8))
    inspection = inspect_dataset(CocoSplit('train', str(tmp_path / 'ann.json'), str(tmp_path), file_order=False))
    monkeypatch.setattr(dataset_overview, 'png_of', lambda figure, dpi: figure)
    return dataset_overview.draw_overview(inspection)


def test_numbers(figure):
    classes, sizes, crowdedness, shapes = figure.axes[:4]
    assert '(3 images, 3 objects, 3 classes)' in figure.get_suptitle()
    names = [label.get_text() for label in classes.get_yticklabels()]
    assert dict(zip(names, [bar.get_width() for bar in classes.patches], strict=True)) == {
        'cat': 2,
        'dog': 1,
        'co$_w$': 0,
    }
    assert sizes.get_title() == 'size of objects: small 33%, medium 33%, large 33%'
    assert sum(bar.get_height() for bar in sizes.patches) == 3
    assert [bar.get_height() for bar in crowdedness.patches] == [1, 1, 1]  # images with 0, 1 and 2 objects
    assert crowdedness.get_xlabel() == 'objects (mean 1.0; 1 images have none)'
    assert shapes.collections[0].get_offsets().tolist() == [[200, 120]]


def test_images_with_their_objects(figure):
    shown = [axis for axis in figure.axes[4:] if axis.images]
    assert [axis.get_title() for axis in shown] == ['1.png', '2.png']  # not the one without objects
    outlines = [[np.ptp(patch.get_xy(), 0).tolist() for patch in axis.patches] for axis in shown]
    assert outlines == [[[50, 50], [20, 20]], [[100, 100]]]  # the large one first, below; no crowd
    assert [[text.get_text() for text in axis.texts] for axis in shown] == [['cat', 'cat'], ['dog']]
