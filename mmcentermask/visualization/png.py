"""Encodes figures as PNG."""

import io

from matplotlib.figure import Figure

__all__ = ['png_of']


def png_of(figure: Figure, dpi: float | str = 'figure') -> bytes:
    """Draw a figure, not one of pyplot's, with ``dpi`` pixels an inch: by default those it was made with."""
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=dpi)
    return file.getvalue()
