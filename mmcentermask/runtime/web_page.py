"""The page of demo/web_demo.py, by gradio: what models find in an image, with sliders, and an object to click."""

import io
import json
import os
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as mask_api

from ..errors import ImageError, InputError
from ..image_inputs import read_image
from ..structures import Instances, decode_crop
from .exported_model import ExportedModel
from .segmenter import Segmenter

if TYPE_CHECKING:
    from ..apis.explanation import Explanation

_MOST_PIXELS = 50_000_000
_SHAPES = ('ellipse', 'rectangle', 'triangle', 'star')  # classes of the model of `make demo`
_SAMPLE_SIDE = 384  # pixels, of an image that is drawn
_LEAST_SIDE = 640  # pixels of a drawing: smaller images are enlarged, for labels that can be read


@dataclass
class Seen:
    """What a model found in an image."""

    image: np.ndarray  # uint8 (H, W, 3), BGR
    found: Instances  # all objects
    explanation: 'Explanation | None'  # how they came about, of a CenterMask in torch
    seconds: float  # that it took

    @property
    def scale(self) -> int:
        """How often the drawing is enlarged."""
        return -(-_LEAST_SIDE // max(self.image.shape[:2]))

    def choose(self, score: float, mask_score: float, classes: list[str]) -> np.ndarray:
        """Return the indices of the objects that have these least scores and, where any are given, these classes."""
        keep = self.found.scores >= score
        if self.found.mask_scores is not None:
            keep &= self.found.mask_scores >= mask_score
        if classes:
            keep &= np.isin(self.found.names, classes)
        return keep.nonzero()[0]

    def object_at(self, x: int, y: int, chosen: np.ndarray) -> int | None:
        """Return the index of the smallest of the chosen objects whose mask has the pixel; None where none has it."""
        hits = []
        for index in chosen.tolist():
            crop, left, top = decode_crop(self.found.rle[index])
            row, column = y - top, x - left
            if 0 <= row < crop.shape[0] and 0 <= column < crop.shape[1] and crop[row, column]:
                hits.append((crop.sum(), index))
        return min(hits)[1] if hits else None

    def describe(self, index: int) -> str:
        """Return what there is to say about an object, as a table in Markdown."""
        found = self.found[index]
        facts = {'class': found.names[0], 'score': f'{found.scores[0]:.3f}'}
        if found.mask_scores is not None:
            facts['mask IoU, predicted'] = f'{found.mask_scores[0] / max(found.scores[0], 1e-9):.3f}'
            facts['mask score'] = f'{found.mask_scores[0]:.3f}'
        if self.explanation is not None:
            facts['level'] = f'P{self.explanation.levels[index]} (by Eq. 1 P{self.explanation.fpn_levels[index]})'
        facts['area'] = f'{int(mask_api.area(found.rle)[0]):,} pixels'
        first, *others = (f'| {name} | {value} |' for name, value in facts.items())
        return '\n'.join([first, '|---|---|', *others])


class Model:
    """A model of any kind, with a name; arguments and errors are those of ``Segmenter``."""

    def __init__(self, model: str, weights: str | None = None, device: str | None = None) -> None:
        self.name = Path(model).stem if weights is None else f'{Path(model).stem}, {Path(weights).stem}'
        self._model = Segmenter(model, weights, device=device)._model  # all objects, below any threshold, too
        self._explain = None
        if not isinstance(self._model, ExportedModel):
            from ..apis.explanation import explain
            from ..models import CenterMask

            self._explain = explain if isinstance(self._model.inferencer.model, CenterMask) else None
        self.classes = self._model.classes

    def find(self, image: np.ndarray) -> Seen:
        """Find the objects of an image, uint8 (H, W, 3), BGR."""
        began, explanation = time.perf_counter(), None
        if self._explain is None:
            found = self._model.run([self._model.load(image)])[0]
        else:
            explanation = self._explain(self._model, image)
            found = explanation.found
        return Seen(image, found, explanation, time.perf_counter() - began)


def read_upload(content: bytes) -> np.ndarray:
    """Decode an image, uint8 (H, W, 3), BGR.

    Raises:
        ImageError: If it cannot be used, or has more than 50 million pixels, which a small file may have.
    """
    too_large = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as opened:
                too_large = opened.width * opened.height > _MOST_PIXELS
    except Image.DecompressionBombError:
        too_large = True
    except Exception:  # read_image says what is wrong with it
        pass
    if too_large:
        raise ImageError(f'the image has more than {_MOST_PIXELS // 1_000_000} million pixels: give a smaller one.')
    return read_image(content)


def _write_file(content: bytes, name: str) -> str:
    """Write a file that the page may fetch, into a new folder of gradio's temporary one; return its path."""
    path = Path(tempfile.mkdtemp(dir=os.environ['GRADIO_TEMP_DIR']), name)
    path.write_bytes(content)
    return str(path)


class Panel:
    """The part of the page that shows what one model found."""

    def __init__(self, gr: Any, model: Model) -> None:
        self._gr, self.model = gr, model
        gr.Markdown(f'### {model.name}')
        self.seen = gr.State(time_to_live=3600)
        self.drawn = gr.Image(
            show_label=False, format='png', interactive=False, elem_classes='drawn', buttons=['fullscreen']
        )
        self.summary = gr.Markdown()
        with gr.Row():
            self.coco = gr.DownloadButton('COCO JSON', size='sm')
            self.png = gr.DownloadButton('PNG', size='sm')
        self.facts = gr.Markdown()
        self.inside = gr.Image(show_label=False, interactive=False, visible=False, elem_classes='inside', buttons=[])

    @property
    def shown(self) -> list:
        """Components that ``show`` fills."""
        return [self.drawn, self.summary, self.coco, self.png, *self.details]

    @property
    def details(self) -> list:
        """Components that ``click`` fills."""
        return [self.facts, self.inside]

    def show(self, seen: Seen | None, score: float, mask_score: float, opacity: float, classes: list[str]) -> list:
        """Draw the chosen objects, count them, and write the files to download."""
        if seen is None:
            return [None, '', None, None, *self._details()]
        found = seen.found[seen.choose(score, mask_score, classes)]
        png = cv2.imencode('.png', found.draw(seen.image, opacity, scale=seen.scale))[1].tobytes()
        drawn = _write_file(png, 'objects.png')
        coco = _write_file(json.dumps(found.to_coco()).encode(), 'objects.json')
        text = f'{len(found)} of {len(seen.found)} objects shown, found in {seen.seconds:.2f} s'
        return [drawn, text, coco, drawn, *self._details()]

    def click(self, seen: Seen | None, score: float, mask_score: float, classes: list[str], place: list[float]) -> list:
        """Tell about the object at a place x, y of the drawing."""
        if seen is None:
            return self._details()
        x, y = (int(side // seen.scale) for side in place)
        index = seen.object_at(x, y, seen.choose(score, mask_score, classes))
        if index is None:
            return self._details('There is no object: click on a mask.')
        if seen.explanation is None:
            return self._details(seen.describe(index))
        from ..visualization.charts import png_of  # matplotlib takes a while
        from ..visualization.explanation import draw_object

        png = png_of(draw_object(seen.explanation, index), dpi=120)
        return self._details(seen.describe(index), _write_file(png, 'inside.png'))

    def _details(self, facts: str = '', inside: str | None = None) -> list:
        return [facts, self._gr.update(value=inside, visible=inside is not None)]


def build_page(gr: Any, models: list[Model]) -> Any:
    """Lay out the page; return gradio's Blocks."""
    classes = list(dict.fromkeys(name for model in models for name in model.classes))
    with gr.Blocks(title='CenterMask', analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown('# CenterMask\nDrop an image or use the camera, then click an object.')
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                image = gr.Image(label='image', sources=['upload', 'webcam', 'clipboard'], height=300)
                # Pillow's errors have no sentence for a user, so the file, uploaded as gradio has checked, is decoded
                # below. An event that updates more of the component than its value would undo this
                image.preprocess = lambda payload: payload and Path(payload.path).read_bytes()
                sample = gr.Button('Draw an image', size='sm', visible={*_SHAPES} <= {*classes})
                score = gr.Slider(0, 1, 0.3, step=0.01, label='least score')
                mask_score = gr.Slider(0, 1, 0, step=0.01, label='least mask score')
                opacity = gr.Slider(0, 1, 0.45, step=0.05, label='opacity of masks')
                wanted = gr.Dropdown(classes, multiselect=True, label='classes', info='none for all')
            with gr.Column(scale=5), gr.Row():
                panels = []
                for model in models:
                    with gr.Column(min_width=320):
                        panels.append(Panel(gr, model))
        states = [panel.seen for panel in panels]
        shown = [part for panel in panels for part in panel.shown]

        def find(content: bytes | None) -> dict:
            try:
                if content is not None:
                    image = read_upload(content)
                    return {panel.seen: panel.model.find(image) for panel in panels}
            except InputError as error:
                gr.Warning(str(error), title='This image cannot be used')
            return dict.fromkeys(states)

        def show(*values: Any) -> list:
            return [part for panel, seen in zip(panels, values) for part in panel.show(seen, *values[len(panels) :])]

        def draw_sample() -> np.ndarray:
            from ..datasets import draw

            return draw(np.random.default_rng(), _SAMPLE_SIDE)[0][..., ::-1]

        settings = [score, mask_score, opacity, wanted]
        redraw = dict(fn=show, inputs=[*states, *settings], outputs=shown, show_progress='hidden')
        look = dict(fn=find, inputs=image, outputs=states, show_progress_on=[panel.drawn for panel in panels])
        # not at each change, of which an upload makes two
        gr.on([image.input, image.clear], **look).success(**redraw)
        sample.click(draw_sample, None, image).success(**look).success(**redraw)
        gr.on([setting.change for setting in settings], trigger_mode='always_last', **redraw)
        for panel in panels:
            # gradio reads the annotation of the event
            def click(event: gr.SelectData, *values: Any, panel: Panel = panel) -> list:
                return panel.click(*values, event.index)

            panel.drawn.select(click, [panel.seen, score, mask_score, wanted], panel.details)
    return page
