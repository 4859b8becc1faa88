"""What README and docs tell readers to type: Python runs, commands are understood, links lead somewhere."""

import ast
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from documentation import PAGES, ROOT, blocks, commands
from mmengine.config import Config
from packaging.requirements import Requirement
from test_install import setup_arguments  # noqa: F401 - a fixture
from tiny_run import find_something, load_tool, run_tool

from mmcentermask.datasets import CLASSES
from mmcentermask.model_index import find_config

SHELL = [block for page in PAGES for block in blocks(page) if block.language in ('shell', 'bash')]
INDENTED = [block for page in PAGES for block in blocks(page) if block.language == '']
PYTHON = [block for page in PAGES for block in blocks(page) if block.language == 'python']
# programs of others, which these pages name and no test can start
OTHERS = {'source', 'mim', 'uv', 'conda', 'docker', 'coco', 'npm', 'trtexec', 'bash', 'cd'}

# what takes other packages or other data
ELSEWHERE = {'supervision.DetectionDataset': 'tests/test_own_data.py', 'ray.train': 'tests/test_ray.py'}


def is_config(block):
    """Whether a block of Python is a config: it only sets names that mmengine reads."""
    body = ast.parse(block.text).body
    names = {getattr(node.targets[0], 'id', None) if isinstance(node, ast.Assign) else None for node in body}
    return names <= {'_base_', 'custom_imports', 'model'}


def ident(block):
    return f'{block.page}:{block.line}'


@pytest.fixture(scope='module')
def desk(tmp_path_factory):
    """A folder with the files that the pages name: images, a config with its weights, an exported model."""
    folder = tmp_path_factory.mktemp('desk')
    config, weights = find_something(folder)
    rng = np.random.default_rng(0)
    images = [
        'street.jpg', 'data/shapes/val2017/000000000001.jpg', 'labelme/a.jpg', 'yolo/images/a.jpg', 'photos/a.jpg',
    ]  # fmt: skip
    for name in images:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (100, 200, 3), dtype=np.uint8))
    # the pages look for cars
    (folder / 'own.py').write_text(Path(config).read_text().replace("'ellipse'", "'car'"))
    state = torch.load(weights)
    state['meta']['dataset_meta']['classes'] = ('car', *CLASSES[1:])
    torch.save(state, weights)
    for name in ('weights.pth', 'work_dirs/own/iter_1000.pth', 'work_dirs/start/iter_300.pth'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            shutil.copy(weights, folder / name)
    return folder


@pytest.mark.parametrize('block', PYTHON, ids=ident)
def test_python(block, desk, monkeypatch, request):
    monkeypatch.chdir(desk)
    code = compile(block.text, ident(block), 'exec')
    if is_config(block):
        place = desk / 'configs/own'  # beside _base_, as in the repository
        place.mkdir(parents=True, exist_ok=True)
        if not (desk / 'configs/_base_').exists():
            (desk / 'configs/_base_').symlink_to(ROOT / 'configs/_base_')
        (place / 'block.py').write_text(block.text)
        assert Config.fromfile(place / 'block.py')
        return
    for what, test in ELSEWHERE.items():
        if what in block.text:
            pytest.skip(f'{test} runs it')
    if 'model.onnx' in re.sub('#.*', '', block.text):
        pytest.importorskip('onnxruntime')
        request.getfixturevalue('exported')
    # a published model's name stands for one that fits the weights at hand
    monkeypatch.setattr('mmcentermask.model_index.find_config', lambda name: str(desk / 'own.py'), raising=True)
    exec(code, {'__name__': '__main__'})


@pytest.fixture(scope='module')
def exported(desk):
    from exported import write_model

    write_model(desk / 'model.onnx', desk / 'own.py', desk / 'weights.pth')


def check_arguments(words):
    """Have a tool of ours read its command line, and look for the configs and models that it names."""
    path, *arguments = words
    assert (ROOT / path).is_file(), path
    if path.endswith('.sh'):
        tool = f'tools/{Path(path).stem.partition("_")[2]}.py'
        own = 2 if 'dist' in path else 4
        assert len(arguments) >= own
        arguments = [arguments[0], *arguments[own:]] if 'dist' in path else [*arguments[2:3], *arguments[4:]]
        if tool == 'tools/test.py' and 'dist' in path:
            arguments = [words[1], words[2], *words[4:]]
    else:
        tool = path
    load_tool(tool).parse_args(arguments)
    for word in arguments:
        if word.startswith('configs/'):
            assert (ROOT / word).is_file(), word
        elif re.fullmatch(r'(panoptic-)?centermask[\w-]*_(coco|shapes|custom)', word):
            assert Path(find_config(word)).is_file()


def check_pip(arguments, extras):
    wanted = [
        word for i, word in enumerate(arguments)
        if not word.startswith('-') and arguments[i - 1] not in ('--index-url', '--no-binary', '--target')
    ]  # fmt: skip
    assert wanted, arguments
    for word in wanted:
        named = re.sub(r'^\.(?=\[)', 'mmcentermask', word)
        requirement = Requirement(named)
        if requirement.name == 'mmcentermask':
            assert requirement.extras <= set(extras), word


@pytest.mark.parametrize('block', [*SHELL, *INDENTED], ids=ident)
def test_commands(block, setup_arguments):  # noqa: F811
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.M))
    for words in commands(block) if block in SHELL or looks_like_shell(block) else ():
        program, *rest = words
        if program == 'python' and rest[:2] == ['-m', 'mmcentermask.doctor']:
            assert len(rest) == 2
        elif program == 'python' and rest[0].endswith('.py'):
            check_arguments(rest)
        elif program.startswith('tools/'):
            check_arguments(words)
        elif program == 'make':
            assert {word for word in rest if '=' not in word} <= targets, words
        elif program == 'pip' and rest[0] == 'install':
            check_pip(rest[1:], setup_arguments['extras_require'])
        else:
            assert program in OTHERS or words[:3] == ['python', '-m', 'http.server'], words


