"""Trains a model.

python tools/train.py configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py \
    --cfg-options data_root=data/coco
"""

import argparse
import sys

from mmengine.config import Config

from mmcentermask import apis


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='config file')
    apis.add_run_options(parser)
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


def check(cfg: Config) -> None:
    """Find out what cannot work before anything is written."""
    apis.check_run(cfg)
    apis.check_data_for_training(cfg)
    apis.check_model_for_training(cfg)


def train(args: argparse.Namespace) -> None:
    """Train as the command line says."""
    cfg = apis.load_config(args.config, args.cfg_options, args.work_dir)
    if args.amp:
        apis.use_amp(cfg)
    if args.auto_scale_lr:
        apis.set_auto_scale_lr(cfg)
    apis.set_resume(cfg, args.resume)
    apis.start_processes(cfg, args.launcher, args.local_rank)
    apis.check_once(check, cfg)
    with apis.named_image_errors():
        apis.build_runner(cfg).train()


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(train, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
