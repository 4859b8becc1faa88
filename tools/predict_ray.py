"""Finds and segments the objects of any number of images on the machines of a Ray cluster, or with several processes.

python tools/predict_ray.py photos/ model.onnx --out results                                     # on this machine
python tools/predict_ray.py photos/ own.py --weights FILE --out results --address auto --gpus-per-actor 1

takes and writes what tools/predict.py does, in the same order. Images and model have to lie at the same place on each
machine; results are written here.
"""

import argparse
import functools
import sys

from predict import add_arguments, prediction_options, run, write  # beside this file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Find and segment the objects of any number of images, on Ray.')
    add_arguments(parser)
    parser.add_argument('--address', help='of a Ray cluster, HOST:PORT or auto (default: this machine alone)')
    parser.add_argument('--actors', type=int, help='processes that predict (default: as many as there is room for)')
    parser.add_argument('--cpus-per-actor', type=int, default=1, help='and its threads (default: %(default)s)')
    parser.add_argument('--gpus-per-actor', type=float, default=0, help='0.5 for two a GPU (default: %(default)s)')
    return parser.parse_args(argv)


def predict(args: argparse.Namespace) -> None:
    """Predict as the command line says."""
    from mmcentermask.runtime import Segmenter
    from mmcentermask.runtime.ray_rows import predict_rows_on_ray

    make_segmenter = functools.partial(
        Segmenter,
        args.model,
        args.weights,
        device='cuda' if args.gpus_per_actor else 'cpu',
        threads=args.cpus_per_actor,
    )
    rows = functools.partial(
        predict_rows_on_ray,
        make_segmenter,
        actors=args.actors,
        cpus=args.cpus_per_actor,
        gpus=args.gpus_per_actor,
        address=args.address,
        **prediction_options(args),
    )
    write(args, rows)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return run(predict, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
