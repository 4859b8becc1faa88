"""Packaging of mmcentermask. It imports neither torch nor the package itself."""

import os
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
VERSION = runpy.run_path(str(ROOT / 'mmcentermask' / 'version.py'))['__version__']

# What `mim train mmcentermask ...` and DetInferencer look for inside the installed package, in its folder `.mim`.
MIM_ENTRIES = ('configs', 'tools', 'demo', 'model-index.yml')

INSTALL_REQUIRES = ['numpy>=1.26', 'pycocotools>=2.0.7']
TORCH = 'torch>=2.4,<2.14'  # mmcv's ops are compiled against it, 2.13 is the newest that was tested
# mmcv, mmengine and mmdet come from one of two lines, which share their import names and would overwrite each other's
# files. So neither is a hard requirement: the user picks one, `import mmcentermask` says so when both are missing.
EXTRAS = {
    'onedl': [TORCH, 'onedl-mmcv>=2.3.6,<2.4', 'onedl-mmengine>=0.10.12,<0.11', 'onedl-mmdetection>=3.5.1,<3.6'],
    'openmmlab': [
        TORCH,
        'mmcv>=2.1.0,<2.2',
        'mmengine>=0.10.7,<0.11',
        'mmdet>=3.3.0,<3.4',
        'setuptools<81',  # mmengine 0.10.7 needs pkg_resources at run time
    ],
    # to run exported models without any of these; the OpenCV that also works on machines without a screen. mmcv brings
    # the other one, so beside mmcv it is `pip install onnxruntime` and not this
    'runtime': [
        'onnxruntime>=1.17',
        'opencv-python-headless>=4.5',
        'pillow>=10',
        'matplotlib>=3.7',  # its fonts, in drawings
        'tqdm>=4',
    ],
    'export': [
        'onnx>=1.16',
        'onnxruntime>=1.20',
        'openvino>=2025.0',
    ],  # beside one of the two lines; int8 for OpenVINO: nncf
    'hub': ['huggingface_hub>=0.25', 'safetensors>=0.4'],  # weights by timm:// and hf://
    'lvis': ['lvis>=0.5.3'],  # to train and evaluate on LVIS
    'cityscapes': ['cityscapesScripts>=2.2'],  # for Cityscapes' own metric
    'evaluation': ['hotcoco>=1.3'],  # COCO's scores in a fraction of the time, and tools/analyze.py
    'panoptic': ['hotcoco>=1.3'],  # panoptic quality
    'report': ['jinja2>=3', 'matplotlib>=3.7'],  # tools/report.py; torch and mmdet bring both
    'video': ['av>=14'],  # videos and streams
    'tracking': ['trackers>=2', 'supervision>=0.30'],  # to number objects over frames
    'parquet': ['pyarrow>=14'],  # tools/predict.py --format parquet
    'web': ['gradio>=6,<7'],  # demo/web_demo.py
    'ray': ['ray[data]>=2.40'],  # tools/predict_ray.py
    'large': ['rasterio>=1.3'],  # to read large images by windows
    'tests': ['pytest>=8', 'pytest-xdist>=3.5', 'hypothesis>=6'],
    'dev': ['ruff>=0.12'],
}

CONFIG_REDIRECT = '_base_ = {path!r}\n'
TOOL_REDIRECT = """import os
import runpy
import sys

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), {path!r})
sys.path[0] = os.path.dirname(path)
runpy.run_path(path, run_name='__main__')
"""


