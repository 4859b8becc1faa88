"""Errors whose message is one sentence for the user: what is wrong, what was expected, and how to fix it."""

__all__ = [
    'AnnotationError',
    'CheckpointError',
    'ConfigError',
    'ImageError',
    'InputError',
    'InvalidLossError',
    'MissingFileError',
    'OutputError',
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


class ImageError(InputError):
    """An image cannot be read."""


class OutputError(InputError, OSError):
    """A file cannot be written."""


class InvalidLossError(InputError, FloatingPointError):
    """A loss or a weight is NaN or infinite."""
