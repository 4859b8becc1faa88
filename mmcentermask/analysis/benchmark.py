"""Times detectors side by side: every stage, memory and work."""

import copy
import csv
import ctypes
import gc
import io
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmdet.structures.mask import encode_mask_results
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmcentermask.apis.output_files import write_files
from mmcentermask.inference import keep_memory
from mmcentermask.visualization import png_of

from .stage_clock import STAGES, StageClock

__all__ = ['Measured', 'TestedModel', 'TrainedModel', 'as_run_lengths', 'peak_memory', 'table_of', 'write_measured']


class Measured(NamedTuple):
    """What was measured of one model.

    Attributes:
        name: Of the model.
        runs: A dict a run, with the seconds of each stage.
        memory: Largest memory in bytes beyond what was in use before a run, or None where it cannot be found out.
        parameters: Number of parameters, or None.
        multiply_adds: Of one run, or None where they were not counted.
        boxes: Number of boxes found in an image, or None.
    """

    name: str
    runs: list[dict[str, float]]
    memory: int | None
    parameters: int | None
    multiply_adds: int | None
    boxes: int | None

    def totals(self) -> list[float]:
        """Return the seconds of each run, without what is no part of it (drawing)."""
        return [sum(seconds for stage, seconds in run.items() if stage != 'drawing') for run in self.runs]

    def median(self, stage: str) -> float | None:
        """Return the median of a stage in seconds, or None where the model has no such stage."""
        values = [run[stage] for run in self.runs if stage in run]
        return statistics.median(values) if values else None


def as_run_lengths(masks: Tensor | list[dict] | None) -> list[dict] | None:
    """Encode masks as an evaluation needs them, unless they are run lengths already, or there are none.

    Args:
        masks (Tensor or list[dict], optional): (N, H, W), bool, or run lengths.

    Returns:
        list[dict]: Run lengths, or None.
    """
    return encode_mask_results(masks.cpu().numpy()) if isinstance(masks, Tensor) else masks


class TestedModel:
    """Takes a batch of images of one size from a picture in memory to run-length encoded masks.

    Args:
        model (nn.Module): A detector of mmdet in evaluation mode.
        prepare (Callable): Makes what ``test_step`` takes, from nothing: the test pipeline on the picture.
        draw (Callable, optional): Draws a sample with predictions; timed as a stage of its own. Defaults to None.
        kept (bool): Whether the process keeps memory from one image to the next while this model runs. Defaults to
            False.
    """

    __test__ = False  # no test of pytest's

    def __init__(
        self, model: nn.Module, prepare: Callable[[], dict], draw: Callable | None = None, kept: bool = False
    ) -> None:
        self.model = model
        self.prepare = prepare
        self.draw = draw
        self.kept = kept
        self.boxes: int | None = None  # found in the first image of the last run
        self.clock = StageClock(model)

    def __call__(self) -> dict[str, float]:
        """Run once; return the seconds of each stage."""
        clock = self.clock
        with torch.inference_mode(), clock.running():
            with clock.stage('pre-processing'):
                data = self.prepare()
            before = sum(clock.seconds.values())
            began = clock.now()
            samples = self.model.test_step(data)
            spent = clock.now() - began
            clock.seconds['other'] = max(0.0, spent - (sum(clock.seconds.values()) - before))
            with clock.stage('encoding'):
                for sample in samples:
                    as_run_lengths(sample.pred_instances.get('masks'))
            if self.draw is not None:
                with clock.stage('drawing'):
                    for sample in samples:
                        self.draw(sample)
            self.boxes = len(samples[0].pred_instances)
            return dict(clock.seconds)

    def turn(self) -> dict[str, float]:
        """Run twice, as the first image finds memory and caches as another model left them.

        Returns:
            dict: The seconds of each stage of the second run.
        """
        keep_memory(self.kept)
        self()
        return self()


class TrainedModel:
    """Takes training steps on one batch in memory, with SGD at a learning rate of 0, so that all steps are alike.

    Args:
        model (nn.Module): A detector of mmdet; set to training mode.
        data (dict): As ``train_step`` takes it.
    """

    def __init__(self, model: nn.Module, data: dict) -> None:
        self.model = model.train()
        self.data = data
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = OptimWrapper(torch.optim.SGD(parameters, lr=0.0, momentum=0.9))
        self.clock = StageClock(model)

    def __call__(self) -> dict[str, float]:
        """Take one step; return its seconds."""
        data = dict(inputs=list(self.data['inputs']), data_samples=copy.deepcopy(self.data['data_samples']))
        began = self.clock.now()
        self.model.train_step(data, self.optimizer)
        return {'step': self.clock.now() - began}


