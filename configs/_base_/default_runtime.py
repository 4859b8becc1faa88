# What every run has: loops, hooks, log and visualizer
_base_ = 'mmdet::_base_/default_runtime.py'

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    checkpoint=dict(type='ResumableCheckpointHook', by_epoch=False, interval=10000, max_keep_ckpts=3),
    invalid_loss=dict(type='InvalidLossHook'),
    logger=dict(type='MainProcessLoggerHook'),
    sync_buffers=dict(type='SyncModelBuffersHook'),
    visualization=dict(type='ValidationImagesHook'),  # interval=500 draws them more often than validations
)
log_processor = dict(type='ProgressLogProcessor', by_epoch=False)
visualizer = dict(type='CenterMaskVisualizer')  # draws masks in either form
