"""Ablations: schedules in proportion, runs that are not repeated, differences beyond the spread of seeds."""

import csv
import functools
import json

import pytest
import torch
from mmengine.config import Config, ConfigDict
from tiny_run import load_tool, make_data, run_tool, write_config

from conftest import CONFIGS, ROOT, build, small_config
from mmcentermask.analysis import count_macs, count_parameters, network_pass
from mmcentermask.apis import InputError

TOOL = 'tools/analysis_tools/ablate.py'
ablate = load_tool(TOOL)
SHAPES = CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_shapes.py'


def row(name, values, small=None):
    small = small or values
    scores = [{'segm AP': a, 'segm APs': s} for a, s in zip(values, small)]
    return ablate.AblationResult(name, scores, 1000, 2 * 10**9, 0.0123)


def test_a_difference_within_the_spread_of_seeds_is_none():
    rows = [row('first', [0.30, 0.34]), row('second', [0.35, 0.36]), row('third', [0.40, 0.38], [0.1, 0.1])]
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in ablate.compare(rows).splitlines()]
    head, body = cells[0], cells[2:]
    against = head.index('AP against the first')
    # means 32, 35.5 and 39; the spread of the first is 4
    assert [line[against] for line in body] == ['', 'none', '+7.0']
    assert [line[against + 1] for line in body] == ['', 'none', '-22.0']
    assert body[0][1] == '32.0 (30.0 to 34.0)'
    assert body[0][-3:] == ['1,000', '2.00', '12.3']


def test_one_seed_tells_no_difference():
    last = ablate.compare([row('first', [0.3]), row('second', [0.6])]).splitlines()[-1]
    assert '60.0' in last and '+30' not in last and 'none' not in last


def test_what_could_not_be_scored_is_blank():
    rows = [row('first', [0.3, 0.3], [-1, -1]), row('second', [0.5, 0.5], [0.1, 0.1])]
    cells = [cell.strip() for cell in ablate.compare(rows).splitlines()[-1].split('|')[1:-1]]
    assert cells[3:7] == ['', '', '+20.0', '']  # APm, APl, the differences of AP and of APs


def test_written_whole(tmp_path):
    rows = [row('first', [0.30, 0.34]), row('second', [0.35, 0.36])]
    ablate.write_comparison(tmp_path, rows, 'The command.')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['plot.png', 'results.csv', 'table.md']
    assert 'The command.' in (tmp_path / 'table.md').read_text()
    read = list(csv.DictReader((tmp_path / 'results.csv').open()))
    assert [line['segm AP'] for line in read] == ['0.3', '0.34', '0.35', '0.36']
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


def test_the_schedule_shrinks_in_proportion():
    cfg = Config.fromfile(SHAPES)
    ablate.set_iterations(cfg, 140)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (140, 140)
    assert [(s.begin, s.get('end')) for s in cfg.param_scheduler] == [(0, 5), (5, None)]  # the run's end
    ablate.set_iterations(cfg, 4)
    assert [(s.type, s.begin, s.get('end')) for s in cfg.param_scheduler] == [('CosineAnnealingLR', 0, None)]
    assert cfg.default_hooks.logger.interval == 4
    cfg = Config.fromfile(CONFIGS / 'centermask_v39-ese_fpn_1x_coco.py')
    ablate.set_iterations(cfg, 900)
    assert cfg.param_scheduler[1].milestones == [600, 800]
    with pytest.raises(InputError, match='counts in epochs'):
        ablate.set_iterations(Config(dict(train_cfg=dict(max_epochs=3))), 9)


def test_multiply_adds_by_hand():
    conv = torch.nn.Conv2d(3, 4, 3, padding=1)
    assert count_macs(lambda: conv(torch.zeros(1, 3, 10, 20))) == 4 * 3 * 9 * 200
    assert count_parameters(conv) == 4 * 27 + 4


def test_a_box_more_costs_the_mask_branch_of_one_box():
    model = build(small_config()).eval()
    counts = [count_macs(network_pass(model, (64, 64), boxes)) for boxes in (1, 2, 3)]
    head = model.roi_head.mask_head
    convs = 2 * 128 * 128 * 9 * 14 * 14
    assert counts[2] - counts[1] == counts[1] - counts[0] > convs > 0
    assert head.convs[0].conv.out_channels == 128