def looks_like_shell(block):
    return re.match(r'(python |pip |make |tools/|mim |config=|MALLOC|cd |A=|configs=|[A-Z]+=)', block.text)


LINK = re.compile(r'\]\(([^)\s]+)\)')


def anchors(page):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r'^#+ (.+)$', re.sub(r'```.*?```', '', page.read_text(), flags=re.S), re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    broken = []
    for link in LINK.findall(re.sub(r'```.*?```', '', page.read_text(), flags=re.S)):
        if re.match(r'https?:|mailto:', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == '.md' and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_the_contents():
    entries = set(re.findall(r'^(?:.* <)?([\w./-]+)>?$', (ROOT / 'docs/index.md').read_text(), re.M))
    here = {str(page.relative_to(ROOT / 'docs').with_suffix('')) for page in (ROOT / 'docs').glob('**/*.md')}
    assert here - {'index'} <= entries


def test_readme_is_short():
    assert len((ROOT / 'README.md').read_text().splitlines()) < 150


def outline(path):
    """What a page and its translation must share: the levels of its headings, its code, its links to other pages."""
    text = (ROOT / path).read_text()
    code = [(block.language, re.sub(r'\s+#.*', '', block.text)) for block in blocks(ROOT / path)]
    return re.findall(r'^(#+) ', re.sub(r'```.*?```', '', text, flags=re.S), re.M), code


@pytest.mark.parametrize(
    ('english', 'chinese'), [('README.md', 'README_zh-CN.md'), ('docs/start.md', 'docs/zh_CN/start.md')]
)
def test_the_translation_has_the_headings_and_the_code_of_the_original(english, chinese):
    assert outline(english) == outline(chinese)


def test_numbers_of_the_figure_are_those_of_the_table():
    page, figure = (ROOT / 'docs/benchmark.md').read_text(), (ROOT / 'docs/images/benchmark.svg').read_text()
    (first, *rows) = re.findall(r'^\| (?:Mask R-CNN R-50|Lite V-\S+|V-39) \| (\d+) \|.*?\| ([\d.]+) \|$', page, re.M)
    plain = [int(ms) / int(first[0]) for ms, _ in rows]
    bf16 = [float(ratio) for _, ratio in rows]
    drawn = sorted(float(number) for number in re.findall(r'>(0\.\d{3})<', figure))
    assert drawn == pytest.approx(sorted([*plain, *bf16]), abs=5e-4)


@pytest.mark.slow
def test_start_in_five_minutes(tmp_path, monkeypatch):
    """The page's commands in their order, with less of everything."""
    monkeypatch.chdir(tmp_path)
    fewer = {'400': '4', '20': '2', '128': '64', 'max_iters=300': 'max_iters=1'}
    ran = []
    for block in [block for block in blocks(ROOT / 'docs/start.md') if block.language == 'shell']:
        for words in commands(block):
            if words[0] == 'python':
                path, *arguments = [fewer.get(word, word).replace('iter_300', 'iter_1') for word in words[1:]]
                extra = ['--force'] if path.endswith('make_shapes.py') else []
                assert run_tool(path, *arguments, *extra) == 0
                ran.append(path)
    assert ran == ['tools/make_shapes.py', 'tools/train.py', 'tools/test.py', 'demo/image_demo.py']
    assert len(list((tmp_path / 'outputs/preds').glob('*.json'))) == 2
