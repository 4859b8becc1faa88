"""The version of this package, and the dependency versions it was tested with.

This file imports nothing, so that ``setup.py`` can read it before anything is installed.
"""

__version__ = '0.1.0'

# Import name -> oldest and newest version the test suite passed with. The oldest is OpenMMLab's last release, the
# newest comes from the maintained ``onedl-*`` packages, which install under the same import names.
TESTED = {
    'mmcv': ('2.1.0', '2.3.6'),
    'mmengine': ('0.10.7', '0.10.12'),
    'mmdet': ('3.3.0', '3.5.1'),
}
