"""How drawings look: the color of a class, line widths, the size of text, and a font that has its characters."""

import colorsys
import functools
import sys
from collections.abc import Sequence

from matplotlib import get_data_path
from matplotlib.font_manager import findSystemFonts
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

Color = tuple[int, int, int]

# far apart in hue and lightness, for the few classes of most datasets; more follow at the golden angle
_FIRST_COLORS = (
    (30, 120, 255),
    (255, 130, 0),
    (40, 190, 70),
    (230, 30, 60),
    (150, 70, 235),
    (0, 205, 215),
    (255, 215, 0),
    (255, 105, 195),
    (140, 85, 35),
    (160, 220, 30),
)
_GOLDEN_ANGLE = 0.618034  # of a full turn
_SMALLEST_TEXT, _LARGEST_TEXT = 10, 72  # pixels
_told = set()  # names that no font has, said once


def class_colors(number: int, palette: str | tuple | Sequence[tuple] | None = None) -> list[Color]:
    """Return the colors of classes: the same for the ground truth, for predictions and in every run.

    Args:
        number (int): Of classes.
        palette (optional): A dataset's own colors (RGB), a single color, or the name of one of mmdet's palettes.
            The list that mmdet gives to every COCO dataset, whatever its classes, counts as none: its first two colors
            are both red. Defaults to None.

    Returns:
        list: ``number`` colors, RGB, 0..255.

    >>> class_colors(2)
    [(30, 120, 255), (255, 130, 0)]
    """
    if isinstance(palette, str) and palette not in ('random', 'none'):
        from mmdet.visualization.palette import get_palette

        return [tuple(map(int, color)) for color in get_palette(palette, number)[:number]]
    if isinstance(palette, (tuple, list)) and len(palette) == 3 and not isinstance(palette[0], (tuple, list)):
        return [tuple(palette)] * number
    colors = list(_FIRST_COLORS)
    for index in range(len(colors), number):
        value, saturation = ((1, 0.85), (0.75, 0.9), (1, 0.5))[index % 3]
        rgb = colorsys.hsv_to_rgb((0.3 + index * _GOLDEN_ANGLE) % 1, saturation, value)
        colors.append(tuple(round(255 * part) for part in rgb))
    if isinstance(palette, (tuple, list)):
        from mmdet.datasets import CocoDataset

        if [*map(tuple, palette)] != CocoDataset.METAINFO['palette']:
            colors[: len(palette)] = [tuple(map(int, color)) for color in palette]
    return colors[:number]


def text_color(background: Color) -> Color:
    """Return black or white, whichever stands out more from a color."""
    red, green, blue = background
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def line_width(height: int, width: int) -> int:
    """Return the width of an outline in an image of this size, in pixels: 1 at 64 x 64, 2 at 480 x 640."""
    return max(1, round((height * width) ** 0.5 / 280))


def font_size(height: int, width: int) -> int:
    """Return the size of labels in an image of this size, in pixels: 10 to 72, and 16 at 480 x 640."""
    return min(max(round((height * width) ** 0.5 / 35), _SMALLEST_TEXT), _LARGEST_TEXT)


@functools.lru_cache(maxsize=64)
def font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Open the first font that has all characters of a text: DejaVu Sans, also where no font has them, or another.

    ``size`` is in pixels.
    """
    return ImageFont.truetype(_font_file(frozenset(text)) or _default_font(), size)


def class_label(index: int, classes: Sequence[str] | None) -> str:
    """Return how a class is named in a drawing.

    That is ``class 3``, say, where it has no name or no installed font has the name's characters, which is then said on
    stderr, once a name.
    """
    if classes is None or not 0 <= index < len(classes):
        return f'class {index}'
    name = str(classes[index])
    if _font_file(frozenset(name)) is not None:
        return name
    if name not in _told:
        _told.add(name)
        print(
            f'warning: no installed font has the characters of the class {name!r}, so drawings call it '
            f'"class {index}": install a font for this script, such as Noto Sans CJK (fonts-noto-cjk).',
            file=sys.stderr,
            flush=True,
        )
    return f'class {index}'


def _default_font() -> str:
    return f'{get_data_path()}/fonts/ttf/DejaVuSans.ttf'  # comes with matplotlib


@functools.cache
def _font_file(characters: frozenset[str]) -> str | None:
    """Return a font file that has all of these characters."""
    for path in (_default_font(), *_installed_fonts()):
        try:
            face = FT2Font(path)
            if all(face.get_char_index(ord(character)) for character in characters if not character.isspace()):
                ImageFont.truetype(path, 12)
                return path
        except (OSError, RuntimeError):  # no font that FreeType or Pillow can open
            continue
    return None


@functools.cache
def _installed_fonts() -> list[str]:
    return sorted(findSystemFonts())
