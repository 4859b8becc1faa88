"""Fuzzing target: parameters that are nearly those of a published model, and hostile names of files."""

import contextlib
import functools

import torch
from fuzzing import Target, names, numbers
from hypothesis import strategies as st
from recipe import official_shapes
from vovnet_names import official_vovnet

from mmcentermask.checkpoints import convert, convert_state_dict, load_safely, unwrap
from mmcentermask.errors import CheckpointError, InputError


@functools.cache
def known_models():
    """Name -> parameters without memory of their own, of each kind that the converter knows."""
    shapes = official_shapes()
    known = {
        'authors': official_vovnet('V-19-slim-dw', 'authors')[1],
        'timm': official_vovnet('V-19-slim-dw', 'timm')[1],
        'centermask2': shapes['centermask2']['centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x'],
        'centermask': shapes['centermask']['centermask_V_19_eSE_FPN_lite_res600_ms_bs16_4x'],
        'panoptic': next(s for name, s in shapes['centermask2'].items() if name.startswith('panoptic')),
        'none': {},
    }
    one = torch.zeros(())
    return {kind: {name: one.expand(tuple(shape)) for name, shape in model.items()} for kind, model in known.items()}


def odd_values(shape):
    """Values in the place of a parameter."""
    sparse = torch.sparse_coo_tensor(
        torch.zeros(max(len(shape), 1), 0, dtype=torch.long), torch.zeros(0), shape or (1,)
    )
    return st.one_of(
        numbers,
        names,
        st.none(),
        st.just([]),
        st.just({}),
        st.lists(st.sampled_from([0, 1, 2, 7, 81, 2**31, 2**40]), max_size=5).map(lambda s: tensor_of(s, shape)),
        st.sampled_from([torch.bool, torch.int8, torch.int64, torch.float64, torch.complex64, torch.bfloat16]).map(
            lambda dtype: torch.zeros((), dtype=dtype).expand(shape)
        ),
        st.just(sparse),
        st.just(torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8)),
        st.just(torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])),
        st.just(torch.empty(shape, device='meta')),
        st.just(torch.nn.Parameter(torch.zeros(())).expand(shape)),
    )


def tensor_of(shape, instead):
    try:
        return torch.zeros(()).expand(shape)
    except RuntimeError:  # more elements than can be counted
        return torch.zeros(()).expand(instead)


class Spoiled:
    """Parameters, a name to write to, and, to be shown, what was done to them."""

    def __init__(self, content, target, changes):
        self.content, self.target, self.changes = content, target, changes

    def __repr__(self):
        return f'Spoiled({self.changes}, {self.target!r})'


def described(value):
    return f'{value.dtype} {value.layout}' if isinstance(value, torch.Tensor) else repr(value)


@st.composite
def state_dicts(draw):
    """Parameters of a known model with some of them spoiled, as a file would hold them, and a name to write to."""
    kind = draw(st.sampled_from(['authors', 'authors', 'timm', 'centermask2', 'centermask', 'panoptic', 'none']))
    state = dict(known_models()[kind])
    changes = [kind]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(sorted(state, key=str))) if state else 'a'
        value = state.get(name)
        shape = tuple(value.shape) if type(value) is torch.Tensor and not value.is_nested else (2,)
        how = draw(st.sampled_from(['drop', 'rename', 'value', 'value', 'add', 'twice', 'all']))
        changes += [how, name]
        if how in ('drop', 'rename'):
            state.pop(name, None)
        if how in ('rename', 'add'):
            other = draw(names | numbers | st.none() | st.just(f'{name}.weight'))
            state[other] = torch.zeros(()).expand(shape)
            changes.append(other)
        elif how == 'value':
            state[name] = draw(odd_values(shape))
            changes.append(described(state[name]))
        elif how == 'twice':
            state[f'module.module.{name}'] = torch.zeros(2)
        elif how == 'all':
            state = {key: value for key, value in state.items() if type(value) is not torch.Tensor}
    wrapped = draw(st.sampled_from(['', 'model', 'state_dict', 'params', 'list']))
    state = [state] if wrapped == 'list' else {wrapped: state, 'meta': 'x'} if wrapped else state
    return Spoiled(state, draw(st.none() | names), [*changes, wrapped])


def check_state_dict(given_input, folder):
    before = set(folder.iterdir())
    try:
        source = unwrap(given_input.content, 'the file')
        conversion = convert_state_dict(source.tensors)
        conversion.left_out.update(source.left_out)
    except CheckpointError as error:
        said = str(error)
    else:
        said = conversion.report()
        assert all(value.layout == torch.strided and not value.is_nested for value in conversion.state_dict.values())
    # to be printed, on any terminal
    assert all(line.isprintable() for line in said.split('\n')) and len(said) < 20000
    said.encode()
    if given_input.target is not None:
        check_names(given_input.target, folder)
    assert set(folder.iterdir()) == before


def check_names(name, folder):
    """Give a hostile name as source and as target of a conversion."""
    with contextlib.suppress(InputError):
        load_safely(name.replace('@', str(folder.parent / 'beside')))
    target = folder / name.replace('@', 'beside').lstrip('/')
    try:
        convert._check_target(folder / 'none.pth', target)
        convert._write(dict(a=1), target)
    except InputError:
        return
    assert torch.load(target) == dict(a=1)
    target.unlink()


TARGETS = [Target('parameters', state_dicts(), check_state_dict, 15, 120)]
