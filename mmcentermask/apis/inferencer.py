"""Prediction on images, folders and arrays."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmdet.apis import DetInferencer, det_inferencer
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import encode_mask_results
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import Tensor, nn

from ..atomic_write import atomic_write
from ..errors import ConfigError, ImageError, MissingFileError
from ..image_inputs import ResultNames, describe, list_images, read_image, result_names
from ..model_index import find_weights, is_model, nearest_models
from ..structures import encode_segment_ids, ids_to_rgb, list_segments, rle_to_json
from .checkpoint_check import check_same_model
from .run_check import check_device, check_prediction_options
from .run_config import named_missing_packages, read_model_config

__all__ = ['CenterMaskInferencer']

_HINT = 'name another folder with --out-dir'


def _encode(masks: Tensor | np.ndarray | list) -> list[dict[str, Any]]:
    """Encode masks as RLEs; those that are stay."""
    if isinstance(masks, list) and all(isinstance(mask, dict) for mask in masks):
        return masks
    return encode_mask_results(masks.numpy() if isinstance(masks, Tensor) else masks)


# mmdet's DetInferencer does without panopticapi, and takes masks that are RLEs already
if det_inferencer.id2rgb is None:
    det_inferencer.id2rgb, det_inferencer.VOID = ids_to_rgb, 0
det_inferencer.encode_mask_results = _encode


@dataclass
class _Image:
    pixels: np.ndarray  # uint8 (H, W, 3), BGR
    names: ResultNames


class CenterMaskInferencer(DetInferencer):
    """DetInferencer that takes images in any usual form, keeps each result, and refuses what cannot be right.

    See ``read_image`` for what is taken as an image, and ``result_names`` for how results are named. An image that
    cannot be used does not stop the others: its place in ``predictions`` holds None, ``failed`` lists (position,
    reason), and a warning names it. ``visualization`` holds drawings with ``return_vis=True`` only.

    A dict of predictions, in ``predictions`` and in its JSON file, has

    - ``bboxes`` (x1, y1, x2, y2 in pixels of the image), ``labels``, ``class_names``, ``scores``, ``masks`` (COCO's
      compressed RLE) and, where the model has a mask-IoU head, ``mask_scores``: one of each an object;
    - of a panoptic model ``segments_info``: ``id``, ``label``, ``class_name`` and ``area`` in pixels of each segment;
      and whose each pixel is: ``panoptic_seg``, ids (H, W), 0 for void, or, where files are written, COCO's PNG of
      them beside the JSON file, ``panoptic_seg_path``;
    - ``file_name``, as it was given, None for what has none; ``height`` and ``width`` of the image in pixels.

    Args:
        model (str, dict or Config, optional): As DetInferencer, or the name of a model of this package.
        weights (str, optional): As DetInferencer. Those of a named model default to the published ones.
        device (str, optional): As DetInferencer.
        *args: As DetInferencer.
        cfg_options (dict | list[str], optional): Parts of the config to override, as
            ``{'model.test_cfg.max_per_img': 500}``. Defaults to None.
        **kwargs: As DetInferencer.

    Raises:
        MissingFileError: If the config, the checkpoint or every image is not there.
        CheckpointError: If the checkpoint cannot be read or is of another model.
        ImageError: If none of the images can be read.
        InputError: If there is no such device, or an option is out of range.

    >>> inferencer = CenterMaskInferencer(CONFIG, CHECKPOINT, device='cpu')  # doctest: +SKIP
    >>> inferencer('demo/image.jpg', out_dir='outputs', no_save_pred=False)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | dict | Config | None = None,
        weights: str | None = None,
        device: str | None = None,
        *args,
        cfg_options: dict[str, Any] | list[str] | None = None,
        **kwargs,
    ) -> None:
        check_device(device)
        model, weights = (os.fspath(value) if isinstance(value, os.PathLike) else value for value in (model, weights))
        self._weights = weights
        self._reached, self._limit_told = 0, False
        with named_missing_packages(f'the config {model}' if isinstance(model, str) else 'the config'):
            if weights is None and isinstance(model, str) and is_model(model):
                self._weights = weights = find_weights(model)
            model = read_model_config(model, cfg_options)
            with _quiet():
                super().__init__(model, weights, device, *args, **kwargs)
        loader = next(t.from_file for t in self.pipeline.transforms if hasattr(t, 'from_file'))
        self._gray = loader.color_type.startswith('gray')  # a model of one channel
        self._decode = partial(mmcv.imfrombytes, flag=loader.color_type, backend=loader.imdecode_backend)

    def _load_model_from_metafile(self, model: str) -> tuple[Config, str]:
        try:
            return super()._load_model_from_metafile(model)
        except ValueError as error:
            raise MissingFileError(
                f'there is no config {model}, and no model of this name: {nearest_models(model)}'
            ) from error

    def __call__(self, inputs: Any, *args, **kwargs) -> dict[str, Any]:
        """Predict; arguments and results are those of DetInferencer, and what the class says."""
        given = signature(super().__call__).bind(inputs, *args, **kwargs)
        given.apply_defaults()
        options = given.arguments
        check_prediction_options(options['batch_size'], options['pred_score_thr'], options['out_dir'])
        self._failed, self._reached, self._total = {}, 0, 0
        results = super().__call__(inputs, *args, **kwargs)
        self._report_failures(results)
        self._report_limit()
        return results

    def forward(self, inputs: dict, **kwargs) -> list[DetDataSample]:
        """Run the model, as DetInferencer, and count the images that reach the limit of objects."""
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'torch.meshgrid')  # in mmdet
            samples = super().forward(inputs, **kwargs)
        limit = self.limit()[1]
        if limit and limit > 0:
            self._reached += sum(len(sample.get('pred_instances', ())) >= limit for sample in samples)
        return samples

    def _report_failures(self, results: dict[str, Any]) -> None:
        """Put None in the places of the images that failed, and name them."""
        failed = self._failed  # in the order of the positions
        results['failed'] = [(position, str(error)) for position, error in failed.items()]
        if failed and len(failed) == self._total:
            error = failed[0]
            more = '' if len(failed) == 1 else f' The other {len(failed) - 1} images cannot be used either.'
            raise type(error)(f'{error}{more}') from error
        for position, error in failed.items():
            results['predictions'].insert(position, None)
            if results['visualization']:
                results['visualization'].insert(position, None)
            print(f'warning: {error}', file=sys.stderr)
        if failed:
            print(f'warning: {len(failed)} of {self._total} images failed.', file=sys.stderr)

    def limit(self) -> tuple[str, int | None]:
        """Return the option of the config that says how many objects an image may have, and its value."""
        test_cfg = self.cfg.model.get('test_cfg') or {}
        if 'max_per_img' in test_cfg:
            return 'model.test_cfg.max_per_img', test_cfg['max_per_img']
        return 'model.test_cfg.rcnn.max_per_img', (test_cfg.get('rcnn') or {}).get('max_per_img')

    def _report_limit(self) -> None:
        option, limit = self.limit()
        if self._reached and not self._limit_told:
            self._limit_told = True
            print(
                f'note: {self._reached} of {self._total} images reached the limit of {limit} objects, so there may be '
                f'more: raise it by --cfg-options {option}={10 * limit}, in Python by '
                f'cfg_options={{{option!r}: {10 * limit}}}.',
                file=sys.stderr,
            )

    def _load_weights_to_model(self, model: nn.Module, checkpoint: dict | None, cfg: Config) -> None:
        if not cfg.get('test_dataloader'):
            raise ConfigError(
                'the config has no test_dataloader, whose pipeline prepares the images: give one that has.'
            )
        if checkpoint is not None:
            check_same_model(model, checkpoint, str(self._weights))
            meta = checkpoint.get('meta') or {}
            if 'dataset_meta' not in meta and 'CLASSES' not in meta:
                # mmdet would take the names of COCO
                dataset = {**copy.deepcopy(cfg.test_dataloader.dataset), 'lazy_init': True}
                checkpoint = {**checkpoint, 'meta': {**meta, 'dataset_meta': DATASETS.build(dataset).metainfo}}
        super()._load_weights_to_model(model, checkpoint, cfg)

    def _init_visualizer(self, cfg: Config):
        """Make the config's visualizer; in the place of mmdet's own the one with the look of this package."""
        if cfg.get('visualizer', {}).get('type') == 'DetLocalVisualizer':
            cfg.visualizer.type = 'CenterMaskVisualizer'
        return super()._init_visualizer(cfg)

    def _inputs_to_list(self, inputs: Any) -> list:
        images = list_images(inputs)
        self._total = len(images)
        return images

    def _get_chunk_data(self, inputs: Sequence, chunk_size: int) -> Iterator[list[tuple[_Image, dict]]]:
        prepared = self._prepared(inputs)
        while chunk := list(islice(prepared, chunk_size)):
            yield chunk

    def _prepared(self, inputs: Sequence) -> Iterator[tuple[_Image, dict]]:
        """Read and prepare images; those that cannot be used are noted and left out."""
        names = result_names(inputs, self.num_predicted_imgs)
        self.num_predicted_imgs += sum(not isinstance(source, str) for source in inputs)
        for position, source in enumerate(inputs):
            try:
                pixels, data = self.load(source)
            except (ImageError, MissingFileError) as error:
                self._failed[position] = error
                continue
            data['data_samples'].set_metainfo(dict(result_name=names[position].prediction))
            yield _Image(pixels, names[position]), data

    def load(self, source: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Read an image, in any form that ``read_image`` takes, and prepare it for the model.

        Returns:
            tuple: Its pixels, uint8 (H, W, 3) in BGR, and ``inputs`` and ``data_samples`` for ``collate_fn``.

        Raises:
            ImageError: If it cannot be used.
            MissingFileError: If there is no such file.
        """
        pixels = read_image(source, self._decode)
        try:
            data = self.pipeline(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if self._gray else pixels)
        except (cv2.error, ValueError, ArithmeticError) as error:  # of a transform
            height, width = pixels.shape[:2]
            raise ImageError(
                f"{describe(source)} of {width} x {height} pixels cannot be brought to the model's input size: leave "
                'it out, or cut it into parts that are less long and narrow.'
            ) from error
        file_name = source if isinstance(source, str) else None
        data['data_samples'].set_metainfo(dict(img_path=file_name, ori_shape=pixels.shape[:2]))
        return pixels, data

    def visualize(
        self,
        inputs: list,
        preds: list[DetDataSample],
        return_vis: bool = False,
        show: bool = False,
        no_save_vis: bool = False,
        img_out_dir: str = '',
        **kwargs,
    ) -> list[np.ndarray] | None:
        """Draw predictions, as DetInferencer, on images in any form that ``read_image`` takes.

        The drawings are written to ``vis`` below ``img_out_dir``, and returned as uint8 (H, W, 3) in RGB.
        """
        save = bool(img_out_dir) and not no_save_vis
        if not (save or show or return_vis):
            return None
        images = [
            source if isinstance(source, _Image) else _Image(read_image(source, self._decode), names)
            for source, names in zip(inputs, result_names(inputs))
        ]
        pixels = [image.pixels[..., ::-1] for image in images]
        drawings = super().visualize(pixels, preds, return_vis=True, show=show, **kwargs)
        for image, drawing in zip(images if save else [], drawings):
            with atomic_write(Path(img_out_dir, 'vis', image.names.drawing), _HINT) as file:
                file.write(cv2.imencode(Path(image.names.drawing).suffix, drawing[..., ::-1])[1].tobytes())
        return drawings if return_vis else None

    def pred2dict(self, data_sample: DetDataSample, pred_out_dir: str = '') -> dict[str, Any]:
        """Turn a prediction into the dict that the class describes, and write it to ``preds`` below ``pred_out_dir``.

        Masks of ``data_sample.pred_instances`` are an array or a tensor of shape (n, H, W), or a list of n RLEs.
        """
        if 'pred_instances' not in data_sample:
            return super().pred2dict(data_sample, pred_out_dir)
        # DetInferencer takes dense tensors only: it is given everything but the masks
        instances = data_sample.pred_instances.cpu()
        masks = instances.pop('masks', None)
        result = super().pred2dict(DetDataSample(pred_instances=instances))
        classes = self.model.dataset_meta.get('classes') or ()
        result['class_names'] = [
            classes[label] if label < len(classes) else f'class {label}' for label in result['labels']
        ]
        if 'mask_scores' in instances:
            result['mask_scores'] = instances.mask_scores.tolist()
        if masks is not None:
            result['masks'] = rle_to_json(_encode(masks))
        result['file_name'] = data_sample.get('img_path')
        if 'ori_shape' in data_sample:
            result['height'], result['width'] = map(int, data_sample.ori_shape[:2])
        name = data_sample.get('result_name') or result_names([data_sample.get('img_path')])[0].prediction
        if 'pred_panoptic_seg' in data_sample:
            ids, segments = list_segments(data_sample.pred_panoptic_seg.sem_seg[0], len(classes))
            result['segments_info'] = [dict(segment, class_name=classes[segment['label']]) for segment in segments]
            if pred_out_dir:
                result['panoptic_seg_path'] = Path(name).with_suffix('.png').as_posix()
                with atomic_write(Path(pred_out_dir, 'preds', result['panoptic_seg_path']), _HINT) as file:
                    file.write(encode_segment_ids(ids))
            else:
                result['panoptic_seg'] = ids
        if pred_out_dir:
            with atomic_write(Path(pred_out_dir, 'preds', name), _HINT) as file:
                file.write(json.dumps(result).encode())
        return result


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what mmengine tells while it builds a model and what draws, but for errors."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Failed to add')  # a visualizer that has no folder
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
