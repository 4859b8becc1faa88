"""Prediction on many images by several processes, on one machine or many, with Ray Data."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import InputError
from .many_images import predict_rows
from .segmenter import Segmenter, check_options

_TASK = 64  # images that an actor takes at most at a time, and that are predicted again where it dies


def predict_rows_on_ray(
    make_segmenter: Callable[[], Segmenter],
    images: Iterable[str],
    actors: int | None = None,
    cpus: int = 1,
    gpus: float = 0,
    address: str | None = None,
    batch_size: int = 1,
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Predict as ``many_images.predict_rows`` does, by actors of Ray; rows come in the order of the images.

    Actors read the images, and rows, whose masks are RLEs, come to this process. So no CPU has to be kept free for
    reading and writing. What an actor that dies had begun goes to another one.

    Args:
        make_segmenter (callable): Makes the Segmenter of an actor, in its process.
        images (iterable of str): Paths, which have to be there on each machine.
        actors (int, optional): Processes that predict. Defaults to as many as there is room for.
        cpus (int): Of an actor. Defaults to 1.
        gpus (float): Of an actor, 0.5 for two a GPU. Defaults to 0.
        address (str, optional): Of a cluster, ``HOST:PORT`` or ``auto``. Defaults to a new one on this machine.
        batch_size (int): Images at a time. Defaults to 1.
        **options: See ``Segmenter.stream``.

    Raises:
        InputError: If an option is out of range, Ray is missing, there is no room for the actors, the cluster does not
            answer, or a Segmenter cannot be made.
    """
    check_options(options.get('threshold', 0), batch_size)
    if actors is not None and actors < 1 or cpus < 1 or not gpus >= 0 or gpus > 1 and gpus % 1:
        raise InputError(
            f'{actors or 1} actors of {cpus} CPUs and {gpus:g} GPUs cannot run: give 1 or more actors and CPUs, and 0 '
            'GPUs, a share of one, or a whole number.'
        )
    images = list(images)
    if not images:
        return
    ray = _start(address)
    try:
        room = _room(ray.nodes(), cpus, gpus)
        if room < (actors or 1):
            raise InputError(
                f'{actors or 1} actors of {cpus} CPUs and {gpus:g} GPUs have no room, {room} have: give less with '
                '--actors, --cpus-per-actor or --gpus-per-actor, or a larger cluster with --address.'
            )
        actors = min(actors or room, len(images))
        # small tasks at the end of a run leave no actor idle; a whole number of batches, as in one process
        task = math.ceil(min(_TASK, math.ceil(len(images) / actors / 4)) / batch_size) * batch_size
        found = ray.data.from_items(images, override_num_blocks=math.ceil(len(images) / task)).map_batches(
            _Actor,
            fn_constructor_args=(make_segmenter, os.getcwd(), dict(options, batch_size=batch_size)),
            batch_size=task,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=cpus,
            num_gpus=gpus,
        )
        for item in found.iter_rows():
            row = json.loads(item['row'])
            if 'refused' in row:
                raise InputError(row['refused'])
            yield row
    finally:
        ray.shutdown()


class _Actor:
    """Predicts in a process of its own."""

    def __init__(self, make_segmenter: Callable[[], Segmenter], folder: str, options: dict[str, Any]) -> None:
        self._options, self._refused = options, None
        try:
            os.chdir(folder)  # where relative paths begin
            self._segmenter = make_segmenter()
        except (InputError, OSError) as error:  # raised here, it would be told by Ray, with a traceback
            self._refused = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        rows = [dict(refused=self._refused)]
        if self._refused is None:
            try:
                rows = list(predict_rows(self._segmenter, batch['item'].tolist(), **self._options))
            except InputError as error:
                rows = [dict(refused=str(error))]
        return dict(row=[json.dumps(row) for row in rows])


def _start(address: str | None) -> Any:
    """Import Ray and connect to a cluster, or make one on this machine; return the module."""
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            f'predicting with Ray needs the package {error.name}, which is not installed: pip install '
            "'mmcentermask[ray]'."
        ) from error
    address = address or os.environ.get('RAY_ADDRESS') or 'local'
    here = dict(include_dashboard=False) if address == 'local' else {}
    try:
        if ':' in address and '://' not in address:  # where nobody listens, Ray would try for minutes
            host, port = address.rsplit(':', 1)
            socket.create_connection((host.strip('[]'), int(port)), timeout=10).close()
        ray.init(address=address, logging_level=logging.ERROR, **here)
    except (OSError, ValueError) as error:
        raise InputError(
            f'the Ray cluster {address} does not answer ({error}): correct --address, or '
            'set RAY_AUTH_MODE=token where it was started with one.'
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    logging.getLogger('ray.data').setLevel(logging.ERROR)
    return ray


def _room(nodes: list[dict[str, Any]], cpus: int, gpus: float) -> int:
    """Return how many actors the machines of a cluster have room for."""
    room = 0
    for resources in (node['Resources'] for node in nodes if node['Alive']):
        fitting = int(resources.get('CPU', 0) // cpus)
        if gpus:
            per_gpu = int(1 / gpus + 1e-6)  # an actor's share is of one GPU
            cards = resources.get('GPU', 0)
            fitting = min(fitting, int(cards * per_gpu if gpus <= 1 else cards // gpus))
        room += fitting
    return room
