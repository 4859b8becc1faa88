"""Encodes figures as PNG and SVG."""

import io

from matplotlib import rc_context
from matplotlib.figure import Figure


def png_of(figure: Figure, dpi: float | str = 'figure') -> bytes:
    """Draw a figure, not one of pyplot's, with ``dpi`` pixels an inch: by default those it was made with."""
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=dpi)
    return file.getvalue()


def svg_of(figure: Figure) -> str:
    """Draw a figure, not one of pyplot's, as an ``<svg>`` element for HTML; the same figure gives the same text."""
    file = io.StringIO()
    with rc_context({'svg.hashsalt': 'mmcentermask'}):
        figure.savefig(file, format='svg', metadata=dict(Date=None))
    text = file.getvalue()
    return text[text.index('<svg') :]
