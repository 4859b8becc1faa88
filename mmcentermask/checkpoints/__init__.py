"""Published checkpoints: fetch -> load -> detect -> rename -> verify, without ever running code from a file."""

from .convert import Conversion, convert_checkpoint, convert_state_dict
from .fetch import Normalization, fetch
from .load import load_safely, unwrap
from .schemes import register_schemes
from .weights_table import known_weights

__all__ = [
    'Conversion',
    'Normalization',
    'convert_checkpoint',
    'convert_state_dict',
    'fetch',
    'known_weights',
    'load_safely',
    'register_schemes',
    'unwrap',
]
