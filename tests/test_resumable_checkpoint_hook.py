import errno
import io
import os
import random

import numpy as np
import pytest
import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from toy_run import Seen, Toy, toy_runner

from mmcentermask import atomic_write
from mmcentermask.apis import InputError
from mmcentermask.checkpoints import load_safely
from mmcentermask.engine.resumable_checkpoint_hook import AtomicBackend, get_random_states, set_random_states


def train(*args, **kwargs):
    """Train; return what was seen, and the weights."""
    seen = Seen()
    runner = toy_runner(*args, hooks=[seen, *kwargs.pop('more_hooks', ())], **kwargs)
    runner.train()
    # workers end at once when the iterator does so first, and after 5 s each where the garbage collector ends all
    runner.train_loop.dataloader_iterator = None
    return seen, runner.model.state_dict()


def names(folder):
    return {path.name for path in folder.iterdir() if path.is_file() and path.suffix != '.py'}


def last(folder):
    return (folder / 'last_checkpoint').read_text()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_random_states_go_through_torchs_safe_mode(tmp_path):
    random.gauss(0, 1), np.random.randn()  # each keeps a second number for later
    torch.save(get_random_states(), tmp_path / 'states.pth')
    drawn = [random.gauss(0, 1), random.random(), np.random.randn(), np.random.rand(), torch.rand(3).tolist()]
    set_random_states(load_safely(tmp_path / 'states.pth'))
    assert [random.gauss(0, 1), random.random(), np.random.randn(), np.random.rand(), torch.rand(3).tolist()] == drawn


@pytest.mark.parametrize('variant', ['plain', 'aspect', 'validated', 'by_epoch', 'ema'])
def test_resumed_training_equals_uninterrupted_training(tmp_path, variant):
    options = dict(
        plain=dict(),
        aspect=dict(aspect=True),
        validated=dict(values=[1, 3, 2, 4, 5, 6], save_best='scripted/value'),
        by_epoch=dict(by_epoch=True),
        ema=dict(more_hooks=[dict(type='EMAHook')]),
    )[variant]
    whole, weights = train(tmp_path / 'whole', 6, **options)
    begun, _ = train(tmp_path / 'parts', 4, **options)
    if 'values' in options:
        options['values'] = [5, 6]
    ended, resumed = train(tmp_path / 'parts', 6, runner_resume=True, **options)
    assert begun.order + ended.order == whole.order and len(ended.order) < len(whole.order)
    assert begun.losses + ended.losses == whole.losses
    assert len(set(whole.losses)) == len(whole.losses) and same(weights, resumed)
    one, other = (
        load_safely(tmp_path / run / ('epoch_6.pth' if variant == 'by_epoch' else 'iter_6.pth'))
        for run in ('whole', 'parts')
    )
    assert same(one['state_dict'], other['state_dict']) and one['meta']['iter'] == other['meta']['iter']
    assert torch.equal(one['random_states']['processes'][0]['torch'], other['random_states']['processes'][0]['torch'])


@pytest.mark.parametrize('aspect', [False, True])
def test_with_workers_the_images_come_in_the_same_order(tmp_path, aspect):
    whole, _ = train(tmp_path / 'whole', 9, workers=2, aspect=aspect)
    begun, _ = train(tmp_path / 'parts', 4, workers=2, aspect=aspect)
    ended, _ = train(tmp_path / 'parts', 9, workers=2, aspect=aspect, runner_resume=True)
    assert begun.order + ended.order == whole.order and len(ended.order) == 5


def test_the_order_survives_a_run_without_a_seed(tmp_path):
    begun, _ = train(tmp_path, 8, runner_randomness=dict(seed=None))
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_3.pth'))
    ended, _ = train(tmp_path, 8, runner_randomness=dict(seed=None), runner_resume=True)
    assert ended.order == begun.order[3:] and ended.losses == begun.losses[3:]


def test_no_image_is_loaded_for_the_batches_before(tmp_path, monkeypatch):
    train(tmp_path, 8)
    loaded = []
    get = __import__('toy_run').Numbers.__getitem__
    monkeypatch.setattr('toy_run.Numbers.__getitem__', lambda self, i: loaded.append(i) or get(self, i))
    ended, _ = train(tmp_path, 10, runner_resume=True)
    assert loaded == sum(ended.order, []) and len(loaded) == 4


def test_weights_alone_start_a_new_run(tmp_path):
    train(tmp_path / 'first', 3)
    fresh, _ = train(tmp_path / 'fresh', 2)
    loaded, _ = train(tmp_path / 'loaded', 2, runner_load_from=str(tmp_path / 'first/iter_3.pth'))
    assert loaded.order == fresh.order and loaded.losses != fresh.losses


def test_a_checkpoint_of_mmengines_own_hook_is_resumed(tmp_path):
    whole, _ = train(tmp_path / 'whole', 5, type='CheckpointHook')
    ended, _ = train(tmp_path / 'whole', 8, runner_resume=True)
    other, _ = train(tmp_path / 'other', 8)
    assert ended.order == other.order[5:]


@pytest.fixture
def steps(monkeypatch):
    """What happens to files, in order."""
    done = []
    replace = os.replace
    backend = AtomicBackend
    remove = backend.remove

    def replaced(source, target):
        assert source.name.endswith('.unfinished')
        if target.suffix == '.pth':
            load_safely(source)  # it is whole by now
        done.append(('written', target.name))
        replace(source, target)

    monkeypatch.setattr(os, 'replace', replaced)
    monkeypatch.setattr(
        backend, 'remove', lambda self, path: done.append(('removed', os.path.basename(path))) or remove(self, path)
    )
    return done


