"""Refuses to train on frozen batch norms that nobody has trained."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def check_frozen_norms(module: nn.Module) -> None:
    """Check that batch norms which stay frozen in training have been trained.

    With ``norm_eval=True`` the statistics of batch norms stay what they are. Where no weights were loaded
    they are mean 0 and variance 1 for good, the network trains to nothing, and no error says so.

    Args:
        module (nn.Module): A backbone; one without ``norm_eval`` passes.

    Raises:
        RuntimeError: If all its batch norms are frozen and still hold the statistics that they were built with.
    """
    if not getattr(module, 'norm_eval', False):
        return
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.running_var is not None]
    if norms and all(bool((m.running_mean == 0).all() and (m.running_var == 1).all()) for m in norms):
        raise RuntimeError(
            f'{type(module).__name__} is to be trained with frozen batch norms, but no weights were loaded. '
            'Give ImageNet weights, a file or a name that `python tools/convert_checkpoint.py --list` has '
            '(--cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE), '
            'or a whole checkpoint (--cfg-options load_from=FILE), '
            'or train from scratch as configs/centermask/*_scratch_coco.py do.'
        )


class UntrainedNormGuard:
    """Forward pre-hook of a backbone: ``check_frozen_norms`` in the first forward pass in training mode.

    Raises:
        RuntimeError: As ``check_frozen_norms``.
    """

    def __init__(self) -> None:
        self.passed = False

    def __call__(self, module: nn.Module, args: tuple) -> None:
        """Check ``module`` before it runs."""
        if not self.passed and module.training and module.norm_eval:
            check_frozen_norms(module)
            self.passed = True
