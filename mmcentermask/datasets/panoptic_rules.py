"""Applies the rules on panoptic annotations: on the PNGs, and on what are things and what stuff."""

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InputError
from .annotation_tables import CocoTables, Finding
from .loading import read_segment_ids

__all__ = ['check_panoptic', 'segments_as_objects']


def segments_as_objects(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a panoptic file as a COCO file of objects, to which the other rules apply.

    A segment is an object; its id in the PNG is ``segment_id``, and ``png`` the file.
    """
    objects = []
    for entry in content.get('annotations', []):
        for segment in entry['segments_info']:
            about = dict(id=len(objects) + 1, image_id=entry.get('image_id'), png=entry.get('file_name'))
            objects.append({**segment, **about, 'segment_id': segment.get('id')})
    return {**content, 'annotations': objects}


def check_panoptic(t: CocoTables) -> Iterator[Finding]:
    """Find PNGs that are not there or, which takes time, not those of the file, and things that are stuff."""
    if not t.split.segments:
        return
    for i, name in t.names.items():
        if name in t.classes and (name in t.split.things) != bool(t.categories[i].get('isthing')):
            yield t.finding('thing-or-stuff', i, f'isthing is {t.categories[i].get("isthing")}', 'category')
    rows_of = defaultdict(list)
    for row in np.flatnonzero(t.image >= 0).tolist():
        rows_of[int(t.image[row])].append(row)
    for image, rows in rows_of.items():
        path = os.path.join(t.split.segments, str(t.annotations[rows[0]]['png']))
        if not os.path.isfile(path):
            yield Finding('png-missing', path, image=image)
        elif t.dear and image not in t.wrong['image']:
            try:
                found = set(np.unique(read_segment_ids(path, tuple(t.sizes[image]))).tolist()) - {0}
            except InputError as error:
                yield Finding('png-differs', str(error), image=image)
                continue
            listed = {t.annotations[row]['segment_id']: row for row in rows}
            for number in found - listed.keys():
                yield Finding('png-differs', f'{path} has the id {number}, which the JSON does not have', image=image)
            for number in listed.keys() - found:
                yield t.finding('png-differs', listed[number], f'{path} has no pixel of its id {number}')
