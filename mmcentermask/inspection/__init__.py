"""Goes through a data set, image by image and object by object, and says what is wrong with it."""

from .checker import Inspection, inspect_dataset
from .contact_sheet import draw_worst
from .findings import KINDS, Finding, Findings, printable
from .report import summarize, tables_of

__all__ = [
    'KINDS',
    'Finding',
    'Findings',
    'Inspection',
    'draw_worst',
    'inspect_dataset',
    'printable',
    'summarize',
    'tables_of',
]
