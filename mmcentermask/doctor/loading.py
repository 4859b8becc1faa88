"""Tries whether checkpoints are read, and only as data."""

import os
import tempfile
from importlib import metadata
from pathlib import Path

from mmcentermask.dependencies import installed, parse_version

from .row import FAULT, OK, Row, told

__all__ = ['probe_loading']


class _MakesFolder:
    """Makes a folder where it is unpickled with code allowed."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def probe_loading() -> Row:
    """Checkpoints: mmengine's own are read, one that runs code is refused."""
    import torch
    from mmengine.logging import HistoryBuffer
    from mmengine.runner import CheckpointLoader

    name = 'checkpoints'
    with tempfile.TemporaryDirectory() as folder:
        own, hostile, sign = (str(Path(folder, part)) for part in ('own.pth', 'hostile.pth', 'sign'))
        torch.save(dict(state_dict={}, message_hub=dict(loss=HistoryBuffer([1.0], [1]))), own)
        torch.save(dict(state_dict={}, meta=_MakesFolder(sign)), hostile)
        try:
            CheckpointLoader.load_checkpoint(own, map_location='cpu', logger='silent')
        except Exception as error:
            mend = (
                f"torch {torch.__version__} does not read mmengine's own checkpoints ({told(error)}), although "
                'mmcentermask was imported: run `pip install --force-reinstall --no-deps .` in the checkout.'
            )
            return Row(name, FAULT, 'cannot be read', mend)
        try:
            CheckpointLoader.load_checkpoint(hostile, map_location='cpu', logger='silent')
        except Exception:
            refused = not Path(sign).exists()
        else:
            refused = False
    if not refused:
        mend = (
            'a checkpoint can run code here, since something put other loaders in the place of those of mmcentermask: '
            'import mmcentermask after it, or run `pip install --force-reinstall --no-deps .` in the checkout.'
        )
        return Row(name, FAULT, 'may run code', mend)
    return Row(name, OK, 'are read' + _alone(torch.__version__) + '; code in them is refused')


def _alone(torch_version: str) -> str:
    """Say where mmengine alone would not read its own."""
    if 'mmengine' not in installed('mmengine') or parse_version(torch_version) < (2, 6):
        return ''
    return (
        f' (where mmcentermask is imported; mmengine {metadata.version("mmengine")} alone reads none with this torch)'
    )
