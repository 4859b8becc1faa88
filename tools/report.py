"""Writes a training run as one HTML page: scores, data, curves, examples while it learned, speed, errors, config.

python tools/report.py work_dirs/demo

gives work_dirs/demo/report.html, which needs nothing beside it. What tools/analyze.py --out work_dirs/demo/analysis
found is in it, too.
"""

import argparse
import sys


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Write a training run as one HTML page.')
    parser.add_argument('work_dir', metavar='WORK_DIR', help='work_dir of the run, where its log is')
    parser.add_argument('--out', metavar='FILE', help='page to write (default: report.html in the work_dir)')
    return parser.parse_args(argv)


def report(args: argparse.Namespace) -> None:
    """Write the page."""
    from pathlib import Path

    from mmcentermask.atomic_write import atomic_write
    from mmcentermask.errors import MissingFileError
    from mmcentermask.visualization import read_run_log
    from mmcentermask.visualization.run_report import last_scores, render_report

    if not Path(args.work_dir).is_dir():
        raise MissingFileError(f'there is no folder {args.work_dir}: give the work_dir of the run.')
    out = Path(args.out or Path(args.work_dir, 'report.html'))
    page = render_report(args.work_dir)
    with atomic_write(out, 'name another file with --out') as file:
        file.write(page)
    log = read_run_log(args.work_dir)
    print(f'wrote {out}' + (f'\n{last_scores(log)}' if log.val else ''))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)
    from mmcentermask.runtime.command import run_command

    return run_command(report, args)


if __name__ == '__main__':
    sys.exit(main())
