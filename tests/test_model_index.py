"""Names of models in the place of config files."""

from pathlib import Path

import pytest
from mmdet.apis import DetInferencer
from mmdet.utils import register_all_modules
from mmengine.fileio import load

import mmcentermask
from conftest import CONFIGS, ROOT, published
from mmcentermask.apis import CenterMaskInferencer, load_config
from mmcentermask.checkpoints import known_weights
from mmcentermask.errors import MissingFileError
from mmcentermask.model_index import find_config, find_weights

NAME = 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco'


@pytest.fixture(autouse=True)
def scope():
    yield
    register_all_modules()


def test_every_published_config_has_a_name():
    names = mmcentermask.list_models()
    assert set(published()) | set(published(ROOT / 'configs/mixed')) <= set(names) and names == sorted(names)
    assert not [name for name in names if Path(find_config(name)).parent.parent != ROOT / 'configs']


def test_patterns():
    dcn = ['centermask-v1_v57-ese-dcn_fpn_1x_coco', 'centermask_v57-ese-dcn_fpn_ms-3x_coco']
    assert mmcentermask.list_models('v57-ese-dcn') == mmcentermask.list_models('*V57-ese-dcn*') == dcn
    assert mmcentermask.list_models('centermask_v57-ese-dcn*') == dcn[1:]
    assert mmcentermask.list_models('v57-ese-dcn?') == mmcentermask.list_models('v1000') == []


def test_a_name_reads_as_its_file_does(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    cfg = load_config(NAME)
    assert cfg.work_dir == f'work_dirs/{NAME}'
    assert cfg.model == load_config(str(CONFIGS / f'{NAME}.py')).model


def test_the_names_of_the_authors():
    for authors, ours in {
        'centermask2-V-39-eSE-FPN-ms-3x': 'centermask_v39-ese_fpn_ms-3x_coco',
        'centermask2-lite-V-19-slim-dw-eSE-FPN-ms-4x': NAME,
        'centermask-V-57-eSE-dconv-FPN-1x': 'centermask-v1_v57-ese-dcn_fpn_1x_coco',
    }.items():
        assert find_config(authors) == str(CONFIGS / f'{ours}.py') and authors in DetInferencer.list_models('mmdet')


def test_the_metafile_lists_every_model_once():
    metafile = load(str(CONFIGS / 'metafile.yml'))['Models']
    names = [name for entry in metafile for name in (entry['Name'], *entry.get('Alias', []))]
    assert len(names) == len({name.lower() for name in names})
    for entry in metafile:
        assert entry['Config'] == f'configs/centermask/{entry["Name"]}.py' and (ROOT / entry['Config']).is_file()
        assert entry.get('Results', [1])


def test_weights_of_the_metafile_are_of_the_table_and_of_the_model_by_name():
    weights = {e['Name']: e['Weights'] for e in load(str(CONFIGS / 'metafile.yml'))['Models'] if 'Weights' in e}
    rows = {source: row['what'] for row in known_weights().values() for source in row['sources'][:1]}
    models = {rows[address]: name for name, address in weights.items()}
    assert models['CenterMask2 V-39-DCN, COCO'] == 'centermask_v39-ese-dcn_fpn_ms-3x_coco'
    assert set(models) == {what for what in rows.values() if what.endswith(', COCO')}
    for what, name in models.items():
        family, backbone = what.removesuffix(', COCO').split(' ')
        begin = family.lower().replace('centermask2', 'centermask').replace('maskv1', 'mask-v1') + '_'
        backbone = backbone.lower().replace('mobilenetv2', 'mv2').replace('r-', 'r').replace('x-', 'x')
        if backbone.startswith('v-'):
            backbone = backbone.replace('v-', 'v', 1).removesuffix('-dcn') + '-ese' + '-dcn' * backbone.endswith('-dcn')
        assert name.startswith(f'{begin}{backbone}_fpn_'), what
    assert find_weights('centermask2-V-39-eSE-FPN-ms-3x') == weights['centermask_v39-ese_fpn_ms-3x_coco']


@pytest.mark.parametrize('wrong', ['centermask_v39_fpn_ms-3x_coco', 'elsewhere/CenterMask_v39_fpn_ms-3x_coco.py'])
def test_a_wrong_name_is_told_the_nearest(wrong):
    with pytest.raises(MissingFileError, match='did you mean centermask_v39-ese_fpn_ms-3x_coco'):
        load_config(wrong)
    with pytest.raises(MissingFileError, match='did you mean centermask_v39-ese_fpn_ms-3x_coco'):
        CenterMaskInferencer(wrong, device='cpu')


def test_a_name_like_no_other():
    with pytest.raises(MissingFileError, match=r'mmcentermask\.list_models\(\) lists all names'):
        find_config('xyz')


def test_inferencers_take_a_name():
    assert NAME in DetInferencer.list_models('mmdet') and NAME in DetInferencer.list_models('mmcentermask')
    assert 'mask-rcnn_r50_fpn_1x_coco' in DetInferencer.list_models('mmdet')
    with pytest.warns(UserWarning):  # of random weights
        assert type(DetInferencer('centermask_v19-ese_fpn_ms-3x_coco', device='cpu').model).__name__ == 'CenterMask'


def test_a_model_without_published_weights_is_not_run_with_random_ones():
    name = 'centermask_v19-ese_fpn_ms-3x_coco'
    with pytest.raises(MissingFileError, match=f'no published weights of {name}'):
        CenterMaskInferencer(name, device='cpu')
