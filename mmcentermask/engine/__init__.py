"""Hooks of the training loop, and its log."""

from .channels_last_hook import ChannelsLastHook, use_channels_last
from .invalid_loss_hook import InvalidLossHook
from .main_process_logger_hook import MainProcessLoggerHook
from .progress_log_processor import ProgressLogProcessor
from .resumable_checkpoint_hook import ResumableCheckpointHook
from .sync_model_buffers_hook import SyncModelBuffersHook
from .validation_images_hook import ValidationImagesHook

__all__ = [
    'ChannelsLastHook',
    'InvalidLossHook',
    'MainProcessLoggerHook',
    'ProgressLogProcessor',
    'ResumableCheckpointHook',
    'SyncModelBuffersHook',
    'ValidationImagesHook',
    'use_channels_last',
]
