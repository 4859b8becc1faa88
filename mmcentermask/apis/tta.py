"""Turns the config of a test into one with test-time augmentation."""

import copy
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.dist import get_rank

from ..datasets.config_datasets import leaves
from ..errors import InputError
from .model_check import build_model

__all__ = ['use_tta']


def use_tta(cfg: Config, recipe: str | Path) -> None:
    """Test in several views of each image: ``tta_model`` around the model, ``tta_pipeline`` in every test data set.

    What the config lacks of the two is taken from the recipe, and a sentence says so.

    Args:
        cfg (Config): The config, changed in place.
        recipe (str or Path): A config file with ``tta_model`` and ``tta_pipeline``.

    Raises:
        InputError: If ``tta_pipeline`` makes no views, or ``tta_model`` does not fit the model.
    """
    missing = [name for name in ('tta_model', 'tta_pipeline') if cfg.get(name) is None]
    if missing:
        default = Config.fromfile(recipe)
        for name in missing:
            cfg[name] = default[name]
        if get_rank() == 0:
            print(f'The config has no {" and no ".join(missing)}: taken from _base_/{Path(recipe).name}.', flush=True)
    if not any('TestTimeAug' in str(transform['type']) for transform in cfg.tta_pipeline):
        raise InputError(
            'tta_pipeline makes no views of an image: put the resizing, the flipping and the packing '
            "into dict(type='TestTimeAug', transforms=[[...], [...], [...]]), as _base_/tta.py does."
        )
    for dataset in leaves(cfg.test_dataloader.dataset):
        dataset['pipeline'] = copy.deepcopy(cfg.tta_pipeline)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    build_model(cfg)  # says what does not fit
