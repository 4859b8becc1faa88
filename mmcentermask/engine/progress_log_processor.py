"""Tells first, in a line of the log, how far a training is and how long it takes."""

from mmdet.registry import LOG_PROCESSORS
from mmengine.runner import LogProcessor, Runner

_UNITS = (('d', 86400), ('h', 3600), ('min', 60))


def in_words(seconds: float) -> str:
    """Return a time in its two largest units.

    >>> in_words(5025), in_words(59)
    ('1 h 23 min', '59 s')
    """
    parts, left = [], int(seconds)
    for name, length in _UNITS:
        if left >= length or (parts and len(parts) < 2):
            parts.append(f'{left // length} {name}')
            left %= length
    return ' '.join(parts[:2]) or f'{left} s'


@LOG_PROCESSORS.register_module()
class ProgressLogProcessor(LogProcessor):
    """LogProcessor whose lines of training begin with what is done, what is left (without validations) and the loss.

    Args: As LogProcessor.

    >>> cfg.log_processor = dict(type='ProgressLogProcessor', by_epoch=False)  # doctest: +SKIP
    """

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """Return the values and the line, see LogProcessor."""
        tag, line = super().get_log_after_iter(runner, batch_idx, mode)
        eta = runner.message_hub.runtime_info.get('eta')
        if mode == 'train' and eta is not None:
            done = (runner.iter + 1) / runner.max_iters
            line = f'{done:4.0%}, {in_words(eta)} left, loss {tag["loss"]:.3f} | {line}'
        return tag, line
