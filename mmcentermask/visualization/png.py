"""Turns a figure into the bytes of a file, which are written whole or not at all."""

import io

from matplotlib.figure import Figure

__all__ = ['png_of']


def png_of(figure: Figure, dpi: float | str = 'figure') -> bytes:
    """Draw a figure.

    Args:
        figure (Figure): One of its own, not pyplot's.
        dpi (float or str): Pixels an inch, or ``'figure'`` for those it was made with. Defaults to 'figure'.

    Returns:
        bytes: The picture as PNG.
    """
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=dpi)
    return file.getvalue()
