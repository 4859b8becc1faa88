"""One line of what the doctor says."""

from typing import NamedTuple

__all__ = ['FAULT', 'NOTE', 'OK', 'UNTRIED', 'Row', 'broken', 'told']

OK, NOTE, FAULT, UNTRIED = 'ok', 'note', 'FAULT', '-'


class Row(NamedTuple):
    """What was looked at and what was found."""

    name: str
    state: str  # OK, NOTE, FAULT or UNTRIED
    found: str  # a few words
    mend: str = ''  # a sentence with the command that mends it, where something is wrong


def told(error: BaseException) -> str:
    """Return an error as one line.

    Args:
        error (BaseException): The error.

    Returns:
        str: Its class and the last line of its message that says something.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = next((line for line in lines if 'cannot' in line or 'failed' in line), lines[0] if lines else '')
    return f'{type(error).__name__}: {text}'[:300].rstrip(': ')


def broken(name: str, error: BaseException, command: str) -> Row:
    """Return the line of something that is installed and does not work.

    Args:
        name (str): What.
        error (BaseException): What happened.
        command (str): What mends it.

    Returns:
        Row: A fault.
    """
    return Row(name, FAULT, 'does not work', f'{name} does not work ({told(error)}): run `{command}`.')
