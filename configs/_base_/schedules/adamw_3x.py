# The steps of sgd_3x.py with AdamW, for backbones that were pretrained with it: Swin, PVT, ConvNeXt
_base_ = './sgd_3x.py'

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.0001, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        # of Swin: positions are no weights
        custom_keys=dict(absolute_pos_embed=dict(decay_mult=0.0), relative_position_bias_table=dict(decay_mult=0.0)),
    ),
    clip_grad=dict(max_norm=10.0),
)
