"""A training run of a fraction of a second, with randomness of every kind in it."""

import itertools
import random

import numpy as np
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

_NUMBERS = itertools.count()


class Numbers:
    """Samples which say which they are, with noise from Python's and NumPy's generators; half of them are upright."""

    metainfo = dict(classes=('number',))

    def __len__(self):
        return 10

    def get_data_info(self, index):
        return dict(width=2, height=1 + 2 * (index % 2))

    def __getitem__(self, index):
        return dict(
            inputs=torch.tensor([index, np.random.rand(), random.random()]),
            index=index,
            data_samples=BaseDataElement(metainfo=dict(img_path=f'{index}.jpg')),
        )


class Toy(BaseModel):
    """Three weights, and noise of torch's generator in the loss. ``bad`` is added to the loss of an iteration."""

    def __init__(self, bad=None):
        super().__init__()
        self.weights = torch.nn.Linear(3, 1)
        self.bad = bad or {}  # number of the batch -> what is added to the loss
        self.batches = 0

    def forward(self, inputs, index, data_samples, mode='tensor'):
        if mode == 'predict':
            return [torch.rand(1)]
        error = self.weights(torch.stack(inputs) / 10) - torch.rand(len(inputs), 1)
        self.batches += 1
        return dict(loss_square=error.square().mean() + self.bad.get(self.batches, 0.0), loss_size=error.abs().mean())


class Scripted(BaseMetric):
    """Gives one value after the other."""

    default_prefix = 'scripted'

    def __init__(self, values):
        super().__init__()
        self.values = iter(values)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(value=next(self.values))


class Seen(Hook):
    """Remembers the order of the samples and the value of each loss."""

    def __init__(self):
        self.order, self.losses = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.order.append([int(index) for index in data_batch['index']])
        self.losses.append(outputs['loss'].item())


def toy_runner(work_dir, iters, *, workers=0, aspect=False, by_epoch=False, values=(), model=None, hooks=(), **options):
    """Build a Runner which saves a checkpoint an iteration (or epoch) with ResumableCheckpointHook.

    ``values`` are the scores of a validation an iteration; ``options`` go to the hook and, with the prefix
    ``runner_``, to the Runner.
    """
    runner_options = {key[7:]: options.pop(key) for key in list(options) if key.startswith('runner_')}
    hook = dict(type='ResumableCheckpointHook', interval=1, by_epoch=by_epoch, rule='greater')
    hook.update(options)
    sampler = dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=True)
    loader = dict(dataset=Numbers(), sampler=sampler, batch_size=2, num_workers=workers)
    if aspect:
        loader['batch_sampler'] = dict(type='AspectRatioBatchSampler')
    val = {}
    if values:
        val = dict(
            val_cfg=dict(type='ValLoop'),
            val_dataloader=dict(dataset=Numbers(), sampler=dict(type='DefaultSampler', shuffle=False), batch_size=2),
            val_evaluator=Evaluator(Scripted(values)),
        )
    torch.manual_seed(0)  # the same weights, wherever the earlier tests left the generator
    settings = dict(
        model=Toy() if model is None else model,
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=iters, val_interval=1)
        if by_epoch
        else dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_scope='mmdet',
        default_hooks=dict(checkpoint=hook, logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=list(hooks),
        log_level='ERROR',
        experiment_name=f'toy-{next(_NUMBERS)}',
        randomness=dict(seed=7),
        **val,
    )
    settings.update(runner_options)
    return Runner(**settings)
