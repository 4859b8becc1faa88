"""Makes every way in which mmengine reads weights a safe one: a checkpoint that wants to run code is refused.

The maintained mmengine reads a local file that torch's safe mode refuses once more without it, and on both lines
downloads are read without it. So each scheme of mmengine's CheckpointLoader gets a loader from here. ``load_from``,
``--resume``, ``init_cfg=dict(type='Pretrained')``, init_detector and DetInferencer all go through them.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.dist import barrier, get_rank
from mmengine.fileio import get_file_backend
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch.hub import load_state_dict_from_url

from .kinds import refuse_unfolded
from .own_checkpoints import allow_own_checkpoints
from .safe_load import load_bytes_safely, load_safely, refusing_code

__all__ = ['make_loading_safe']


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Read a local file."""
    checkpoint = load_safely(filename, map_location)
    refuse_unfolded(checkpoint, filename)
    return checkpoint


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a file into torch's cache, unless it is there, and read it."""

    def load():
        with refusing_code(filename):
            return load_state_dict_from_url(
                filename, map_location=map_location, progress=sys.stderr.isatty(), weights_only=True
            )

    if get_rank() != 0:
        barrier()
        return load()
    try:
        return load()  # only the first process downloads
    finally:
        barrier()  # also where it fails, or the others would wait forever


def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Read weights of torchvision: ``torchvision://resnet50``."""
    return load_from_http(mmengine_checkpoint.get_torchvision_models()[_name(filename)], map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Read weights that mmengine or the user's ``open_mmlab.json`` lists: ``open-mmlab://resnet50_caffe``."""
    name = _name(filename)
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    url = mmengine_checkpoint.get_external_models()[name]
    if url.startswith(('http://', 'https://')):
        return load_from_http(url, map_location)
    return load_safely(Path(mmengine_checkpoint._get_mmengine_home(), url), map_location)


def load_from_mmcls(filename: str, map_location: Any = None) -> Any:
    """Read the backbone of a classifier of OpenMMLab: ``mmcls://mobilenet_v2``."""
    loaded = load_from_http(mmengine_checkpoint.get_mmcls_models()[_name(filename)], map_location)
    return mmengine_checkpoint._process_mmcls_checkpoint(loaded)


def load_from_ceph(filename: str, map_location: Any = None) -> Any:
    """Read from a Ceph store: ``s3://...``, ``petrel://...``."""
    content = get_file_backend(filename, backend_args=dict(backend='petrel')).get(filename)
    return load_bytes_safely(content, filename, map_location)


def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Read from PAVI's model cloud: ``pavi://...``."""
    from pavi import modelcloud

    model = modelcloud.get(_name(filename))
    with TemporaryDirectory() as folder:
        path = Path(folder, model.name)
        model.download(str(path))
        return load_safely(path, map_location)


def _name(filename: str) -> str:
    return filename.split('://', 1)[1]


# mmengine's prefixes are regular expressions
_LOADERS = {
    '': load_from_local,
    'http://': load_from_http,
    'https://': load_from_http,
    'modelzoo://': load_from_torchvision,
    'torchvision://': load_from_torchvision,
    'open-mmlab://': load_from_openmmlab,
    'openmmlab://': load_from_openmmlab,
    'mmcls://': load_from_mmcls,
    r'(\S+\:)?s3://': load_from_ceph,
    r'(\S+\:)?petrel://': load_from_ceph,
    'pavi://': load_from_pavi,
}


def make_loading_safe() -> None:
    """Give every scheme of mmengine a loader that never runs code; allow what its own checkpoints hold."""
    allow_own_checkpoints()
    for prefix, loader in _LOADERS.items():
        CheckpointLoader.register_scheme(prefix, loader, force=True)
