"""Hooks of the training loop."""

from .channels_last_hook import ChannelsLastHook, use_channels_last

__all__ = ['ChannelsLastHook', 'use_channels_last']
