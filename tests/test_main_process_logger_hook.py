"""One process writes the scores of a test."""

import json

import mmengine.dist.utils
import pytest
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from toy_run import Numbers, Scripted, toy_runner

from conftest import ROOT


@pytest.mark.parametrize(('type_', 'others_write'), [('MainProcessLoggerHook', False), ('LoggerHook', True)])
def test_the_main_process_alone_writes_scores(tmp_path, monkeypatch, type_, others_write):
    runner = toy_runner(
        tmp_path,
        1,
        runner_default_hooks=dict(logger=dict(type=type_)),
        runner_test_cfg=dict(type='TestLoop'),
        runner_test_dataloader=dict(
            dataset=Numbers(), sampler=dict(type='DefaultSampler', shuffle=False), batch_size=2
        ),
        runner_test_evaluator=Evaluator(Scripted([0.5])),
    )
    scores = runner.test()
    (file,) = tmp_path.glob('*/*.json')
    assert scores.items() <= json.loads(file.read_text()).items() and scores['scripted/value'] == 0.5
    file.unlink()
    monkeypatch.setattr(mmengine.dist.utils, 'get_rank', lambda group=None: 1)
    runner.call_hook('after_test_epoch', metrics=scores)
    assert file.exists() == others_write


def test_every_config_has_it():
    hooks = Config.fromfile(ROOT / 'configs/_base_/default_runtime.py').default_hooks
    assert hooks.logger.type == 'MainProcessLoggerHook'