def test_written_whole_then_named_then_the_old_one_removed(tmp_path, steps):
    train(tmp_path, 3, max_keep_ckpts=1)
    assert steps == [
        ('written', 'iter_1.pth'),
        ('written', 'last_checkpoint'),
        ('written', 'iter_2.pth'),
        ('written', 'last_checkpoint'),
        ('removed', 'iter_1.pth'),
        ('written', 'iter_3.pth'),
        ('written', 'last_checkpoint'),
        ('removed', 'iter_2.pth'),
    ]
    assert names(tmp_path) == {'iter_3.pth', 'last_checkpoint'} and last(tmp_path) == str(tmp_path / 'iter_3.pth')


def test_the_best_one_before_is_removed_last(tmp_path, steps):
    train(tmp_path, 3, interval=5, values=[2, 1, 3], save_best='scripted/value')
    assert steps == [
        ('written', 'best_scripted_value_iter_1.pth'),
        # the last iteration is saved, and once more for the new best
        ('written', 'iter_3.pth'),
        ('written', 'last_checkpoint'),
        ('written', 'best_scripted_value_iter_3.pth'),
        ('written', 'iter_3.pth'),
        ('written', 'last_checkpoint'),
        ('removed', 'best_scripted_value_iter_1.pth'),
    ]
    best = load_safely(tmp_path / 'best_scripted_value_iter_3.pth')
    assert 'optimizer' not in best and 'random_states' not in best


def test_the_best_one_stays_while_none_is_better_also_over_a_resume(tmp_path):
    train(tmp_path, 2, values=[5, 1], save_best='scripted/value')
    train(tmp_path, 3, values=[4], save_best='scripted/value', runner_resume=True)
    assert {name for name in names(tmp_path) if 'best' in name} == {'best_scripted_value_iter_1.pth'}
    train(tmp_path, 4, values=[6], save_best='scripted/value', runner_resume=True)
    assert {name for name in names(tmp_path) if 'best' in name} == {'best_scripted_value_iter_4.pth'}


def test_published_checkpoints_hold_the_keys_asked_for(tmp_path, steps):
    train(tmp_path, 1, published_keys=['meta', 'state_dict'], values=[1], save_best='scripted/value')
    published = [name for name in names(tmp_path) if '-' in name]
    assert len(published) == 2 and {('written', name) for name in published} <= set(steps)
    assert all(set(load_safely(tmp_path / name)) == {'meta', 'state_dict'} for name in published)


class FullDisk(io.FileIO):
    """A file that takes a few bytes only."""

    def write(self, content):
        super().write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def break_(monkeypatch, what):
    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if what == 'torch.save':
        monkeypatch.setattr(mmengine_checkpoint.torch, 'save', fail)
    elif what == 'write':
        monkeypatch.setattr(atomic_write, 'open', FullDisk, raising=False)
    else:
        monkeypatch.setattr(os, what, fail)


@pytest.mark.parametrize('what', ['torch.save', 'write', 'fsync', 'replace'])
def test_a_failed_write_leaves_the_checkpoint_before(tmp_path, monkeypatch, what):
    train(tmp_path, 2, max_keep_ckpts=1)
    with monkeypatch.context() as patch:
        break_(patch, what)
        with pytest.raises(OSError, match='No space left') as raised:
            train(tmp_path, 4, max_keep_ckpts=1, runner_resume=True)
    if what != 'torch.save':
        assert isinstance(raised.value, InputError) and 'iter_3.pth cannot be written' in str(raised.value)
        assert '--resume' in str(raised.value)
    assert names(tmp_path) == {'iter_2.pth', 'last_checkpoint'} and last(tmp_path) == str(tmp_path / 'iter_2.pth')
    assert load_safely(tmp_path / 'iter_2.pth')['meta']['iter'] == 2
    ended, _ = train(tmp_path, 4, max_keep_ckpts=1, runner_resume=True)
    assert len(ended.order) == 2 and names(tmp_path) == {'iter_4.pth', 'last_checkpoint'}


def test_what_a_killed_run_left_is_removed_and_never_resumed(tmp_path):
    train(tmp_path, 3, max_keep_ckpts=1)
    state = (tmp_path / 'iter_3.pth').read_bytes()
    # killed while it wrote the next checkpoint, and before it removed the one before
    for name in ('iter_5.pth.unfinished', 'last_checkpoint.unfinished'):
        (tmp_path / name).write_bytes(state[:50])
    (tmp_path / 'iter_2.pth').write_bytes(state)
    (tmp_path / 'mine.txt').write_text('stays')
    ended, _ = train(tmp_path, 4, max_keep_ckpts=1, runner_resume=True)
    assert len(ended.order) == 1 and names(tmp_path) == {'iter_4.pth', 'last_checkpoint', 'mine.txt'}


def test_validation_leaves_no_trace_in_training(tmp_path):
    without, weights = train(tmp_path / 'without', 4)
    validated, other = train(tmp_path / 'with', 4, values=[1, 2, 3, 4])
    assert without.losses == validated.losses and same(weights, other)


def test_another_number_of_processes_is_told(tmp_path, caplog):
    train(tmp_path, 2)
    state = load_safely(tmp_path / 'iter_2.pth')
    del state['random_states']
    torch.save(state, tmp_path / 'iter_2.pth')
    runner = toy_runner(tmp_path, 3, runner_resume=True, model=Toy())
    told = []
    runner.logger.warning = told.append
    runner.train()
    assert any('no random states' in line for line in told)


def test_the_old_name_of_the_backends_arguments_is_refused(tmp_path):
    with pytest.raises(ValueError, match='backend_args'):
        toy_runner(tmp_path, 1, file_client_args=dict(backend='disk'))
