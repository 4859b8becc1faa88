"""Sphinx's settings. `make docs` takes the whole repository for the source, of which the pages below are read."""

import runpy
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

ROOT = Path(__file__).parents[1]

project = 'mmcentermask'
author = copyright = 'The mmcentermask authors'
version = release = runpy.run_path(str(ROOT / 'mmcentermask/version.py'))['__version__']

root_doc = 'docs/index'
include_patterns = ['*.md', 'docs/**.md', 'configs/*/README.md']
exclude_patterns = ['.*', 'build', 'data', 'work_dirs', 'mmcentermask', 'tests', 'tools']

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_copybutton',
]
myst_enable_extensions = ['dollarmath', 'colon_fence']
myst_heading_anchors = 4
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes of a class are documented once
autodoc_mock_imports = ['onnx', 'onnxruntime', 'openvino']  # extras, which the pages need not have
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # docstrings tell types with their shapes

html_theme = 'furo'
html_math_renderer = 'mathml'  # browsers show it as it is, without a script from elsewhere
html_title = f'{project} {release}'
html_extra_path = ['site']  # leads from the top to root_doc
copybutton_prompt_text = r'>>> |\.\.\. |\$ '
copybutton_prompt_is_regexp = True


def setup(app):
    """Write formulas as MathML, which docutils makes."""

    def visit(translator, node):
        translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
        raise nodes.SkipNode

    app.add_html_math_renderer('mathml', (visit, None), (visit, None))