def peak_memory(run: Callable[[], object], device: str) -> int | None:
    """Run a function once and return the largest memory that it took beyond what was in use before.

    On a GPU that of torch's allocator, on CPU that of the whole process, which the system tells on Linux only.

    Args:
        run (Callable): The function.
        device (str): ``'cpu'`` or the GPU.

    Returns:
        int: Bytes, or None where it cannot be found out.
    """
    gc.collect()
    if device.startswith('cuda'):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if not os.path.exists('/proc/self/clear_refs'):
        return None
    if hasattr(ctypes.CDLL(None), 'malloc_trim'):
        ctypes.CDLL(None).malloc_trim(0)  # or memory kept from an earlier run would be taken again unseen
    try:
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')  # forget the peak of before
    except OSError:
        return None
    before = _resident('VmRSS')
    run()
    peak = _resident('VmHWM')
    return None if before is None or peak is None else max(0, peak - before)


def _resident(name: str) -> int | None:
    with open('/proc/self/status') as file:
        found = [int(line.split()[1]) * 1024 for line in file if line.startswith(name + ':')]
    return found[0] if found else None


def _stages(rows: list[Measured]) -> list[str]:
    known = [*STAGES, 'step', 'drawing']
    return [stage for stage in known if any(row.median(stage) is not None for row in rows)]


def table_of(rows: list[Measured]) -> str:
    """Return the table as Markdown: median times in milliseconds, with the least and the largest total in brackets.

    Args:
        rows (list[Measured]): The first is compared with.

    Returns:
        str: The table.
    """
    stages = _stages(rows)
    head = ['model', 'ms', 'to the first', *stages, 'MiB', 'boxes', 'parameters', 'GMACs']
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    first = statistics.median(rows[0].totals())
    for row in rows:
        totals = row.totals()
        middle = statistics.median(totals)
        cells = [row.name, f'{1000 * middle:.1f} ({1000 * min(totals):.1f} to {1000 * max(totals):.1f})']
        cells.append(f'{middle / first:.3f}')
        cells += ['' if (value := row.median(stage)) is None else f'{1000 * value:.1f}' for stage in stages]
        cells.append('' if row.memory is None else f'{row.memory / 2**20:.0f}')
        cells.append('' if row.boxes is None else str(row.boxes))
        cells.append('' if row.parameters is None else f'{row.parameters:,}')
        cells.append('' if row.multiply_adds is None else f'{row.multiply_adds / 1e9:.2f}')
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def _numbers(rows: list[Measured]) -> bytes:
    file = io.StringIO(newline='')
    writer = csv.writer(file)
    stages = _stages(rows)
    writer.writerow(['model', 'run', *[f'{s} (s)' for s in stages], 'bytes', 'boxes', 'parameters', 'multiply-adds'])
    for row in rows:
        for number, run in enumerate(row.runs):
            seconds = [f'{run[stage]:.6f}' if stage in run else '' for stage in stages]
            rest = [row.memory, row.boxes, row.parameters, row.multiply_adds]
            writer.writerow([row.name, number, *seconds, *['' if value is None else value for value in rest]])
    return file.getvalue().encode()


def _chart(rows: list[Measured]) -> bytes:
    # a figure of its own and no pyplot: nothing global is touched and no display is looked for
    figure = Figure(figsize=(11, 1.6 + 0.45 * len(rows)), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    stages = [stage for stage in _stages(rows) if stage != 'drawing']
    left = np.zeros(len(rows))
    for place, stage in enumerate(stages):
        widths = np.array([1000 * (row.median(stage) or 0.0) for row in rows])
        axes.barh(range(len(rows)), widths, left=left, label=stage, color=f'C{place}')
        left += widths
    for place, row in enumerate(rows):
        totals = row.totals()
        middle = 1000 * statistics.median(totals)
        around = [[middle - 1000 * min(totals)], [1000 * max(totals) - middle]]
        axes.errorbar(middle, place, xerr=around, color='black', capsize=3, linewidth=1)
        axes.annotate(f' {middle:.0f} ms', (1000 * max(totals), place), va='center')
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel('median time of an image or step in ms, by stage; the line goes from the least to the largest')
    axes.grid(axis='x', alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper center', ncols=5, frameon=False)
    return png_of(figure, dpi=120)


def write_measured(folder: str | os.PathLike, rows: list[Measured], told: str) -> None:
    """Write ``table.md``, ``results.csv`` and ``times.png``, each whole or not at all.

    Args:
        folder (str): Where to; made if it is not there.
        rows (list[Measured]): As ``table_of``.
        told (str): What stands below the table: what is included, the command, the machine.
    """
    page = f'{table_of(rows)}\n\n{told}\n\n![Median times by stage](times.png)\n'
    files = {'table.md': page.encode(), 'results.csv': _numbers(rows), 'times.png': _chart(rows)}
    write_files(Path(folder), files)
