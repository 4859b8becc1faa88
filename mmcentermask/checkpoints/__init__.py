"""Published checkpoints: load -> detect -> rename -> verify, without ever running code from a file."""

from .convert import Conversion, convert_checkpoint, convert_state_dict
from .load import load_safely, make_loading_safe, unwrap

__all__ = ['Conversion', 'convert_checkpoint', 'convert_state_dict', 'load_safely', 'make_loading_safe', 'unwrap']
