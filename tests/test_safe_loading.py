"""A checkpoint that wants to run code is refused everywhere, and mmengine's own checkpoints load and resume."""

import json
import os
import pickle
import struct
import sys
import threading
import types
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from tiny_run import load_tool, make_data, run_tool, write_config

from mmcentermask.apis import CenterMaskInferencer, CheckpointError, MissingFileError
from mmcentermask.apis.checkpoint_check import read_checkpoint
from mmcentermask.checkpoints import load_safely
from mmcentermask.checkpoints.allow_list import ALLOWED

REFUSED = 'wants to run code'


class MakesFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


class LooksUp:
    """Reaches os.mkdir through getattr, which the maintained mmengine would allow."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return getattr, (self.owner, self.name)


@pytest.fixture
def sign(tmp_path):
    """The folder whose existence shows that code was run."""
    yield tmp_path / 'code_was_run'
    assert not (tmp_path / 'code_was_run').exists()


@pytest.fixture
def evil(tmp_path, sign):
    torch.save(dict(state_dict={'a': torch.zeros(1)}, meta=MakesFolder(sign)), tmp_path / 'evil.pth')
    return tmp_path / 'evil.pth'


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """A config with data, and the run of two iterations that it made."""
    folder = tmp_path_factory.mktemp('safe')
    config = write_config(folder / 'tiny.py', make_data(folder / 'data'))
    assert run_tool('tools/train.py', config, '--work-dir', folder / 'run') == 0
    return config


def runner(config, checkpoint, resume, folder):
    cfg = Config.fromfile(config)
    cfg.update(work_dir=str(folder / 'run'), load_from=str(checkpoint), resume=resume, experiment_name=folder.name)
    return Runner.from_cfg(cfg)


def pretrained(config, checkpoint, folder, **kwargs):
    cfg = Config.fromfile(config).model.backbone
    cfg.init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint), **kwargs)
    MODELS.build(cfg).init_weights()


ROUTES = {
    'CheckpointLoader': lambda config, file, folder: CheckpointLoader.load_checkpoint(str(file)),
    'load_safely': lambda config, file, folder: load_safely(file),
    'load_from': lambda config, file, folder: runner(config, file, False, folder).load_or_resume(),
    'resume': lambda config, file, folder: runner(config, file, True, folder).load_or_resume(),
    'init_cfg': pretrained,
    'init_cfg with a prefix': partial(pretrained, prefix='backbone.'),
    'init_detector': lambda config, file, folder: init_detector(str(config), str(file), device='cpu'),
    'DetInferencer': lambda config, file, folder: DetInferencer(str(config), str(file), device='cpu'),
    'CenterMaskInferencer': lambda config, file, folder: CenterMaskInferencer(str(config), str(file), device='cpu'),
}


@pytest.mark.parametrize('route', ROUTES)
def test_every_route_refuses_a_pickle_that_runs_code(route, config, evil, tmp_path):
    with pytest.raises(CheckpointError, match=r'evil.pth wants to run code \(it names (posix|nt).mkdir\).*state_dict'):
        ROUTES[route](config, evil, tmp_path)


@pytest.mark.parametrize(
    'command',
    [
        ['tools/train.py', 'CONFIG', '--cfg-options', 'load_from=FILE'],
        ['tools/train.py', 'CONFIG', '--resume', 'FILE'],
        ['tools/test.py', 'CONFIG', 'FILE'],
        ['tools/convert_checkpoint.py', 'FILE', 'converted.pth'],
    ],
    ids=['load_from', 'resume', 'test', 'convert'],
)
def test_the_commands_refuse_it_in_one_sentence(command, config, evil, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args = [arg.replace('CONFIG', str(config)).replace('FILE', str(evil)) for arg in command]
    monkeypatch.setattr(sys, 'argv', args)
    before = set(tmp_path.iterdir())
    assert (load_tool(args[0]).main() if 'convert' in args[0] else run_tool(*args)) == 1
    error = capsys.readouterr().err
    assert error.count('error: ') == 1 and REFUSED in error and 'Traceback' not in error
    assert set(tmp_path.iterdir()) == before


def test_the_payload_would_work_without_the_safe_mode(tmp_path):
    torch.save(MakesFolder(tmp_path / 'made'), tmp_path / 'evil.pth')
    torch.load(tmp_path / 'evil.pth', weights_only=False)
    assert (tmp_path / 'made').is_dir()


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def test_the_environment_does_not_switch_the_safe_mode_off(evil, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    with pytest.raises(CheckpointError, match=REFUSED):
        load(evil)


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_other_formats_are_refused_by_name(protocol, sign, tmp_path):
    (tmp_path / 'bare.pkl').write_bytes(pickle.dumps(MakesFolder(sign), protocol=protocol))
    torch.save(MakesFolder(sign), tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    torch.save(MakesFolder(sign), tmp_path / 'new.pth', pickle_protocol=protocol)
    for name in ('bare.pkl', 'old.pth', 'new.pth'):
        words = r'wants to run code \(it names (posix|nt).mkdir\)'
        if name == 'new.pth' and protocol > 2:  # torch's safe mode stops at the first byte
            words = 'was saved with a pickle_protocol of 4 or more'
        with pytest.raises(CheckpointError, match=rf'{name} {words}'):
            load(tmp_path / name)


@pytest.mark.parametrize(
    ('looked_up', 'named'),
    [
        (LooksUp(HistoryBuffer, 'update'), 'HistoryBuffer.update'),
        (LooksUp(HistoryBuffer, '__init__'), 'HistoryBuffer.__init__'),
        (LooksUp(LooksUp(HistoryBuffer, 'min'), '__globals__'), 'function.__globals__'),
        (LooksUp(np.ndarray, 'tofile'), 'numpy.ndarray.tofile'),
        (np.dtype('O'), 'numpy.dtype.O8'),
        (np.array([None]), 'numpy.dtype.O8'),
        (np.dtype([('a', 'f4')]), 'numpy.dtype.V4'),
    ],
)
def test_getattr_and_numpy_reach_nothing_but_what_mmengine_writes(looked_up, named, tmp_path):
    torch.save(looked_up, tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match=rf'{REFUSED} \(it names [\w.]*{named}\)'):
        load(tmp_path / 'evil.pth')


@pytest.mark.parametrize('kind', ['truncated', 'start', 'empty', 'text', 'zip', 'disks', 'pickle'])
def test_damaged_files_give_one_sentence(kind, tmp_path):
    path = tmp_path / 'damaged.pth'
    torch.save({'a': torch.zeros(1000)}, path)
    whole = path.read_bytes()
    content = {
        'truncated': whole[: len(whole) // 2],
        'start': whole[4:],
        'empty': b'',
        'text': b'no checkpoint',
        'zip': b'PK\x05\x06' + bytes(18),
        # says that it spans several disks, at which zipfile.is_zipfile fails where it should answer
        'disks': whole[: len(whole) // 2] + b'PK\x06\x07' + struct.pack('<LQL', 1, 0, 2) + whole[-22:],
        'pickle': pickle.dumps({'a': np.zeros(1000)}, protocol=4)[:-100],
    }[kind]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'damaged.pth cannot be read.*copy or download it again'):
        load(path)
    with pytest.raises(MissingFileError, match='there is no checkpoint'):
        load(tmp_path / 'none.pth')


@pytest.mark.parametrize('name', ['none.pth', 'x' * 300 + '.pth', '~nobody/none.pth'])
def test_a_file_that_is_not_there_gives_one_sentence(name):
    with pytest.raises(MissingFileError, match='there is no checkpoint'):
        read_checkpoint(name)


def test_a_damaged_file_with_a_word_of_the_device_is_no_fault_of_the_device(tmp_path):
    torch.save(torch.zeros(2), tmp_path / 'whole.pth')
    with zipfile.ZipFile(tmp_path / 'whole.pth') as whole, zipfile.ZipFile(tmp_path / 'cuda.pth', 'w') as damaged:
        for name in whole.namelist():
            content = whole.read(name)
            # its numbers are in a record that is not there
            damaged.writestr(name, content.replace(b'X\x01\0\0\x000', b'X\x04\0\0\0cuda') if 'pkl' in name else content)
    with pytest.raises(CheckpointError, match='cannot be read, .*data/cuda: file not found'):
        load(tmp_path / 'cuda.pth')


@pytest.mark.parametrize('words', ['CUDA out of memory.', 'Attempting to deserialize object on a CUDA device'])
def test_a_fault_of_the_device_stays_one(words, tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError(words)

    torch.save(torch.zeros(2), tmp_path / 'whole.pth')
    monkeypatch.setattr(torch, 'load', fails)
    with pytest.raises(RuntimeError, match=words) as error:
        load(tmp_path / 'whole.pth')
    assert not isinstance(error.value, CheckpointError)


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def url(tmp_path, monkeypatch):
    """Where evil.pth and good.pth can be downloaded, with torch's cache and mmengine's in a folder of the test."""
    torch.save({'state_dict': {'backbone.a': torch.ones(2)}}, tmp_path / 'good.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_downloads_are_read_safely(url, evil, tmp_path, monkeypatch):
    urls = {name: f'{url}/{name}.pth' for name in ('evil', 'good')}
    (tmp_path / 'open_mmlab.json').write_text(json.dumps(urls | {'local_evil': 'evil.pth', 'local_good': 'good.pth'}))
    monkeypatch.setattr(mmengine_checkpoint, 'get_torchvision_models', lambda: urls)
    monkeypatch.setattr(mmengine_checkpoint, 'get_mmcls_models', lambda: urls)
    # stores that only their owners have
    store = types.SimpleNamespace(get=lambda name: (tmp_path / name.split('://')[1]).read_bytes())
    monkeypatch.setattr(mmengine_checkpoint, 'get_file_backend', lambda name, backend_args: store)

    def get(name):
        return types.SimpleNamespace(
            name=name, download=lambda path: os.link(tmp_path / name, path)
        )  # as its package does: to a path that is given

    monkeypatch.setitem(sys.modules, 'pavi', types.SimpleNamespace(modelcloud=types.SimpleNamespace(get=get)))
    patterns = (
        f'{url}/NAME.pth', 'torchvision://NAME', 'modelzoo://NAME', 'mmcls://NAME', 'open-mmlab://NAME',
        'openmmlab://local_NAME', 's3://NAME.pth', 'petrel://NAME.pth', 'pavi://NAME.pth',
    )  # fmt: skip
    for pattern in patterns:
        state = load(pattern.replace('NAME', 'good'))['state_dict']
        assert [value.tolist() for value in state.values()] == [[1, 1]], pattern
        with pytest.raises(CheckpointError, match=REFUSED):
            load(pattern.replace('NAME', 'evil'))


def test_no_scheme_of_mmengine_is_left_out():
    for prefix, loader in CheckpointLoader._schemes.items():
        if loader.__module__ != 'mmcentermask.checkpoints.schemes':
            assert loader.__wrapped__.__module__.startswith('mmengine.'), prefix


@pytest.mark.parametrize(
    'switches', [{}, {'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1'}, {'TORCH_FORCE_WEIGHTS_ONLY_LOAD': '0'}]
)
def test_torch_load_of_others_is_left_alone(switches, url, tmp_path, monkeypatch):
    for name in ('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'):
        monkeypatch.delenv(name, raising=False)
    for name, value in switches.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    load(f'{url}/good.pth')
    with pytest.raises(CheckpointError):
        load(f'{url}/none.pth')
    assert dict(os.environ) == before
    torch.save(MakesFolder(tmp_path / 'made'), tmp_path / 'trusted.pth')
    torch.load(tmp_path / 'trusted.pth', weights_only=False)
    assert (tmp_path / 'made').is_dir()


def test_what_cannot_be_fetched_gives_one_sentence(url):
    with pytest.raises(CheckpointError, match=r'/none.pth cannot be fetched .*404.*: look at the network'):
        load(f'{url}/none.pth')
    with pytest.raises(CheckpointError, match='127.0.0.1:9/x.pth cannot be fetched'):
        load('http://127.0.0.1:9/x.pth')


SCALARS = [np.dtype(code).type(1) for code in '?bBhHiIlLqQefdgFDG'] + [
    np.str_('best'), np.str_(''), np.bytes_(b'ab'), np.datetime64('2026-11-26T17:49', 'm'), np.timedelta64(90, 's'),
]  # fmt: skip


def test_every_scalar_of_numpy_is_read(tmp_path):
    torch.save(dict(state_dict={}, message_hub=dict(runtime_info=SCALARS)), tmp_path / 'own.pth')
    read = load(tmp_path / 'own.pth')['message_hub']['runtime_info']
    for mine, theirs in zip(read, SCALARS, strict=True):
        assert isinstance(mine, np.generic) and mine == theirs and mine.dtype == theirs.dtype


def test_a_file_cannot_change_what_numpy_itself_uses(tmp_path):
    class Swapped:
        def __reduce__(self):
            return np.dtype, ('f8', False, False), (3, '>', None, None, None, -1, -1, 0)

    torch.save(Swapped(), tmp_path / 'swapped.pth')
    load(tmp_path / 'swapped.pth')
    assert np.dtype('f8').isnative and np.dtype(float).isnative


# NumPy's own __setstate__ crashes the process on the first: a state of a dtype that is too short
DTYPE, ARRAY = (3, '<', None, None, None, -1, -1, 0), (1, (2,), np.dtype('f8'), False, bytes(16))
DAMAGED = [
    ('dtype', (3, '\x1c', None, -1, -1, 0)),
    ('dtype', (3,)),
    ('dtype', ()),
    ('array', ARRAY[:2]),
    ('array', (1, (3,), *ARRAY[2:])),  # more numbers than bytes
    ('array', (1, (-1, -2), *ARRAY[2:])),
    ('array', (1, (2,), np.dtype('O'), False, bytes(16))),
    ('array', (1, (2,), 'f8', False, bytes(16))),
]


@pytest.mark.parametrize('suffix', ['.pkl', '.pth'])
@pytest.mark.parametrize(('what', 'state'), DAMAGED)
def test_a_damaged_state_of_numpy_is_refused(tmp_path, suffix, what, state):
    class DType:
        def __reduce__(self):
            return np.dtype, ('f8', False, True), state if what == 'dtype' else DTYPE

    class Array:
        def __reduce__(self):
            _, arguments, _ = np.zeros(2).__reduce__()
            full = ARRAY if what == 'dtype' else state
            of_dtype = tuple(DType() if isinstance(value, np.dtype) and value == 'f8' else value for value in full)
            return np.zeros(2).__reduce__()[0], arguments, of_dtype

    path = tmp_path / f'damaged{suffix}'
    if suffix == '.pkl':
        path.write_bytes(pickle.dumps(dict(model=dict(weight=Array())), protocol=2))
    else:
        torch.save(dict(meta=Array()), path)
    with pytest.raises(CheckpointError, match='cannot be read|wants to run code'):
        load(path)


def test_arrays_that_were_read_are_written_as_plain_arrays(tmp_path):
    arrays = [np.arange(6, dtype='>i4').reshape(2, 3), np.asfortranarray(np.eye(3, 2)), np.zeros((0, 4), bool)]
    torch.save(dict(meta=arrays), tmp_path / 'first.pth')
    torch.save(load(tmp_path / 'first.pth'), tmp_path / 'second.pth')
    plain = torch.load(tmp_path / 'second.pth', weights_only=False)['meta']
    for mine, theirs in zip(plain, arrays, strict=True):
        # NumPy itself reads big-endian arrays as native ones
        assert type(mine) is np.ndarray and mine.dtype == theirs.dtype.newbyteorder('=')
        assert np.array_equal(mine, theirs)


@pytest.mark.slow
def test_training_goes_on_from_its_own_checkpoint(config, tmp_path):
    file = config.parent / 'run/iter_2.pth'
    own = load(file)
    unsafe = torch.load(file, map_location='cpu', weights_only=False)
    for name, history in unsafe['message_hub']['log_scalars'].items():
        read = own['message_hub']['log_scalars'][name]
        assert type(read) is HistoryBuffer and read.mean() == history.mean() == read.statistics('mean')
        for mine, theirs in zip(read.data, history.data):
            assert mine.dtype == theirs.dtype and mine.tolist() == theirs.tolist()
    assert len(unsafe['message_hub']['log_scalars']) > 5
    assert own['message_hub']['runtime_info']['eta'] == unsafe['message_hub']['runtime_info']['eta']
    first = tmp_path / 'first'
    options = ['--cfg-options', 'train_cfg.max_iters=3']
    assert run_tool('tools/train.py', config, '--work-dir', first, '--resume', file, *options) == 0
    # what was read safely can be written, and read again
    again = load(first / 'iter_3.pth')
    assert again['meta']['iter'] == 3
    assert len(again['message_hub']['log_scalars']['train/loss'].data[0]) == 3
    assert torch.load(first / 'iter_3.pth', weights_only=True)['meta']['iter'] == 3


def test_nothing_but_numpy_and_the_history_is_allowed(config):
    names = {f'{item.__module__}.{item.__qualname__}' for item in ALLOWED}
    other = {name for name in names if not name.startswith(('numpy.dtypes.', 'numpy.core.', 'numpy._core.'))}
    assert other == {
        'builtins.bytes',
        'builtins.getattr',
        'numpy.dtype',
        'numpy.ndarray',
        'mmengine.logging.history_buffer.HistoryBuffer',
    }
    numpys = {name.split('core.')[1] for name in names if 'core.' in name}
    assert numpys == {'multiarray._reconstruct', 'multiarray.scalar', 'numeric._frombuffer'}
    # another's context manager takes away what it brought, which was ours too
    with torch.serialization.safe_globals([HistoryBuffer, np.ndarray]):
        pass
    load(config.parent / 'run/iter_2.pth')
    assert set(ALLOWED) <= set(torch.serialization.get_safe_globals())


def test_a_checkpoint_of_the_other_numpy_loads(config, tmp_path):
    loaded = torch.load(config.parent / 'run/iter_2.pth', weights_only=False)
    torch.save(loaded['message_hub'], tmp_path / 'hub.pth', _use_new_zipfile_serialization=False)
    content = (tmp_path / 'hub.pth').read_bytes()
    ours, other = (b'numpy._core.', b'numpy.core.')
    if ours not in content:
        ours, other = other, ours
    assert content.count(ours + b'multiarray') == 2
    (tmp_path / 'hub.pth').write_bytes(content.replace(ours, other))
    hub = load(tmp_path / 'hub.pth')
    assert hub['log_scalars']['train/loss'].mean() == loaded['message_hub']['log_scalars']['train/loss'].mean()
