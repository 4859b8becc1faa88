"""Errors whose message is one sentence for the user: what is wrong, what was expected, and how to fix it."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    'AnnotationError',
    'CheckpointError',
    'ConfigError',
    'ExportError',
    'ImageError',
    'InputError',
    'InvalidLossError',
    'MissingFileError',
    'OutputError',
    'did_you_mean',
    'first_few',
]


class InputError(ValueError):
    """Something that the user gave cannot be used; the starters print the message without a traceback."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder is not there."""


class AnnotationError(InputError):
    """An annotation file cannot be read, or does not fit the data set or the model."""


class ConfigError(InputError):
    """A config cannot be read, or a setting of it, such as an argument of a model, cannot be used."""


class CheckpointError(InputError):
    """A checkpoint cannot be read, or is of another model."""


class ExportError(InputError):
    """An exported model does not do what the model does in PyTorch."""


class ImageError(InputError):
    """An image cannot be read."""


class OutputError(InputError, OSError):
    """A file cannot be written."""


class InvalidLossError(InputError, FloatingPointError):
    """A loss or a weight is NaN or infinite."""


def did_you_mean(name: str, names: Iterable[str], number: int = 1, cutoff: float = 0.6, prefix: str = '') -> str:
    """Return a hint for the end of a message, or '' where no name is like the given one.

    At most ``number`` names are told that are at least ``cutoff`` (0 to 1) alike, with ``prefix`` before each.

    >>> did_you_mean('depht', ['depth', 'stem'])
    'did you mean depth?'
    """
    found = difflib.get_close_matches(name, names, number, cutoff)
    return f'did you mean {" or ".join(prefix + near for near in found)}?' if found else ''


def first_few(names: Sequence[Any], number: int = 3) -> str:
    """Write the first of many names for a message.

    >>> first_few('abcde')
    'a, b, c, ...'
    """
    return ', '.join(map(str, names[:number])) + ', ...' * (len(names) > number)
