"""Finds what would stop a training run late, or never let it stop."""

from importlib.util import find_spec

from mmengine.config import Config

from ..errors import InputError

__all__ = ['check_run']

# visualization backend -> module that it imports when it first writes, and its name for pip
_PACKAGES = {
    'TensorboardVisBackend': ('tensorboard', 'tensorboard'),
    'WandbVisBackend': ('wandb', 'wandb'),
    'MLflowVisBackend': ('mlflow', 'mlflow'),
    'ClearMLVisBackend': ('clearml', 'clearml'),
    'NeptuneVisBackend': ('neptune', 'neptune'),
    'DVCLiveVisBackend': ('dvclive', 'dvclive'),
    'AimVisBackend': ('aim', 'aim'),
}


def check_run(cfg: Config) -> None:
    """Check the loop and the log of a training run.

    Args:
        cfg (Config): The whole config.

    Raises:
        InputError: If the loop counts epochs of a sampler without an end, or the package of a visualization backend is
            not installed.
    """
    train_cfg = cfg.get('train_cfg') or {}
    sampler = (cfg.get('train_dataloader') or {}).get('sampler') or {}
    if 'max_epochs' in train_cfg and 'Infinite' in str(sampler.get('type')):
        raise InputError(
            f'train_cfg counts epochs, and train_dataloader.sampler is an {sampler["type"]}, whose epoch has no end: '
            "set train_dataloader.sampler.type to 'DefaultSampler', or train by iterations (IterBasedTrainLoop)."
        )
    for backend in (cfg.get('visualizer') or {}).get('vis_backends') or ():
        module, package = _PACKAGES.get(str(backend['type']).split('.')[-1], (None, None))
        if module is not None and find_spec(module) is None:
            raise InputError(
                f'{backend["type"]} needs the package {package}, which is not installed: pip install {package}, '
                'or leave it out of visualizer.vis_backends.'
            )
