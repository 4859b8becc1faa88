"""Runs a command that may do without torch; ``apis.report_input_errors`` does for the others."""

import sys
from collections.abc import Callable
from typing import Any

from ..errors import InputError


def run_command(job: Callable[[Any], None], args: Any) -> int:
    """Run a command; bad input gives one sentence on stderr and the exit code 1, other errors keep their traceback."""
    try:
        job(args)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0
