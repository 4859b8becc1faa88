"""Makes ``mmcentermask`` a scope of mmengine, so that a config anywhere can inherit one of ours.

    _base_ = 'mmcentermask::centermask/centermask_v39-ese_fpn_ms-3x_coco.py'

Our classes are registered in mmdet's registries. Those of this scope are empty, and look for a name in mmdet's.
"""

from mmdet import registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

# By a module of the package mmengine finds the folder that it was imported from, in which `.mim/configs` is; by the
# name of the distribution it would find site-packages, where an editable install has no `.mim/model-index.yml`.
MODULE2PACKAGE['mmcentermask'] = 'mmcentermask.version'

for _parent in [value for value in vars(registry).values() if isinstance(value, Registry)]:
    Registry(_parent.name, parent=_parent, scope='mmcentermask', locations=_parent._locations)
