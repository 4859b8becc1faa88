"""Fuzzing targets: files that say they are checkpoints: damaged ones, and pickles that want to run code."""

import functools
import io
import pickle
import struct
import zipfile

import numpy as np
import torch
from fuzzing import Target, byte_changes, mutated, names, short_text
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer

from mmcentermask.checkpoints import load_safely, unwrap
from mmcentermask.errors import CheckpointError

SAFETENSORS = b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'


def torch_saves(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


@functools.cache
def whole_files():
    """Files of each format, by the end of their names."""
    history = HistoryBuffer()
    history.update(1.5)
    content = dict(
        state_dict={'stem.weight': torch.arange(6.0).reshape(2, 3), 'n': torch.tensor(3), 'h': torch.ones(2).half()},
        meta=dict(iter=1, epoch=2.5, text='ü', none=None),
        message_hub=dict(log_scalars={'loss': history}),
    )
    return {
        'zip.pth': torch_saves(content),
        'old.pth': torch_saves(content, _use_new_zipfile_serialization=False),
        'bare.pkl': pickle.dumps({'a': [1, 2.5, 'x', (None, True)]}, protocol=2),
        'new.pkl': pickle.dumps({'a': [1, 2.5, 'x', (None, True)]}, protocol=4),
        'arrays.pkl': pickle.dumps({'model': {'a': np.arange(6.0), 'b': np.zeros((2, 3), 'f4')}}, protocol=4),
        'w.safetensors': len(SAFETENSORS).to_bytes(8, 'little') + SAFETENSORS + bytes(8),  # a package not all have
    }


def with_pickle(pickled, content=None):
    """Put another pickle into a file that torch.save wrote."""
    source, target = zipfile.ZipFile(io.BytesIO(content or whole_files()['zip.pth'])), io.BytesIO()
    with zipfile.ZipFile(target, 'w') as archive:
        for name in source.namelist():
            archive.writestr(name, pickled if name.endswith('data.pkl') else source.read(name))
    return target.getvalue()


@functools.cache
def inner_pickle():
    archive = zipfile.ZipFile(io.BytesIO(whole_files()['zip.pth']))
    return archive.read(next(name for name in archive.namelist() if name.endswith('data.pkl')))


def refused_or_read(content, suffix, folder):
    """Read a file; return what it holds, or None where it is refused."""
    path = folder / f'source{suffix}'
    path.write_bytes(content)
    try:
        loaded = load_safely(path)
        unwrap(loaded, 'the file')
        return loaded
    except CheckpointError as error:
        assert str(path) in str(error) or 'the file' in str(error)
    finally:
        path.unlink()


def check_damaged(given_input, folder):
    kind, inside, changes = given_input
    if inside:  # where the checksums of the archive do not see it
        refused_or_read(with_pickle(mutated(inner_pickle(), changes)), '.pth', folder)
    else:
        refused_or_read(mutated(whole_files()[kind], changes), '.' + kind.split('.')[1], folder)


damaged = st.tuples(
    st.sampled_from(['zip.pth', 'old.pth', 'bare.pkl', 'new.pkl', 'arrays.pkl', 'w.safetensors']),
    st.booleans(),
    byte_changes,
)

# functions and classes: of these, the last ones are allowed, whatever is handed to them
EVIL = (
    'os system', 'posix system', 'posix mkdir', 'os mkdir', 'nt mkdir', 'builtins eval', 'builtins exec',
    '__builtin__ eval', 'builtins open', 'builtins __import__', 'builtins getattr', '__builtin__ getattr',
    'subprocess Popen', 'subprocess check_output', 'shutil rmtree', 'pathlib Path.touch', 'torch load',
    'torch.hub load', 'torch save', 'torch.serialization load', 'numpy load', 'numpy save', 'numpy fromfile',
    'numpy memmap', 'numpy.core.multiarray _reconstruct', 'numpy._core.multiarray scalar', 'numpy ndarray',
    'numpy dtype', 'numpy._core.numeric _frombuffer',
    'mmengine.config Config.fromfile', 'mmengine.logging.history_buffer HistoryBuffer',
    'mmengine.fileio load', 'functools partial', 'operator attrgetter', 'importlib import_module', 'runpy run_path',
    'torch.jit load', 'torch._C import_ir_module', 'codecs decode', '_codecs encode', 'collections OrderedDict',
    'collections Counter', 'torch Tensor', 'torch Size', 'torch FloatStorage', 'torch device', 'builtins set',
    'builtins bytearray', 'builtins complex', 'torch.nn.parameter Parameter', 'torch._utils _rebuild_tensor_v2',
    'torch._utils _rebuild_tensor', 'torch._utils _rebuild_parameter', 'torch._utils _rebuild_sparse_tensor',
    'torch._utils _rebuild_qtensor', 'torch._utils _rebuild_meta_tensor_no_storage',
    'torch._utils _rebuild_nested_tensor', 'torch._tensor _rebuild_from_type_v2', 'torch.serialization _get_layout',
)  # fmt: skip
SIGN = 'code_was_run'
LARGE = b'\x8a\x08' + b'\xff' * 7 + b'\x7f'  # 2^63 - 1


def text(value):
    encoded = value.encode('utf-8', 'surrogatepass')
    return b'X' + struct.pack('<I', len(encoded)) + encoded


def tuple_of(parts):
    return b'(' + b''.join(parts) + b't'


leaves = st.one_of(
    st.sampled_from([b'N', b'\x88', b'\x89', b']', b'}', b')', b'K\x05', b'J\xff\xff\xff\xff', LARGE]),
    st.sampled_from([SIGN, f'mkdir {SIGN}', f'__import__("os").mkdir("{SIGN}")', 'w', 'cpu', 'cuda']).map(text),
    st.sampled_from([0.0, float('nan'), 1e300]).map(lambda value: b'G' + struct.pack('>d', value)),
    names.map(text),
    st.sampled_from(['FloatStorage', 'HalfStorage', 'LongStorage', 'UntypedStorage']).flatmap(  # a tensor's numbers
        lambda kind: st.sampled_from(['0', '1', '9', 'cuda', '../0', '-1']).map(
            lambda key: tuple_of([text('storage'), named(f'torch {kind}'), text(key), text('cpu'), b'K\x06']) + b'Q'
        )
    ),
)  # fmt: skip


def named(function):
    module, name = function.split(' ', 1)
    return f'c{module}\n{name}\n'.encode()


def calls(arguments):
    function = st.sampled_from(EVIL).map(named) | st.tuples(short_text, short_text).map(
        lambda pair: named(' '.join(part.replace('\n', '') or 'x' for part in pair))
    )
    parts = st.lists(arguments, max_size=4).map(tuple_of)
    return (
        st.tuples(function, parts, st.sampled_from([b'R', b'\x81'])).map(b''.join)
        | st.tuples(function, parts, arguments).map(lambda t: t[0] + t[1] + b'R' + t[2] + b'b')
        | st.tuples(st.just(b'('), function, arguments).map(lambda t: b''.join(t) + b'o')
        | function
        | parts
    )


@st.composite
def hostile_pickles(draw):
    payload = draw(st.recursive(leaves, calls, max_leaves=6))
    where = draw(st.sampled_from(['state', 'meta', 'alone', 'key']))
    if where == 'state':
        payload = b'}' + text('state_dict') + b'}' + text('a.weight') + payload + b'ss'
    elif where == 'meta':
        payload = b'}' + text('meta') + payload + b's'
    elif where == 'key':
        payload = b'}' + payload + b'Ns'
    return b'\x80' + bytes([draw(st.sampled_from([2, 2, 2, 4]))]) + payload + b'.', draw(st.sampled_from('zop'))


def check_hostile(given_input, folder):
    pickled, form = given_input
    content = {'z': with_pickle, 'o': old_format, 'p': lambda p: p}[form](pickled)
    refused_or_read(content, '.pth', folder)


def old_format(pickled):
    """Torch's older format: a magic number, a version, facts about the system, the content, keys of storages."""
    facts = [0x1950A86A20F9469CFC6C, 1001, dict(protocol_version=1001, little_endian=True, type_sizes={})]
    return b''.join(pickle.dumps(fact, protocol=2) for fact in facts) + pickled + pickle.dumps([], protocol=2)


TARGETS = [
    Target('damaged checkpoints', damaged, check_damaged, 40, 1500),
    Target('hostile pickles', hostile_pickles(), check_hostile, 60, 500),
]
