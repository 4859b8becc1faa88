# tools/dist_train.sh configs/mixed/centermask_v39-ese_fpn-bfp_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
# CenterMask with a balanced feature pyramid on its FPN
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_ms.py',
    '../_base_/schedules/sgd_3x.py',
    '../_base_/default_runtime.py',
]

model = dict(
    _base_.pop('backbones').v39,
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
    ],
)
