"""Weights that anyone can make again: each value follows from its parameter's official name and shape."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).parent / 'data'

# by how a name ends: what is added to the values, and their standard deviation in place of 1 / sqrt(fan in)
_ADDED = {'cls_logits.bias': -4.0, 'bbox_pred.bias': 4.0, 'maskiou.bias': 0.7}
_SPREAD = {
    'cls_logits.weight': 0.02,
    'bbox_pred.weight': 0.03,
    'ctrness.weight': 0.02,
    'conv_offset.weight': 0.005,
    'maskiou.weight': 0.005,
}


def official_shapes():
    """Family -> checkpoint -> official name -> shape, of every published checkpoint."""
    return json.loads(gzip.decompress((DATA / 'official_shapes.json.gz').read_bytes()))


def _by_ending(table, name, default):
    return next((value for ending, value in table.items() if name.endswith(ending)), default)


def recipe(shapes):
    """Make the weights of {name: shape}, without constants of the input and without counters."""
    norms = {name.rsplit('.', 1)[0] for name, shape in shapes.items() if name.endswith('.weight') and len(shape) == 1}
    weights = {}
    for name, shape in shapes.items():
        if name.startswith('pixel_') or name.endswith('num_batches_tracked'):
            continue
        module, leaf = name.rsplit('.', 1)
        random = np.random.RandomState(zlib.crc32(name.encode()))
        values = random.standard_normal(tuple(shape)).astype(np.float32)
        if leaf == 'running_var':
            values = 1 + 0.1 * np.abs(values)
        elif leaf == 'scale' or (leaf == 'weight' and module in norms):
            values = 1 + 0.1 * values
        elif leaf == 'weight':
            values = float(_by_ending(_SPREAD, name, np.sqrt(1.0 / np.prod(shape[1:])))) * values
        else:
            values = 0.1 * values
        weights[name] = torch.from_numpy(np.asarray(values + _by_ending(_ADDED, name, 0.0), np.float32))
    return weights
