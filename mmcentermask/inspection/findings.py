"""What can be wrong with a data set, and the list of what was found."""

from collections import Counter, defaultdict
from typing import Any, NamedTuple

__all__ = ['KINDS', 'Finding', 'Findings', 'Kind', 'printable']


class Kind(NamedTuple):
    """A kind of defect."""

    error: bool  # else a warning: training and evaluation work, but perhaps not as meant
    text: str
    mend: str


KINDS = {
    # images
    'image-entry': Kind(True, 'entry of an image is not complete', 'give id, file_name, height and width'),
    'image-id-twice': Kind(True, 'id of another image', 'give each image an id of its own'),
    'image-missing': Kind(True, 'image file is not there', 'put the file there, or take the entry out'),
    'image-damaged': Kind(True, 'image cannot be decoded', 'replace the file by a complete copy'),
    'image-size': Kind(True, 'image has another size than its entry says', 'write its own size into the entry'),
    'image-file-twice': Kind(False, 'file of another image', 'take one of the entries out'),
    'image-elsewhere': Kind(False, 'file is outside of the image folder', 'make sure that this is meant'),
    # categories
    'category-entry': Kind(True, 'entry of a category is not complete', 'give id and name'),
    'category-id-twice': Kind(True, 'id of another category', 'give each category an id of its own'),
    'category-name-twice': Kind(True, 'name of another category', 'join the two categories'),
    'classes': Kind(True, 'the classes of the config do not fit', 'do as the sentence says'),
    'class-empty': Kind(False, 'class without a usable object', 'add examples, or take the class out'),
    'category-left-out': Kind(False, 'category is no class of the config, its objects are left out', 'add the class'),
    # objects
    'object-entry': Kind(True, 'entry of an object is not complete', 'give what the sentence names'),
    'object-id-twice': Kind(True, 'id of another object', 'give each object an id of its own'),
    'object-no-image': Kind(True, 'object is in no image of the file', 'mend image_id, or take the object out'),
    'object-no-category': Kind(True, 'object is of no category of the file', 'mend category_id, or add the category'),
    'object-area': Kind(False, 'area is zero, so training leaves the object out', 'write the area of the mask'),
    'box-invalid': Kind(True, 'box is not [x, y, width, height]', 'give four finite numbers, sizes not negative'),
    'box-outside': Kind(True, 'box reaches out of the image', 'cut it at the border; it is [x, y, width, height]'),
    'box-small': Kind(False, 'box is less than a pixel wide or high, so training leaves it out', 'take it out'),
    'box-mask-differ': Kind(False, 'box and mask are not of the same place', 'compute the box from the mask'),
    # masks
    'mask-missing': Kind(True, 'object has no mask', 'give a polygon or run lengths'),
    'polygon-invalid': Kind(True, 'polygon is not [x1, y1, x2, y2, ...]', 'give pairs of finite numbers'),
    'polygon-short': Kind(True, 'polygon has fewer than 3 points', 'take it out, or draw it anew'),
    'polygon-outside': Kind(True, 'polygon reaches out of the image', 'cut it at the border'),
    'polygon-crossing': Kind(False, 'polygon crosses itself', 'draw it anew, or leave it: the mask is even-odd filled'),
    'polygon-flat': Kind(False, 'polygon has no area', 'take it out'),
    'rle-size': Kind(True, 'run lengths are for another image size', 'encode the mask at the size of its image'),
    'rle-invalid': Kind(True, 'run lengths cannot be decoded', 'encode the mask anew'),
    'crowd-polygon': Kind(False, 'crowd region is a polygon, COCO has run lengths there', 'encode it, or not a crowd'),
}


class Finding(NamedTuple):
    """One defect; numbers are positions in the file's lists."""

    kind: str
    detail: str
    image: int | None = None
    annotation: int | None = None
    category: int | None = None

    @property
    def error(self) -> bool:
        """Whether it is an error and not a warning."""
        return KINDS[self.kind].error


class Findings(list):
    """All findings of a data set, in the order of the file within a kind."""

    def add(self, kind: str, detail: str = '', **where: int | None) -> None:
        """Note a finding.

        Args:
            kind (str): A key of ``KINDS``.
            detail (str): What was found and what was expected, in a few words. Defaults to ''.
            **where: ``image``, ``annotation``, ``category``: positions in the file's lists.
        """
        self.append(Finding(kind, detail, **where))

    def by_kind(self) -> dict[str, list[Finding]]:
        """Return kind -> findings, in the order of ``KINDS`` with errors first."""
        found = defaultdict(list)
        for finding in self:
            found[finding.kind].append(finding)
        return {kind: found[kind] for kind in sorted(KINDS, key=lambda k: not KINDS[k].error) if kind in found}

    @property
    def counts(self) -> Counter:
        """How many ``'errors'`` and ``'warnings'``."""
        return Counter('errors' if finding.error else 'warnings' for finding in self)


def printable(value: Any, width: int = 60) -> str:
    """Write a value of the file so that it can do nothing to a terminal, a picture or a table.

    Args:
        value (Any): A name, an id, or what stands in its place.
        width (int): Characters at most; the end is kept, where names differ. Defaults to 60.

    Returns:
        str: One line without control characters.
    """
    text = value if isinstance(value, str) else repr(value)
    if len(text) > width:
        text = '...' + text[3 - width :]
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)
