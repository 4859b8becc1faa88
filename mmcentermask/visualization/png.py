"""Encodes figures and images as PNG."""

import io

import cv2
import numpy as np
from matplotlib.figure import Figure

__all__ = ['png_of', 'png_of_image']


def png_of(figure: Figure, dpi: float | str = 'figure') -> bytes:
    """Draw a figure.

    Args:
        figure (Figure): One of its own, not pyplot's.
        dpi (float or str): Pixels an inch, or ``'figure'`` for those it was made with. Defaults to 'figure'.

    Returns:
        bytes: The PNG.
    """
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=dpi)
    return file.getvalue()


def png_of_image(image: np.ndarray) -> bytes:
    """Encode an image, uint8 (H, W, 3), RGB."""
    return cv2.imencode('.png', image[..., ::-1])[1].tobytes()
