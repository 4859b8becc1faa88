"""tools/train.py and tools/test.py: they do their work, and refuse bad input before anything is written."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from tiny_run import ROOT, TRAIN_ANN, VAL_ANN, change_json, make_data, only_class, run_tool, write_config

from mmcentermask.apis import InputError, load_config, set_auto_scale_lr, set_resume, start_processes, use_amp
from mmcentermask.apis.launch import set_cpu_threads


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with data, a config and what two iterations of training wrote."""
    folder = tmp_path_factory.mktemp('trained')
    config = write_config(folder / 'tiny.py', make_data(folder / 'data'))
    assert run_tool('tools/train.py', config, '--work-dir', folder / 'run') == 0
    return folder


@pytest.fixture
def bench(tmp_path, trained, monkeypatch):
    """A fresh copy of data and config, in the current folder."""
    shutil.copytree(trained / 'data', tmp_path / 'data')
    write_config(tmp_path / 'tiny.py', tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def log_values(work_dir):
    """The lines of a run's scalars.json files, in order of time."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def refused(capsys, *args):
    """Run a command that must fail; return its one sentence."""
    assert run_tool(*args) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1
    return lines[0]


def test_train_writes_checkpoints_and_losses(trained):
    state = torch.load(trained / 'run/iter_2.pth', weights_only=False)
    assert state['meta']['iter'] == 2
    assert state['meta']['dataset_meta']['classes'] == ('ellipse', 'rectangle', 'triangle', 'star')
    losses = log_values(trained / 'run')[0]
    assert {'loss_cls', 'loss_bbox', 'loss_centerness', 'loss_mask', 'loss_mask_iou'} <= set(losses)
    assert all(value == value for value in losses.values())


def test_torchs_safe_mode_reads_what_training_wrote(trained):
    assert torch.load(trained / 'run/iter_2.pth', weights_only=True)['meta']['iter'] == 2


class Lookup:
    def __reduce__(self):
        return getattr, ('', 'upper')


def test_torchs_safe_mode_still_refuses_to_look_things_up(tmp_path):
    torch.save(Lookup(), tmp_path / 'code.pth')
    with pytest.raises((ValueError, pickle.UnpicklingError), match='may not look up'):
        torch.load(tmp_path / 'code.pth', weights_only=True)


def weights_only(trained, folder):
    """The trained parameters alone, as a converted or published checkpoint has them."""
    state = torch.load(trained / 'run/iter_2.pth', weights_only=False)['state_dict']
    torch.save({'state_dict': dict(state), 'meta': {}}, folder / 'weights.pth')
    return folder / 'weights.pth'


def test_test_reads_a_moved_data_set_and_dumps_predictions(bench, trained):
    (bench / 'data').rename(bench / 'elsewhere')
    code = run_tool(
        'tools/test.py', 'tiny.py', weights_only(trained, bench), '--out', 'dump.pkl', '--work-dir', 'run',
        '--cfg-options', 'data_root=elsewhere', 'model.test_cfg.score_thr=0.0',
    )  # fmt: skip
    assert code == 0
    predictions = pickle.loads((bench / 'dump.pkl').read_bytes())
    assert len(predictions) == 2
    instances = predictions[0]['pred_instances']
    assert len(instances['scores']) == len(instances['mask_scores']) == len(instances['masks']) > 0
    (scores,) = (bench / 'run').glob('*/*.json')
    assert 'coco/segm_mAP' in json.loads(scores.read_text())


def test_resume_goes_on_from_the_latest_checkpoint(bench, trained):
    shutil.copytree(trained / 'run', 'run')
    (bench / 'run/last_checkpoint').write_text(str(bench / 'run/iter_1.pth'))
    first = len(log_values(bench / 'run'))
    assert run_tool('tools/train.py', 'tiny.py', '--work-dir', 'run', '--resume') == 0
    steps = [line['step'] for line in log_values(bench / 'run')[first:] if 'loss' in line]
    assert steps == [2]


def test_finetuning_on_another_number_of_classes(bench, trained):
    weights = weights_only(trained, bench)
    for name in (TRAIN_ANN, VAL_ANN):
        change_json(bench / 'data' / name, only_class('star'))
    write_config(bench / 'tiny.py', bench / 'data', classes=('star',))
    options = [f'load_from={weights}', 'train_cfg.max_iters=1']
    assert run_tool('tools/train.py', 'tiny.py', '--work-dir', 'run', '--cfg-options', *options) == 0
    state = torch.load('run/iter_1.pth', weights_only=False)
    assert state['state_dict']['bbox_head.conv_cls.weight'].shape[0] == 1
    assert state['meta']['dataset_meta']['classes'] == ('star',)


def remove(name):
    return lambda bench: shutil.rmtree(bench / name) if (bench / name).is_dir() else (bench / name).unlink()


def write(name, content):
    return lambda bench: (bench / name).write_bytes(content)


def edit(name, change):
    return lambda bench: change_json(bench / name, change)


def first_image(bench, content=None):
    """Cut the first image with objects in half, or delete it."""
    ann = json.loads((bench / 'data' / TRAIN_ANN).read_text())
    used = {a['image_id'] for a in ann['annotations']}
    name = next(i['file_name'] for i in ann['images'] if i['id'] in used)
    path = bench / 'data/train2017' / name
    if content == 'missing':
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)


TRAIN_JSON, VAL_JSON = 'data/' + TRAIN_ANN, 'data/' + VAL_ANN
BAD_DATA = {
    'no data folder': (remove('data'), [], ['no data folder', 'data_root=FOLDER']),
    'data_root of nothing': (None, ['data_root=nowhere'], ['no data folder nowhere', 'data_root=FOLDER']),
    'no image folder': (remove('data/val2017'), [], ['no data folder', 'val2017']),
    'no annotation file': (remove(TRAIN_JSON), [], ['no annotation file', TRAIN_ANN]),
    'no annotation file to validate': (remove(VAL_JSON), [], ['no annotation file', VAL_ANN]),
    'not JSON': (write(TRAIN_JSON, b'{"images": ['), [], [TRAIN_ANN, 'not JSON']),
    'not text': (write(TRAIN_JSON, b'\xff\xfe\x00'), [], [TRAIN_ANN, 'no text in UTF-8 or UTF-16']),
    'a list': (write(TRAIN_JSON, b'[]'), [], [TRAIN_ANN, "no list 'images'"]),
    'no categories': (edit(TRAIN_JSON, lambda c: c.pop('categories')), [], [TRAIN_ANN, "no list 'categories'"]),
    'no boxes': (edit(TRAIN_JSON, lambda c: c['annotations'][3].pop('bbox')), [], ['annotations[3]', 'no bbox']),
    'no category': (
        edit(VAL_JSON, lambda c: c['annotations'][0].pop('category_id')),
        [],
        ['annotations[0]', 'no category_id'],
    ),
    'a class is missing': (edit(TRAIN_JSON, only_class('star')), [], ["classes=('star',)", 'model.num_classes=1']),
    'other order': (
        edit(VAL_JSON, lambda c: c['categories'].reverse()),
        ['val_evaluator.type=CocoMetric'],
        [VAL_ANN, "file's order"],
    ),
    'no objects': (edit(TRAIN_JSON, lambda c: c['annotations'].clear()), [], [TRAIN_ANN, 'no object is left']),
    'num_classes': (None, ['model.num_classes=80'], ['80 classes', 'set model.num_classes=4']),
    'missing image': (lambda b: first_image(b, 'missing'), [], ['no image', 'train2017']),
    'half an image': (first_image, [], ['cannot be decoded', 'train2017']),
    'empty image': (lambda b: first_image(b, b''), [], ['cannot be decoded', 'train2017']),
    'no image at all': (lambda b: first_image(b, b'hello'), [], ['cannot be decoded', 'train2017']),
    'variant': (None, ['model.backbone.arch=V-20'], ["no variant 'V-20'", 'V-19-slim-dw']),
    'frozen norms': (None, ['model.backbone.norm_eval=True'], ['frozen batch norms', 'init_cfg']),
    'no weights': (None, ['load_from=none.pth'], ['no checkpoint none.pth']),
    'no backbone weights': (
        None,
        ['model.backbone.init_cfg.type=Pretrained', 'model.backbone.init_cfg.checkpoint=none.pth'],
        ['no checkpoint none.pth', 'init_cfg', 'timm://ese_vovnet39b.ra_in1k'],
    ),
}


@pytest.mark.parametrize('case', BAD_DATA)
def test_train_refuses(case, bench, capsys):
    spoil, options, words = BAD_DATA[case]
    if spoil is not None:
        spoil(bench)
    args = ['--cfg-options', *options] if options else []
    sentence = refused(capsys, 'tools/train.py', 'tiny.py', '--work-dir', 'run', *args)
    assert [word for word in words if word not in sentence] == []
    assert not (bench / 'run').exists() and not (bench / 'work_dirs').exists()


def test_a_plain_string_as_classes_is_refused(bench, capsys):
    text = (bench / 'tiny.py').read_text()
    (bench / 'tiny.py').write_text(
        text.replace("classes=('ellipse', 'rectangle', 'triangle', 'star')", "classes=('star')")
    )
    sentence = refused(capsys, 'tools/train.py', 'tiny.py', '--work-dir', 'run')
    assert "classes=('star',)" in sentence
    assert not (bench / 'run').exists()


def other_shapes(state):
    state['bbox_head.conv_cls.weight'] = state['bbox_head.conv_cls.weight'][:2]


def fewer(state):
    for name in [name for name in state if name.startswith('roi_head.mask_iou_head')]:
        state.pop(name)


def more(state):
    state['backbone.stage5.1.concat.conv.weight'] = torch.zeros(1)


BAD_CHECKPOINTS = {
    'other shapes': (other_shapes, ['of another model', 'bbox_head.conv_cls.weight is (2,']),
    'fewer': (fewer, ['of another model', 'missing from it', 'roi_head.mask_iou_head']),
    'more': (more, ['of another model', 'unknown to the model', 'backbone.stage5.1.concat.conv.weight']),
    'nothing': (dict.clear, ['holds no parameters']),
}


@pytest.mark.parametrize('case', BAD_CHECKPOINTS)
def test_test_refuses_another_models_checkpoint(case, bench, trained, capsys):
    spoil, words = BAD_CHECKPOINTS[case]
    state = dict(torch.load(trained / 'run/iter_2.pth', weights_only=False)['state_dict'])
    spoil(state)
    torch.save({'state_dict': state}, 'bad.pth')
    sentence = refused(capsys, 'tools/test.py', 'tiny.py', 'bad.pth', '--work-dir', 'run')
    assert [word for word in ['bad.pth', *words] if word not in sentence] == []
    assert not (bench / 'run').exists()


def test_test_prepares_nothing_but_a_centermask(bench, capsys):
    other = str(ROOT / 'configs/mixed/retinanet_v39-ese_fpn_1x_coco.py')
    sentence = refused(capsys, 'tools/test.py', other, 'none.pth', '--fast', '--work-dir', 'run')
    assert 'retinanet_v39-ese_fpn_1x_coco.py has a RetinaNet: leave it out' in sentence
    assert not (bench / 'run').exists()


@pytest.mark.parametrize('cut', [0, 0.99])
def test_test_refuses_a_truncated_checkpoint(cut, bench, trained, capsys):
    content = weights_only(trained, bench).read_bytes()
    (bench / 'cut.pth').write_bytes(content[: int(cut * len(content))])
    sentence = refused(capsys, 'tools/test.py', 'tiny.py', 'cut.pth', '--work-dir', 'run')
    assert 'cut.pth' in sentence and 'truncated' in sentence
    assert not (bench / 'run').exists()


def test_train_refuses_to_begin_with_another_model(bench, trained, capsys):
    state = torch.load(trained / 'run/iter_2.pth', weights_only=False)['state_dict']
    torch.save({k.removeprefix('backbone.'): v for k, v in state.items() if 'backbone' in k}, 'bad.pth')
    sentence = refused(capsys, 'tools/train.py', 'tiny.py', '--work-dir', 'run', '--cfg-options', 'load_from=bad.pth')
    assert [word for word in ['bad.pth', 'none fits', 'init_cfg'] if word not in sentence] == []
    assert not (bench / 'run').exists()


def test_an_image_that_breaks_only_in_the_decoder_is_named(bench, capsys):
    """Where nobody looked before, a worker process finds out."""
    ann = json.loads((bench / 'data' / TRAIN_ANN).read_text())
    for image in ann['images']:
        path = bench / 'data/train2017' / image['file_name']
        content = path.read_bytes()
        path.write_bytes(content[:4] + bytes(len(content) - 36) + content[-32:])
    args = ['--no-check', '--work-dir', 'run', '--cfg-options', 'train_dataloader.num_workers=1']
    sentence = refused(capsys, 'tools/train.py', 'tiny.py', *args)
    assert 'train2017' in sentence and 'cannot be decoded' in sentence


def test_a_config_that_is_not_there(tmp_path):
    """In a process of its own: exit code, one sentence, no traceback."""
    command = [sys.executable, str(ROOT / 'tools/train.py'), 'nowhere.py', '--work-dir', 'run']
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'error: there is no config nowhere.py' in done.stderr and 'Traceback' not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_out_must_be_a_pickle(bench, capsys):
    assert '.pkl' in refused(capsys, 'tools/test.py', 'tiny.py', 'none.pth', '--out', 'dump.json')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is an accelerator')
def test_amp_needs_an_accelerator(bench, capsys):
    assert '--amp needs an accelerator' in refused(capsys, 'tools/train.py', 'tiny.py', '--amp', '--work-dir', 'run')
    assert not (bench / 'run').exists()


def test_amp_with_an_accelerator(bench, monkeypatch):
    monkeypatch.setattr('mmcentermask.apis.run_config.get_device', lambda: 'cuda')
    cfg = load_config('tiny.py')
    use_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.optim_wrapper.loss_scale == 'dynamic'


def test_auto_scale_lr(bench):
    cfg = load_config('tiny.py')
    assert not cfg.auto_scale_lr.enable
    set_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable and cfg.auto_scale_lr.base_batch_size == 16
    cfg.auto_scale_lr = None
    with pytest.raises(InputError, match='base_batch_size'):
        set_auto_scale_lr(cfg)


def test_resume_of_nothing_begins(bench):
    cfg = load_config('tiny.py')
    set_resume(cfg, 'auto')
    assert cfg.resume and cfg.load_from is None
    cfg = load_config('tiny.py', {'load_from': 'weights.pth'})  # a new run begins with them
    set_resume(cfg, 'auto')
    assert not cfg.resume and cfg.load_from == 'weights.pth'


def test_launchers_say_what_they_need(bench, monkeypatch):
    for name in ('RANK', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr('mmcentermask.apis.launch.get_device', lambda: 'cpu')
    with pytest.raises(InputError, match='torchrun'):
        start_processes(load_config('tiny.py'), 'pytorch')
    with pytest.raises(InputError, match='needs an accelerator'):
        start_processes(load_config('tiny.py'), 'slurm')


def roots(cfg):
    """Every place where the data's folder stands."""
    places = [cfg[f'{split}_dataloader'].dataset.data_root for split in ('train', 'val', 'test')]
    return [*places, cfg.val_evaluator.ann_file, cfg.test_evaluator.ann_file]


CONFIG = ROOT / 'configs/centermask/centermask_v39-ese_fpn_ms-3x_coco.py'


@pytest.mark.parametrize('root', ['some/coco', 'some/coco/'])
def test_data_root_reaches_every_data_set(root):
    found = roots(load_config(str(CONFIG), {'data_root': root}))
    ann = 'some/coco/annotations/instances_val2017.json'
    assert [path.rstrip('/') for path in found] == ['some/coco'] * 3 + [ann] * 2


@pytest.mark.parametrize('root', ['some/coco', 'some/coco/'])
def test_the_environment_variable_reaches_every_data_set(root, monkeypatch):
    monkeypatch.setenv('MMDET_DATASETS', root)
    found = [os.path.normpath(path) for path in roots(load_config(str(CONFIG)))]
    assert found == ['some/coco'] * 3 + ['some/coco/annotations/instances_val2017.json'] * 2


def test_a_more_exact_option_wins_over_data_root():
    cfg = load_config(str(CONFIG), {'data_root': 'here', 'val_dataloader.dataset.data_root': 'there'})
    assert roots(cfg)[:3] == ['here', 'there', 'here']


def test_data_root_needs_one_to_replace(tmp_path):
    (tmp_path / 'bare.py').write_text('model = dict()\n')
    with pytest.raises(InputError, match='has no data_root'):
        load_config(str(tmp_path / 'bare.py'), {'data_root': 'here'})


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
def test_scripts_say_how_to_use_them(script):
    done = subprocess.run([str(ROOT / 'tools' / script)], capture_output=True, text=True)
    assert done.returncode == 2 and f'{script} ' in done.stderr


@pytest.mark.slow
def test_two_processes_stop_together(bench):
    env = {**os.environ, 'PYTHON': sys.executable, 'PORT': '29518', 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}
    command = [
        str(ROOT / 'tools/dist_train.sh'),
        'tiny.py',
        '2',
        '--work-dir',
        'run',
        '--cfg-options',
        'data_root=none',
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.count('error: there is no data folder none') == 1
    assert done.stderr.splitlines()[-1].startswith('error: there is no data folder none')  # and no traceback after it
    assert not (bench / 'run').exists()


UNREADABLE = {
    'syntax': ('model = dict(\n', 'SyntaxError'),
    'own error': ('import os\nwidth = 1 / 0\n', 'ZeroDivisionError'),
    'base': ("_base_ = 'not_there.py'\n", 'not_there.py'),
    'package': ("custom_imports = dict(imports=['not_there_at_all'])\n", 'pip install not_there_at_all'),
}


@pytest.mark.parametrize('case', UNREADABLE)
def test_a_config_that_cannot_be_read(case, bench, capsys):
    content, told = UNREADABLE[case]
    (bench / 'bad.py').write_text(content)
    sentence = refused(capsys, 'tools/train.py', 'bad.py', '--work-dir', 'run')
    assert 'bad.py' in sentence and told in sentence and not (bench / 'run').exists()


def test_an_empty_environment_variable_is_as_none(monkeypatch):
    monkeypatch.setenv('MMDET_DATASETS', '')
    assert roots(load_config(str(CONFIG)))[0].rstrip('/') == 'data/coco'


def test_a_work_dir_that_cannot_be_written_to(bench, capsys):
    (bench / 'file').write_text('')
    for tool, *args in (('train.py',), ('test.py', 'none.pth')):
        sentence = refused(capsys, f'tools/{tool}', 'tiny.py', *args, '--work-dir', 'file/run')
        assert 'cannot write to file/run' in sentence and '--work-dir' in sentence


def test_a_run_that_never_began_leaves_no_folder(bench, capsys):
    args = ['tools/train.py', 'tiny.py', '--work-dir', 'run', '--cfg-options']
    assert 'did you mean Pretrained?' in refused(capsys, *args, 'model.backbone.init_cfg.type=Pretraind')
    assert 'log_level' not in refused(capsys, *args, 'randomness.seed=x') and not (bench / 'run').exists()
    (bench / 'run').mkdir()
    (bench / 'run/mine').write_text('')
    assert 'registered nowhere' in refused(capsys, *args, 'visualizer.type=NoneAtAll')
    assert 'mine' in os.listdir('run') and not list((bench / 'run').glob('*/'))


def test_a_last_checkpoint_that_is_gone(bench, capsys):
    (bench / 'run').mkdir()
    for text in ('', '/nowhere/iter_2.pth'):
        (bench / 'run/last_checkpoint').write_text(text)
        sentence = refused(capsys, 'tools/train.py', 'tiny.py', '--work-dir', 'run', '--resume')
        assert f'run/last_checkpoint names {text!r}, which is no file' in sentence


def test_weights_alone_cannot_be_resumed(bench, trained, capsys):
    state = torch.load(trained / 'run/iter_2.pth', weights_only=False)['state_dict']
    torch.save(dict(state_dict=state), 'weights.pth')
    args = ['tools/train.py', 'tiny.py', '--work-dir', 'run', '--resume', 'weights.pth']
    assert 'load_from=weights.pth in the place of --resume' in refused(capsys, *args)


def test_output_that_cannot_be_written_is_told_before_predicting(bench, trained, capsys):
    (bench / 'file').write_text('')
    (bench / 'a.pkl').mkdir()
    args = ['tools/test.py', 'tiny.py', trained / 'run/iter_2.pth', '--work-dir', 'run']
    assert 'cannot write to file' in refused(capsys, *args, '--out', 'file/a.pkl')
    assert 'a.pkl, which is a folder' in refused(capsys, *args, '--out', 'a.pkl')
    assert '--show-dir' in refused(capsys, *args, '--show-dir', bench / 'file/vis')


def test_no_workers_are_not_kept():
    cfg = load_config(str(CONFIG), {'train_dataloader.num_workers': 0})
    assert not cfg.train_dataloader.persistent_workers and cfg.val_dataloader.persistent_workers


def test_weights_that_need_torchvision_or_the_network(bench, capsys, monkeypatch):
    options = ['model.backbone.init_cfg.type=Pretrained', 'model.backbone.init_cfg.checkpoint=torchvision://vit_b_16']
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    args = ['tools/train.py', 'tiny.py', '--work-dir', 'run', '--cfg-options']
    assert 'pip install torchvision' in refused(capsys, *args, *options)
    assert not (bench / 'run').exists()
    options[1] = 'model.backbone.init_cfg.checkpoint=http://127.0.0.1:9/weights.pth'  # nothing listens there
    assert 'cannot be fetched (' in refused(capsys, *args, *options)
    assert not (bench / 'run').exists()


def test_the_start_says_what_runs_in_a_few_lines(bench, capfd):
    frozen = 'model.backbone.frozen_stages=1'  # of which mmengine warns, parameter by parameter
    assert run_tool('tools/train.py', 'tiny.py', '--work-dir', 'run', '--cfg-options', 'max_iters=1', frozen) == 0
    out = capfd.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(out) if 'Iter(train)' in line)
    start = '\n'.join(out[:first])
    assert first <= 6 and 'System environment' not in start and 'paramwise_options' not in start
    for told in ('Model: CenterMask, ', 'Trains on: 6 images, ', '4 classes (', 'Device: ', 'Results: '):
        assert told in start
    (log,) = (bench / 'run').glob('*/*.log')
    text = log.read_text()
    assert 'System environment' in text and 'max_iters' in text and 'GPU number' not in text


@pytest.mark.parametrize(
    ('processes', 'load', 'quota', 'threads'),
    [(1, 0.2, 9, 3), (1, 2.2, 9, 2), (1, 9.0, 9, 1), (1, 0, 2, 2), (4, 0, 9, 1)],
)
def test_threads_leave_busy_cpus_alone(processes, load, quota, threads, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr('os.sched_getaffinity', lambda pid: range(4))
    monkeypatch.setattr('os.getloadavg', lambda: (load, 0, 0))
    monkeypatch.setattr('mmcentermask.apis.launch._quota', lambda: quota)
    try:
        torch.set_num_threads(3)  # torch's own choice
        assert set_cpu_threads(processes) == threads
        monkeypatch.setenv('OMP_NUM_THREADS', '3')
        torch.set_num_threads(3)
        assert set_cpu_threads(processes) == 3
    finally:
        torch.set_num_threads(before)
