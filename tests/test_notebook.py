"""demo/tutorial.ipynb runs from top to bottom, shortened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import ROOT

BESIDE = Path(sys.prefix, 'notebook')  # where `make test-slow` puts what runs notebooks
RUN = """
import nbformat, nbclient
notebook = nbformat.read('tutorial.ipynb', 4)
nbclient.NotebookClient(notebook, timeout=900, kernel_name='python3').execute()
outputs = [output for cell in notebook.cells for output in cell.get('outputs', [])]
print(*(output.get('text', '') for output in outputs))
print(sum('image/png' in output.get('data', {}) for output in outputs), 'drawings')
"""


@pytest.mark.slow
def test_tutorial(tmp_path):
    if not BESIDE.is_dir():
        pytest.skip('nbclient is not installed')
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), str(BESIDE)]), OMP_NUM_THREADS='1')
    env |= dict(TUTORIAL_FOLDER=str(tmp_path), TUTORIAL_ITERATIONS='1', JUPYTER_PLATFORM_DIRS='1', MPLBACKEND='agg')
    done = subprocess.run([sys.executable, '-c', RUN], cwd=ROOT / 'demo', env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "{'images': 300, " in done.stdout and '20 images, ' in done.stdout
    assert '2 drawings' in done.stdout  # IPython leaves one out that it cannot show, without an error
    assert set(json.loads((tmp_path / 'found.json').read_text())) >= {'bboxes', 'mask_scores'}
    assert (tmp_path / 'drawn.png').stat().st_size > 0 and (tmp_path / 'check/findings.json').is_file()


def test_the_notebook_is_committed_without_outputs():
    cells = json.loads((ROOT / 'demo/tutorial.ipynb').read_text())['cells']
    assert not [cell for cell in cells if cell.get('outputs')]
