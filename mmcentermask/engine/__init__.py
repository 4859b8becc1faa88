"""Hooks of the training loop."""

from .channels_last_hook import ChannelsLastHook, use_channels_last
from .invalid_loss_hook import InvalidLossHook
from .main_process_logger_hook import MainProcessLoggerHook
from .resumable_checkpoint_hook import ResumableCheckpointHook
from .sync_model_buffers_hook import SyncModelBuffersHook

__all__ = [
    'ChannelsLastHook',
    'InvalidLossHook',
    'MainProcessLoggerHook',
    'ResumableCheckpointHook',
    'SyncModelBuffersHook',
    'use_channels_last',
]