class BuildWithMim(build_py):
    """Adds ``.mim`` to the package: copied into a wheel, linked into the checkout of an editable install."""

    def run(self):
        """Build the package, then add ``.mim``."""
        super().run()
        if getattr(self, 'editable_mode', False):
            self._link_mim(ROOT / 'mmcentermask' / '.mim')
            self._write_redirects()
        else:
            # Straight into the build folder: the checkout stays as it was.
            self._copy_mim(Path(self.build_lib) / 'mmcentermask' / '.mim')

    @staticmethod
    def _copy_mim(target):
        """Copy every existing entry into ``target``, which is emptied first."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM_ENTRIES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
            elif source.is_file():
                shutil.copy2(source, target / name)

    @classmethod
    def _link_mim(cls, target):
        """Fill ``target`` with relative links to the checkout, or with copies where links are not allowed."""
        if target.is_symlink():
            target.unlink()
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        try:
            for name in MIM_ENTRIES:
                if (ROOT / name).exists():
                    os.symlink(os.path.relpath(ROOT / name, target), target / name)
        except OSError:  # Windows without the right to make links
            cls._copy_mim(target)

    def _write_redirects(self):
        """Lead openmim from site-packages to the checkout of an editable install.

        openmim looks for ``site-packages/mmcentermask/.mim``, but an editable install leaves only a ``.pth`` file.
        Without an ``__init__.py`` that folder does not hide the package, and pip removes it with the rest.
        """
        site = Path(self.get_finalized_command('install').install_lib)
        write_redirects(site / 'mmcentermask' / '.mim', lambda source, place: source)


class WheelWithMim(bdist_wheel):
    """Leads onedl-mim from the wheel's metadata to the package.

    onedl-mim 0.5.1 takes the first folder of an installed wheel for the package, in the order of their names.
    """

    def write_wheelfile(self, wheelfile_base, *args, **kwargs):
        """Write the metadata, and ``.mim`` beside it."""
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        if 'editable_wheel' in self.distribution.commands:
            return  # there it takes the checkout
        site = Path(wheelfile_base).parent
        write_redirects(
            Path(wheelfile_base) / '.mim',
            lambda source, place: os.path.relpath(site / 'mmcentermask/.mim' / source.relative_to(ROOT), place),
        )


def write_redirects(target, find_path):
    """Fill a folder with what mim looks for: a small file for each tool and config, which starts or inherits another.

    The two files in which `mim search` looks are copied.

    Args:
        target (Path): The folder.
        find_path (callable): Takes a file of the checkout and the folder of its redirect, gives the path to write.
    """
    for source in sorted([*(ROOT / 'tools').rglob('*.py'), *(ROOT / 'configs').rglob('*.py')]):
        place = target / source.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        template = TOOL_REDIRECT if 'tools' in place.relative_to(target).parts else CONFIG_REDIRECT
        place.write_text(template.format(path=str(find_path(source, place.parent))), encoding='utf-8')
    for source in (ROOT / 'model-index.yml', ROOT / 'configs' / 'centermask' / 'metafile.yml'):
        shutil.copy2(source, target / source.relative_to(ROOT))


setup(
    name='mmcentermask',
    version=VERSION,
    description='CenterMask instance segmentation for MMDetection 3.x',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else '',
    long_description_content_type='text/markdown',
    author='The mmcentermask authors',
    license='Apache-2.0',
    keywords='computer vision, instance segmentation, CenterMask, VoVNet, MMDetection',
    python_requires='>=3.10',
    # Said aloud, so that an editable install puts the checkout on the path by a plain `.pth` file. The import hook that
    # setuptools uses otherwise comes after the path, where it would find the redirects above and no package.
    package_dir={'': '.'},
    packages=find_packages(include=['mmcentermask', 'mmcentermask.*']),
    package_data={
        'mmcentermask': ['py.typed'],
        'mmcentermask.checkpoints': ['weights.json'],
        'mmcentermask.visualization': ['run_report.html'],
    },
    include_package_data=False,
    install_requires=INSTALL_REQUIRES,
    extras_require={**EXTRAS, 'all': EXTRAS['onedl'] + EXTRAS['tests'] + EXTRAS['dev']},
    cmdclass={'build_py': BuildWithMim, 'bdist_wheel': WheelWithMim},
    zip_safe=False,
)
