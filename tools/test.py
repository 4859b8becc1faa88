"""Evaluates a checkpoint.

python tools/test.py CONFIG CHECKPOINT --cfg-options data_root=data/coco
"""

import argparse
import sys
from pathlib import Path

TTA_CONFIG = Path(__file__).resolve().parents[1] / 'configs/_base_/tta.py'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint.')
    parser.add_argument('config', help='config file, or the name of a model')
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint file or name (default: what is published of the model)'
    )
    parser.add_argument('--work-dir', help='folder to write to (default: work_dirs/NAME_OF_THE_CONFIG)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='parts of the config to override, such as data_root=FOLDER model.num_classes=1; lists as key="[a,b]"',
    )
    parser.add_argument('--no-check', action='store_true', help='begin without a look at the annotations and images')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torch.distributed.launch passes it, torchrun sets the environment variable
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to a pickle file')
    parser.add_argument('--tta', action='store_true', help="test in several scales and flips: the config's, or ours")
    parser.add_argument(
        '--fast',
        nargs='?',
        const='fp32',
        choices=['fp32', 'bf16', 'fp16'],
        help='test with a fast copy of the model: results equal but for rounding (fp32, the default), or faster yet',
    )
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', metavar='NAME', help='draw the predictions to WORK_DIR/TIMESTAMP/NAME')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds to show each (default: %(default)s)')
    return parser.parse_args(argv)


def test(args: argparse.Namespace) -> None:
    """Evaluate as the command line says."""
    from mmdet.engine.hooks.utils import trigger_visualization_hook
    from mmengine.device import get_device

    from mmcentermask import apis
    from mmcentermask.apis.fast_inference import DTYPES, check_dtype
    from mmcentermask.config_errors import part_of
    from mmcentermask.evaluation import DumpRLE
    from mmcentermask.model_index import find_weights
    from mmcentermask.models import CenterMask

    cfg = apis.load_config(args.config, args.cfg_options, args.work_dir)
    cfg.load_from = find_weights(args.config) if args.checkpoint is None else args.checkpoint
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    apis.check_writable(cfg.work_dir, '--work-dir')
    if args.show_dir:
        apis.check_writable(Path(cfg.work_dir, args.show_dir), '--show-dir')
    if args.out is not None:
        if not args.out.endswith(('.pkl', '.pickle')):
            raise apis.InputError(f'--out is {args.out}, but it writes a pickle file: give a name that ends in .pkl.')
        if Path(args.out).is_dir():
            raise apis.InputError(f'--out is {args.out}, which is a folder: name a file.')
        apis.check_writable(Path(args.out).parent, '--out')
    apis.start_processes(cfg, args.launcher, args.local_rank)
    if args.fast is not None:
        kind = part_of(cfg.model.type)
        if kind is not None and not issubclass(kind, CenterMask):  # of None the check of the model tells
            raise apis.InputError(
                f'--fast is for a CenterMask, but {args.config} has a {cfg.model.type}: leave it out.'
            )
        check_dtype(DTYPES[args.fast], get_device())
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='FastTestHook', dtype=args.fast)]
    check_data = [] if args.no_check else [apis.check_data_for_testing]
    apis.check_once(cfg, *check_data, apis.check_model_for_testing)
    if args.tta:
        apis.use_tta(cfg, TTA_CONFIG)
    runner = apis.build_runner(cfg)
    if args.out is not None:
        runner.test_evaluator.metrics.append(DumpRLE(out_file_path=args.out))
    with apis.named_image_errors(cfg, 'test'):
        runner.test()


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)  # before the imports, which take seconds
    from mmcentermask import apis

    return apis.report_input_errors(test, args)


if __name__ == '__main__':
    sys.exit(main())
