"""Rules on panoptic annotations: on the PNGs, and on what are things and what stuff."""

import os
from collections import defaultdict
from typing import Any

import numpy as np

from ..errors import InputError
from .load_panoptic_annotations import read_segment_ids
from .rules import Finding, at_object, rule


def segments_as_objects(content: dict[str, Any]) -> dict[str, Any]:
    """Return panoptic annotations as a COCO file of objects, to which the other rules apply.

    Args:
        content (dict): Of a panoptic file.

    Returns:
        dict: With an object a segment; its id in the PNG is ``segment_id``, and ``png`` the file.
    """
    objects = []
    for entry in content.get('annotations', []):
        for segment in entry['segments_info']:
            about = dict(id=len(objects) + 1, image_id=entry.get('image_id'), png=entry.get('file_name'))
            objects.append({**segment, **about, 'segment_id': segment.get('id')})
    return {**content, 'annotations': objects}


@rule('png-missing', 'error', 'there is no panoptic PNG', 'unpack the PNGs into the folder that data_prefix.seg names')
def _(t):
    seen = {}
    for row, entry in enumerate(t.annotations) if t.split.segments else ():
        path = os.path.join(t.split.segments, str(entry['png']))
        if seen.setdefault(path, row) == row and not os.path.isfile(path):
            yield Finding(path, image=int(t.image[row]) if t.image[row] >= 0 else None)


@rule('png-differs', 'error', 'panoptic PNG and JSON disagree', 'give those of the same release', dear=True)
def _(t):
    rows_of = defaultdict(list)
    for row, image in enumerate(t.image.tolist()) if t.split.segments else ():
        rows_of[image].append(row)
    for image, rows in rows_of.items():
        path = os.path.join(t.split.segments, str(t.annotations[rows[0]]['png']))
        if image < 0 or image in t.wrong_images or not os.path.isfile(path):
            continue
        try:
            found = set(np.unique(read_segment_ids(path, tuple(t.sizes[image]))).tolist()) - {0}
        except InputError as error:
            yield Finding(str(error), image=image)
            continue
        listed = {t.annotations[row]['segment_id']: row for row in rows}
        for number in found - listed.keys():
            yield Finding(f'{path} has the id {number}, which the JSON does not have', image=image)
        for number in listed.keys() - found:
            yield at_object(t, listed[number], f'{path} has no pixel of its id {number}')


@rule(
    'thing-or-stuff',
    'error',
    'category is a thing in the file and stuff in the config, or the other way round',
    'move it between thing_classes and stuff_classes of metainfo, or correct isthing',
)
def _(t):
    for i, name in t.names.items() if t.split.segments else ():
        if name in t.classes and (name in t.split.things) != bool(t.categories[i].get('isthing')):
            yield Finding(f'isthing is {t.categories[i].get("isthing")}', category=i)