@pytest.mark.slow
def test_a_command_trains_each_once_and_goes_on(tmp_path, monkeypatch, capsys):
    data = make_data(tmp_path / 'data')
    first, second = write_config(tmp_path / 'first.py', data), write_config(tmp_path / 'second.py', data)
    out = tmp_path / 'out'
    ran = []
    monkeypatch.setattr(ablate, '_train', lambda config, run_dir, n: ran.append(run_dir.parent.name))
    scores = ConfigDict(val=[{'iteration': 2, ('segm', 'AP'): 0.25, ('bbox', 'AP'): 0.5}])
    monkeypatch.setattr(ablate, 'read_run_log', lambda folder: scores)
    args = [first, second, '--work-dir', out, '--seeds', '3', '4', '--iterations', '2', '--size', '64', '--boxes', '2']
    assert ablate.main([str(arg) for arg in args]) == 0
    assert ran == ['seed3', 'seed4'] * 2
    assert ablate.main([str(arg) for arg in args]) == 0
    assert len(ran) == 4  # nothing is trained twice
    assert json.loads((out / 'second/seed4/result.json').read_text()) == {'segm AP': 0.25, 'bbox AP': 0.5}
    assert Config.fromfile(out / 'second/seed4/config.py').randomness.seed == 4
    capsys.readouterr()
    args[args.index('--iterations') + 1] = '3'
    assert ablate.main([str(arg) for arg in args]) == 1
    assert 'holds a run with other settings' in capsys.readouterr().err
    assert not list(out.rglob('.config.py'))
    (out / 'first/seed3/result.json').unlink()
    scores['val'] = []
    args[args.index('--iterations') + 1] = '2'
    assert ablate.main([str(arg) for arg in args]) == 1
    assert 'ended without an evaluation' in capsys.readouterr().err


@pytest.mark.parametrize(
    'wrong, told',
    [
        (['--seeds', '1', '1'], 'names a seed twice'),
        (['--size', '50'], 'multiple of 32'),
        (['--iterations', '0'], 'give 1 or more'),
    ],
)
def test_bad_options(tmp_path, capsys, wrong, told):
    config = write_config(tmp_path / 'first.py', tmp_path / 'nothing')
    assert run_tool(TOOL, config, '--work-dir', tmp_path / 'out', *wrong) == 1
    assert told in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_two_configs_of_one_name(tmp_path, capsys):
    config = write_config(tmp_path / 'first.py', tmp_path / 'nothing')
    assert run_tool(TOOL, config, config, '--work-dir', tmp_path / 'out') == 1
    assert 'two configs are named first' in capsys.readouterr().err


def test_the_training_tool_lies_beside_the_command(tmp_path, monkeypatch):
    assert ablate.TRAIN == ROOT / 'tools/train.py'
    cfg = Config.fromfile(write_config(tmp_path / 'first.py', tmp_path / 'nothing'))
    monkeypatch.setattr(ablate, 'TRAIN', tmp_path / 'tools/train.py')
    with pytest.raises(InputError, match='there is no .*train.py: run ablate.py from the tools/ folder'):
        ablate.train_once(cfg, tmp_path / 'run', 0, 2, 1)


@pytest.mark.slow
def test_a_real_run_of_two_iterations(tmp_path):
    cfg = Config.fromfile(write_config(tmp_path / 'first.py', make_data(tmp_path / 'data')))
    run = functools.partial(ablate.train_once, cfg, tmp_path / 'run', 5, 2, 1)
    scores = run()
    assert {'segm AP', 'bbox AP', 'segm APs'} <= set(scores) and all(-1 <= v <= 1 for v in scores.values())
    logs = len(list((tmp_path / 'run').rglob('scalars.json')))
    assert run() == scores
    assert len(list((tmp_path / 'run').rglob('scalars.json'))) == logs == 1
    # stopped before its result was written, it goes on from its checkpoint: nothing is left to train
    (tmp_path / 'run/result.json').unlink()
    assert run() == scores
