"""Random and hostile inputs: nothing fails but with the documented errors, and nothing is written elsewhere."""

import fuzz_checkpoints
import fuzz_datasets
import fuzz_masks
import fuzz_parameters
import pytest
from fuzzing import run, tree

GROUPS = (fuzz_masks, fuzz_checkpoints, fuzz_parameters, fuzz_datasets)
TARGETS = {target.name: target for group in GROUPS for target in group.TARGETS}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder beside others, none of which may change."""
    for name in ('here', 'beside', 'target'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'mine.txt').write_text('mine')
    monkeypatch.chdir(tmp_path / 'here')
    return tmp_path / 'target'


def fuzz(target, number, place):
    root = place.parent
    before = tree(root)
    tried = run(target, number, place)
    after = tree(root)
    assert after == before, f'{target.name} wrote {sorted(set(after) ^ set(before))}'
    return tried


@pytest.mark.parametrize('name', TARGETS)
def test_some_inputs(name, place):
    target = TARGETS[name]
    assert fuzz(target, target.quick, place) >= 0.9 * target.quick


@pytest.mark.slow
@pytest.mark.parametrize('name', TARGETS)
def test_many_inputs(name, place):
    target = TARGETS[name]
    assert fuzz(target, target.many, place) >= 0.9 * target.many


def test_many_are_20000():
    assert sum(target.many for target in TARGETS.values()) >= 20_000
