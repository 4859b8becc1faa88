# CenterMask with a balanced feature pyramid on its FPN
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco_ms.py', '../_base_/recipes/sgd_3x.py']

model = dict(
    neck=[
        dict(
            type='FPN',
            in_channels=[512, 768, 1024],
            out_channels=256,
            add_extra_convs='on_output',
            num_outs=5,
            relu_before_extra_convs=True,
        ),
        dict(type='BFP', in_channels=256, num_levels=5, refine_level=2, refine_type='non_local'),
    ]
)
