# tools/dist_train.sh configs/ablations/coco_short-600.py 8 | 8 GPUs | hours: | AP:
# Trained and tested at a short side of 600 pixels
_base_ = '../centermask/centermask_v39-ese_fpn_1x_coco.py'

scale = (1000, 600)
_base_.train_dataloader.dataset.pipeline[2].scale = scale
_base_.val_dataloader.dataset.pipeline[1].scale = scale
_base_.test_dataloader.dataset.pipeline[1].scale = scale
