"""What an environment holds: the pinned versions that were tested together, one set for each dependency line."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TORCH = 'torch==2.13.0'
TORCH_CPU_INDEX = 'https://download.pytorch.org/whl/cpu'
ONEDL_WHEELS = 'https://mmwheels.onedl.ai/cu{cuda}-torch{torch}/simple/onedl-mmcv/index.html'
# setuptools 81 dropped pkg_resources, which mmengine 0.10.7 uses at run time.
BUILD_TOOLS = ['setuptools<81', 'wheel', 'packaging', 'ninja']
# The exact versions that were tested together. opencv 4.13 and numpy 2.3 are more than onedl-mmdetection allows.
COMMON = ['numpy>=1.26,<2.3', 'opencv-python<4.13']
STACKS = {
    'onedl': {
        'mmcv': 'onedl-mmcv==2.3.6',
        'others': ['onedl-mmengine==0.10.12', 'onedl-mmdetection==3.5.1'],
    },
    'openmmlab': {
        'mmcv': 'mmcv==2.1.0',
        'others': ['mmengine==0.10.7', 'mmdet==3.3.0'],
    },
}
VENVS = {'onedl': '.venv', 'openmmlab': '.venv-openmmlab'}
