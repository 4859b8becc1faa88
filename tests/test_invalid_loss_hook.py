import math

import pytest
import torch
from toy_run import Seen, Toy, toy_runner

from mmcentermask.apis import InputError
from mmcentermask.checkpoints import load_safely
from mmcentermask.errors import InvalidLossError

NAN, INF = math.nan, math.inf


def start(work_dir, iters, bad=None, accumulate=1, hook=None, model=None, more_hooks=(), **options):
    """Build a run with InvalidLossHook; ``bad`` is added to the loss of a batch, by its number."""
    torch.manual_seed(0)
    hook = dict(type='InvalidLossHook', **(hook or {}))
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
    return toy_runner(
        work_dir,
        iters,
        model=model or Toy(bad),
        hooks=[*more_hooks, hook],
        runner_optim_wrapper=dict(optimizer=optimizer, accumulative_counts=accumulate),
        **options,
    )


def images(seen, iteration):
    return ', '.join(f'{index}.jpg' for index in seen.order[iteration - 1])


@pytest.mark.parametrize('value, told', [(NAN, 'nan'), (INF, 'inf'), (-INF, '-inf')])
def test_stops_with_the_loss_the_iteration_and_the_images(tmp_path, value, told):
    seen = Seen()
    runner = start(tmp_path, 9, {3: value}, hook=dict(interval=1), more_hooks=[seen])
    with pytest.raises(InvalidLossError) as raised:
        runner.train()
    assert f'in iteration 3 loss_square is {told} (images: {images(seen, 3)})' in str(raised.value)
    assert 'loss_size' not in str(raised.value) and isinstance(raised.value, InputError)
    assert len(seen.losses) == 3


def test_the_first_one_is_named_however_late_the_look(tmp_path):
    seen = Seen()
    runner = start(tmp_path, 30, {3: NAN}, hook=dict(interval=7), more_hooks=[seen], interval=100)
    with pytest.raises(InvalidLossError, match=r'in iteration 3 loss_square is nan') as raised:
        runner.train()
    assert len(seen.losses) == 7 and images(seen, 3) in str(raised.value)


def test_between_two_looks_no_value_is_asked_for(tmp_path, monkeypatch):
    asked = []
    finite = torch.isfinite
    monkeypatch.setattr(torch, 'isfinite', lambda x: asked.append(x.numel()) or finite(x))
    start(tmp_path, 8, hook=dict(interval=4), interval=100).train()
    assert asked == [12, 12]  # three values, four iterations each


@pytest.mark.parametrize('type_', ['ResumableCheckpointHook', 'CheckpointHook'])
@pytest.mark.parametrize('when', [dict(interval=4), dict(by_epoch=True)])
def test_no_checkpoint_is_written_after_an_invalid_loss(tmp_path, type_, when):
    runner = start(tmp_path, 8, {7: NAN}, hook=dict(interval=100), type=type_, **when)
    with pytest.raises(InvalidLossError, match='in iteration 7 loss_square'):
        runner.train()
    names = {path.name for path in tmp_path.glob('*.pth')}
    assert names == ({'epoch_1.pth'} if when.get('by_epoch') else {'iter_4.pth'})
    assert all(value.isfinite().all() for value in load_safely(tmp_path / names.pop())['state_dict'].values())


def test_validation_is_not_begun_after_an_invalid_loss(tmp_path):
    runner = start(
        tmp_path, 8, {5: NAN}, hook=dict(interval=100), interval=100, values=[1, 2, 3, 4], save_best='scripted/value'
    )
    with pytest.raises(InvalidLossError, match='in iteration 5'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['best_scripted_value_iter_4.pth']


class SpoiltGradient(Toy):
    """Its losses stay finite, its third gradient does not."""

    def forward(self, *args, **kwargs):
        losses = super().forward(*args, **kwargs)
        if self.batches == 3:
            self.weights.bias.register_hook(lambda grad: grad * NAN)
        return losses


@pytest.mark.parametrize('skip', [False, True])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, skip):
    runner = start(tmp_path, 3, model=SpoiltGradient(), hook=dict(skip=skip), interval=1)
    with pytest.raises(InvalidLossError, match=r'1 of the weights are NaN or infinite by iteration 3 \(weights.bias\)'):
        runner.train()
    assert {path.name for path in tmp_path.glob('*.pth')} == {'iter_1.pth', 'iter_2.pth'}


