"""Prediction on pictures, folders and arrays."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmdet.structures.mask import encode_mask_results
from mmdet.utils.misc import IMG_EXTENSIONS
from torch import Tensor, nn

from mmcentermask.structures import rle_to_json

from ..datasets.image_files import check_images, named_image_errors
from ..errors import InputError, MissingFileError
from .checkpoint_check import check_same_model, read_checkpoint

__all__ = ['CenterMaskInferencer']


class CenterMaskInferencer(DetInferencer):
    """DetInferencer whose predictions carry ``mask_scores``, and which refuses input that cannot be right.

    Use it as DetInferencer:

        inferencer = CenterMaskInferencer(CONFIG, CHECKPOINT, device='cpu')
        inferencer('demo/picture.jpg', out_dir='outputs', no_save_pred=False)

    A dict of predictions has ``bboxes`` (x1, y1, x2, y2 in pixels of the picture), ``labels``, ``scores``,
    ``masks`` (COCO's compressed run lengths) and, where the model has a mask-IoU head, ``mask_scores``.

    Args:
        model (str | dict | Config, optional): As DetInferencer.
        weights (str, optional): As DetInferencer.
        device (str, optional): As DetInferencer.
        **kwargs: As DetInferencer.

    Raises:
        MissingFileError: If the config, the checkpoint or a picture is not there.
        CheckpointError: If the checkpoint cannot be read or is of another model.
        ImageError: If a picture cannot be decoded.
    """

    def __init__(self, model=None, weights: str | None = None, device: str | None = None, **kwargs) -> None:
        if isinstance(model, str) and model.endswith('.py') and not Path(model).is_file():
            raise MissingFileError(f'there is no config {model}: give a file such as those in configs/centermask/.')
        if weights is not None:
            read_checkpoint(weights)
        self._weights = weights
        super().__init__(model=model, weights=weights, device=device, **kwargs)

    def __call__(self, *args, **kwargs) -> dict[str, Any]:
        """Predict; arguments and results are those of DetInferencer."""
        with named_image_errors():
            return super().__call__(*args, **kwargs)

    def _load_weights_to_model(self, model: nn.Module, checkpoint: dict | None, cfg) -> None:
        if checkpoint is not None:
            check_same_model(model, checkpoint, str(self._weights))
        super()._load_weights_to_model(model, checkpoint, cfg)

    def _init_visualizer(self, cfg):
        """Make the config's visualizer; in the place of mmdet's own the one that draws run-length codes too."""
        if cfg.get('visualizer', {}).get('type') == 'DetLocalVisualizer':
            cfg.visualizer.type = 'CenterMaskVisualizer'
        return super()._init_visualizer(cfg)

    def _inputs_to_list(self, inputs) -> list:
        """List the pictures, in the order of their names where they are a folder, and check the files."""
        if isinstance(inputs, (str, os.PathLike)) and Path(inputs).is_dir():
            files = sorted(path for path in Path(inputs).iterdir() if path.suffix.lower() in IMG_EXTENSIONS)
            if not files:
                raise InputError(
                    f'there is no picture in the folder {inputs}: give one with {", ".join(IMG_EXTENSIONS)} files.'
                )
            inputs = files
        if isinstance(inputs, os.PathLike):
            inputs = [inputs]
        if isinstance(inputs, (list, tuple)):
            inputs = [str(item) if isinstance(item, os.PathLike) else item for item in inputs]
        listed = super()._inputs_to_list(inputs)
        check_images([item for item in listed if isinstance(item, str) and '://' not in item], 'the command')
        return listed

    def pred2dict(self, data_sample: DetDataSample, pred_out_dir: str = '') -> dict[str, Any]:
        """Turn a prediction into plain numbers and, if asked to, write them to a JSON file.

        Args:
            data_sample (DetDataSample): With ``pred_instances``, whose masks are an array or a tensor of shape
                (n, H, W), or a list of n run-length codes.
            pred_out_dir (str): Write ``preds/NAME_OF_THE_PICTURE.json`` below this folder. Defaults to '', which
                writes nothing.

        Returns:
            dict: See the class.
        """
        if 'pred_instances' not in data_sample:
            return super().pred2dict(data_sample, pred_out_dir)
        # DetInferencer takes dense tensors only: it is given everything but the masks
        instances = data_sample.pred_instances.cpu()
        masks = instances.pop('masks', None)
        result = super().pred2dict(DetDataSample(pred_instances=instances))
        if 'mask_scores' in instances:
            result['mask_scores'] = instances.mask_scores.tolist()
        if masks is not None:
            result['masks'] = _run_lengths(masks)
        if pred_out_dir:
            self._write(result, data_sample.get('img_path'), pred_out_dir)
        return result

    def _write(self, result: dict[str, Any], img_path: str | None, pred_out_dir: str) -> None:
        """Write a result under its picture's name, or a running number where it has none."""
        if img_path is None:
            name, self.num_predicted_imgs = str(self.num_predicted_imgs), self.num_predicted_imgs + 1
        else:
            name = Path(img_path).stem
        path = Path(pred_out_dir, 'preds', f'{name}.json')
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix('.json.part')
        part.write_text(json.dumps(result))
        os.replace(part, path)


def _run_lengths(masks: Tensor | np.ndarray | list) -> list[dict[str, Any]]:
    """Encode masks as compressed run lengths that JSON can hold."""
    if not isinstance(masks, list):
        masks = encode_mask_results(masks.numpy() if isinstance(masks, Tensor) else masks)
    return rle_to_json(masks)
