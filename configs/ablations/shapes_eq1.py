# RoI levels by Eq. 1 of FPN (224 pixels, k0 = 4) in the place of Eq. 2
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(
    roi_head=dict(
        mask_roi_extractor=dict(
            _delete_=True,
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=128,
            featmap_strides=[8, 16, 32],
            finest_scale=112,  # RoIs below 224 pixels from P3: k0 = 4 is P4
        )
    )
)
