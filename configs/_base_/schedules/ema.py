# List it in `_base_` beside the others: validation and checkpoints hold the moving average of the weights.
# The average forgets in about 1 / momentum iterations; at the start it follows the weights faster.
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=0.0002,
        update_buffers=True,  # running statistics of norms that train
        priority=49,  # before the checkpoint is written
    )
]