class Follow(Seen):
    """Remembers the weights after every iteration, too."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self.weights.append(runner.model.weights.weight.detach().clone())


def changed(follow):
    """Numbers of the iterations that changed the weights, from the second."""
    pairs = zip(follow.weights, follow.weights[1:])
    return [number for number, (before, after) in enumerate(pairs, 2) if not torch.equal(before, after)]


def test_a_skipped_batch_changes_nothing_and_is_counted(tmp_path):
    follow = Follow()
    runner = start(tmp_path, 8, {3: NAN, 6: INF}, hook=dict(skip=True), more_hooks=[follow])
    told = []
    runner.logger.warning = told.append
    runner.train()
    assert changed(follow) == [2, 4, 5, 7, 8]
    assert [line for line in told if 'skipped' in line] == [
        f'in iteration 3 loss_square is nan (images: {images(follow, 3)}): the batch is skipped, 1 so far.',
        f'in iteration 6 loss_square is inf (images: {images(follow, 6)}): the batch is skipped, 2 so far.',
    ]
    assert runner.message_hub.get_scalar('train/skipped_batches').current() == 2
    resumed = start(tmp_path, 10, {1: NAN}, hook=dict(skip=True), runner_resume=True)
    resumed.train()
    assert resumed.message_hub.get_info('skipped_batches') == 3


def test_with_accumulation_the_step_of_a_skipped_batch_is_lost(tmp_path):
    follow = Follow()
    start(tmp_path, 10, {3: NAN, 6: NAN}, 2, hook=dict(skip=True), more_hooks=[follow]).train()
    assert changed(follow) == [2, 8, 10]
    # and leaves nothing behind: as if the four batches had never been
    assert all(weights.isfinite().all() for weights in follow.weights)


def test_without_invalid_losses_skip_changes_nothing(tmp_path):
    runs = []
    for skip in (False, True):
        follow = Follow()
        start(tmp_path / str(skip), 5, accumulate=2, hook=dict(skip=skip), more_hooks=[follow]).train()
        runs.append(follow)
    assert runs[0].losses == runs[1].losses and all(map(torch.equal, runs[0].weights, runs[1].weights))


class WithNorm(Toy):
    """Has a batch norm, which meets an infinite activation in the third batch."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(3)

    def forward(self, inputs, *args, **kwargs):
        batch = torch.stack(inputs) + (INF if self.batches == 2 else 0)
        return super().forward(list(self.norm(batch)), *args, **kwargs)


def test_a_skipped_batch_leaves_no_trace_in_the_statistics_of_norms(tmp_path):
    runner = start(tmp_path, 3, model=WithNorm(), hook=dict(skip=True))
    runner.train()
    assert runner.message_hub.get_info('skipped_batches') == 1
    assert runner.model.norm.running_mean.isfinite().all() and runner.model.norm.num_batches_tracked == 2


def test_too_many_in_a_row_stop_nevertheless(tmp_path):
    bad = dict.fromkeys((1, 2, 4, 5, 6), NAN)
    with pytest.raises(InvalidLossError, match='3 batches in a row had an invalid loss'):
        start(tmp_path, 9, bad, hook=dict(skip=True, max_in_a_row=2)).train()


def test_skipping_needs_an_optimizer_wrapper_with_a_step(tmp_path):
    runner = start(tmp_path, 2, hook=dict(skip=True))
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'InvalidLossHook')
    with pytest.raises(TypeError, match='skip=True needs an OptimWrapper, not dict'):
        hook.before_train(type('Other', (), dict(optim_wrapper={})))
