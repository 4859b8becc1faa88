"""Lets one process write the scores of a test."""

from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner


@HOOKS.register_module()
class MainProcessLoggerHook(LoggerHook):
    """mmengine's LoggerHook, but after a test the main process alone writes ``TIMESTAMP.json``, the file of its scores.

    In mmengine each process writes this file, all at once. They measure different times, so one may leave its end
    behind the line of another, and the file is no JSON.
    """

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log the scores, and write them."""
        super().after_test_epoch(runner, metrics)
