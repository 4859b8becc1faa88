"""Makes a trained model fast, with results that stay."""

from .fast_test_hook import DTYPES, FastTestHook
from .kept_memory import keep_memory
from .prepared_model import prepare_for_inference

__all__ = ['DTYPES', 'FastTestHook', 'keep_memory', 'prepare_for_inference']
