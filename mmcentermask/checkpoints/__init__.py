"""Published checkpoints: reading them safely and giving their parameters our names."""

from .convert import Conversion, convert_checkpoint, convert_state_dict
from .safe_load import load_safely

__all__ = ['Conversion', 'convert_checkpoint', 'convert_state_dict', 'load_safely']
