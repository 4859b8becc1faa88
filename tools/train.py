"""Trains a model.

python tools/train.py configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py \
    --cfg-options data_root=data/coco
"""

import argparse
import sys


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='config file, or the name of a model')
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
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or from the latest one in the work dir where none is named',
    )
    return parser.parse_args(argv)


def train(args: argparse.Namespace) -> None:
    """Train as the command line says."""
    from mmcentermask import apis

    cfg = apis.load_config(args.config, args.cfg_options, args.work_dir)
    if args.amp:
        apis.use_amp(cfg)
    if args.auto_scale_lr:
        apis.set_auto_scale_lr(cfg)
    apis.set_resume(cfg, args.resume)
    apis.check_writable(cfg.work_dir, '--work-dir')
    apis.start_processes(cfg, args.launcher, args.local_rank)
    check_data = [] if args.no_check else [apis.check_data_for_training]
    apis.check_once(cfg, apis.check_run, *check_data, apis.check_model_for_training)
    with apis.named_image_errors(cfg, 'train', 'val'):
        apis.build_runner(cfg).train()


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)  # before the imports, which take seconds
    from mmcentermask import apis

    return apis.report_input_errors(train, args)


if __name__ == '__main__':
    sys.exit(main())
