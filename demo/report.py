"""Writes drawings and a one-page summary of a training run.

python demo/report.py CONFIG CHECKPOINT --work-dir work_dirs/demo

gives work_dirs/demo/predictions.png (held-out images, the truth beside the prediction), curves.png (losses and AP) and
summary.md (AP table, commands, time, hardware, versions).
"""

import argparse
import contextlib
import io
import sys
import warnings
from pathlib import Path

NAMES = (('bbox', 'box'), ('segm', 'mask'))
COLUMNS = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Write drawings and a summary of a training run.')
    parser.add_argument('config', help='config of the run')
    parser.add_argument('checkpoint', help='its checkpoint, such as work_dirs/demo/iter_1000.pth')
    parser.add_argument('--work-dir', required=True, help='work_dir of the run, where its log is')
    parser.add_argument('--out', help='folder to write to (default: the work_dir)')
    parser.add_argument('--images', type=int, default=8, help='images to show (default: %(default)s)')
    parser.add_argument('--score-thr', type=float, default=0.4, help='least score to draw (default: %(default)s)')
    parser.add_argument(
        '--scale', type=float, help='enlarge the images so often (default: to a long side of 480 pixels)'
    )
    parser.add_argument('--device', default='cpu', help='where to predict (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='parts of the config to override, as in training',
    )
    parser.add_argument('--command', help='command to name in the summary (default: tools/train.py with this config)')
    return parser.parse_args(argv)


def check_args(args: argparse.Namespace) -> None:
    """Raise InputError if a path is not there or a number is out of range; the config is checked by load_config."""
    from mmcentermask import apis

    if not Path(args.work_dir).is_dir():
        raise apis.MissingFileError(f'there is no folder {args.work_dir}: give the work_dir of the run.')
    apis.check_least(args, images=1, scale=0.01)
    if args.scale is not None and args.scale > 100:
        raise apis.InputError(f'--scale is {args.scale}: give 100 or less.')
    if not 0 <= args.score_thr <= 1:
        raise apis.InputError(f'--score-thr is {args.score_thr}: give a score from 0 to 1.')
    apis.check_device(args.device)
    apis.check_writable(args.out or args.work_dir, '--out')


def dashed(ap: float) -> str:
    """An AP value, or a dash for -1."""
    return f'{ap:.3f}' if ap >= 0 else '-'


def ap_table(scores: dict) -> str:
    """The AP values of an evaluation as a Markdown table; a dash where nothing could be scored."""
    from mmcentermask.analysis import markdown_table

    rows = [[name, *[dashed(scores.get((what, column), -1)) for column in COLUMNS]] for what, name in NAMES]
    return markdown_table(['', *COLUMNS], rows)


def last_scores(scores: dict) -> str:
    """The AP of an evaluation in one line; a dash where nothing could be scored."""
    values = [f'{name} AP {dashed(scores.get((what, "AP"), -1))}' for what, name in NAMES]
    return f'After iteration {scores["iteration"]}: {", ".join(values)}'


def summary(args: argparse.Namespace, log, parameters: int, number: int) -> str:
    """The page, as Markdown.

    Args:
        args: The command line.
        log: The ``RunLog``.
        parameters: Number of the model's parameters.
        number: Number of held-out images.
    """
    from mmcentermask.analysis import hardware, versions

    first, last = log.train[0], log.train[-1]
    if log.val:
        table = ap_table(log.val[-1])
        told = f'After iteration {log.val[-1]["iteration"]}, on {number} held-out images (COCO metric; s, m, l: area'
        told += ' below 32², below 96² and above, in pixels).'
    else:
        table, told = 'Not evaluated yet.', f'There are {number} held-out images.'
    command = args.command or f'python tools/train.py {args.config} --work-dir {args.work_dir}'
    report = f'python demo/report.py {args.config} {args.checkpoint} --work-dir {args.work_dir}'
    return f"""# What the run gave

{table}

{told}

![Held-out images, truth beside prediction](predictions.png)

Images at equal steps through the held-out set, not chosen. Boxes with a score above {args.score_thr:g} are drawn; crowd
regions are not.

![Losses and AP](curves.png)

| | |
|---|---|
| Command | `{command}` |
| Drawings | `{report}` |
| Config | `{args.config}`, {parameters:,} parameters |
| Checkpoint | `{args.checkpoint}` |
| Training | {last['iteration']} iterations, loss {first['loss']:.2f} at first and {last['loss']:.2f} at last |
| Time | {log.seconds / 60:.1f} minutes from start to last log line, evaluation included |
| Hardware | {hardware(args.device)} (where this page was written) |
| Versions | {versions()} |
"""


def report(args: argparse.Namespace) -> None:
    """Make everything first, then write it."""
    from mmdet.apis import init_detector

    from mmcentermask import apis
    from mmcentermask.visualization import draw_curves, draw_predictions, read_run_log

    check_args(args)
    cfg = apis.load_config(args.config, args.cfg_options, args.work_dir)
    log = read_run_log(args.work_dir)
    # The AP values in the log are of the validation data, and so shall be the drawings.
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.load_from = args.checkpoint
    apis.check_data_for_testing(cfg)
    apis.check_model_for_testing(cfg)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')  # of boxes that reach beyond the image
        model = init_detector(cfg, args.checkpoint, device=args.device)
        grid, number = draw_predictions(model, cfg.val_dataloader.dataset, args.images, args.score_thr, args.scale)
    page = summary(args, log, sum(p.numel() for p in model.parameters()), number)
    out = Path(args.out or args.work_dir)
    apis.write_files(out, {'predictions.png': grid, 'curves.png': draw_curves(log), 'summary.md': page.encode()})
    print(f'wrote {out}/summary.md, predictions.png and curves.png')
    if log.val:
        print(last_scores(log.val[-1]))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)  # before the imports, which take seconds
    from mmcentermask import apis

    return apis.report_input_errors(report, args)


if __name__ == '__main__':
    sys.exit(main())
