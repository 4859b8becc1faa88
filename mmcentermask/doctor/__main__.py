"""Says what is wrong with an environment, and the command that mends it; the exit code is 1 where something is."""

import argparse
import sys

from .examine import answer, examine
from .row import FAULT, NOTE, Row


def report(rows: list[Row]) -> str:
    """Write what was found as a table, and below it what is wrong.

    Args:
        rows (list[Row]): What was found.

    Returns:
        str: Lines for the terminal.
    """
    lines = [f'{row.state:6} {row.name:14} {row.found}' for row in rows]
    for state, title in ((NOTE, 'To know'), (FAULT, 'To mend')):
        sentences = [row.mend for row in rows if row.state == state]
        lines += ['', f'{title}:'] if sentences else []
        # not wrapped, since commands in them are for copying
        lines += [f'{number}. {sentence}' for number, sentence in enumerate(sentences, 1)]
    faults = sum(row.state == FAULT for row in rows)
    verdict = 'Nothing is wrong.' if not faults else f'{faults} fault{"s" if faults > 1 else ""} found.'
    return '\n'.join([*lines, '', verdict])


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        prog='python -m mmcentermask.doctor', description='Say what is wrong with this environment, and what mends it.'
    )
    parser.add_argument('--probe', nargs='+', help=argparse.SUPPRESS)  # how it starts itself
    args = parser.parse_args(argv)
    if args.probe:
        answer(args.probe)
        return 0
    rows = examine()
    print(report(rows))
    return int(any(row.state == FAULT for row in rows))


if __name__ == '__main__':
    sys.exit(main())
