"""In fp16 and bf16 nothing turns to NaN, however large or small the activations, forward or backward."""

import pytest
import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData

from conftest import build, sample, small_config
from mmcentermask.models.ese import EffectiveSE
from mmcentermask.models.mask_dice_loss import MaskDiceLoss
from mmcentermask.models.multi_scale_attention import MultiScaleSpatialAttention
from mmcentermask.models.sag_mask_head import SpatialAttention
from mmcentermask.models.smoothed_giou_loss import SmoothedGIoULoss

# the largest numbers of fp16 in both; bf16 reaches 3e38 as float does, where sums of floats overflow, too
SCALES = [(torch.float16, 6e4), (torch.float16, 1e-7), (torch.bfloat16, 1e30), (torch.bfloat16, 1e-30)]
HUGE = [(torch.float16, 6e4), (torch.bfloat16, 6e4)]
SIGNS = ['positive', 'negative', 'mixed']
SIZES = [16, 8, 4, 2, 1]


def values(shape, dtype, scale, sign):
    x = torch.rand(shape)
    x = {'positive': x, 'negative': -x, 'mixed': 2 * x - 1}[sign] * scale
    return x.to(dtype).requires_grad_()


def finite(*tensors):
    return all(tensor.isfinite().all() for tensor in tensors)


@pytest.fixture(scope='module')
def model():
    return build(small_config())


@pytest.fixture(scope='module')
def images():
    """Two images, three objects."""
    return [
        sample(128, 128, [(10, 10, 60, 60), (30, 20, 110, 120)], [0, 1]),
        sample(128, 128, [(5, 5, 20, 90)], [2]),
    ]


@pytest.fixture(scope='module')
def rois(model, images):
    """What the sampler makes of boxes a little off."""
    head, results = model.roi_head, []
    for image in images:
        gt = image.gt_instances
        priors = InstanceData(priors=gt.bboxes + 3.0)
        results.append(head.bbox_sampler.sample(head.bbox_assigner.assign(priors, gt, None), priors, gt))
    return results


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('sign', SIGNS)
@pytest.mark.parametrize('dtype, scale', SCALES)
@pytest.mark.parametrize('make', [SpatialAttention, MultiScaleSpatialAttention, lambda: EffectiveSE(64)])
def test_attention(make, dtype, scale, sign, autocast):
    torch.manual_seed(0)
    module, x = make(), values((2, 64, 40, 40), dtype, scale, sign)
    with torch.autocast('cpu', dtype=dtype, enabled=autocast):
        y = module(x) if autocast else module.to(dtype)(x)
    (y.float() / scale).mean().backward()
    assert y.dtype == dtype and finite(y, x.grad, *(p.grad for p in module.parameters()))


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('sign', SIGNS)
@pytest.mark.parametrize('dtype, scale', [*SCALES, (torch.float16, 300)])
def test_box_losses(model, images, dtype, scale, sign, autocast, monkeypatch):
    torch.manual_seed(0)
    cls, ctr = ([values((2, channels, s, s), dtype, scale, sign) for s in SIZES] for channels in (3, 1))
    box = [values((2, 4, s, s), dtype, scale, 'positive') for s in SIZES]
    levels = zip(cls, box, ctr)  # what the last convolutions give
    monkeypatch.setattr(FCOSHead, 'forward_single', lambda *args, **kwargs: next(levels))
    with torch.autocast('cpu', dtype=dtype, enabled=autocast):
        losses = model.bbox_head.loss(cls, images)
    sum(losses.values()).backward()
    assert finite(*losses.values()) and finite(*(level.grad for level in [*cls, *box, *ctr] if level.grad is not None))
    assert all(loss.dtype == torch.float32 and loss > 0 for loss in losses.values())


@pytest.mark.parametrize('far', [1e30, float('inf')])
def test_giou_of_boxes_without_end(far):
    pred = torch.tensor([[-far, -far, far, far], [0.0, 0.0, far, 2.0]], requires_grad=True)
    loss = SmoothedGIoULoss(reduction='none')(pred, torch.tensor([[0.0, 0.0, 2.0, 2.0]] * 2))
    loss.sum().backward()
    assert finite(loss, pred.grad) and loss.tolist() == pytest.approx([1.0, 1.0], abs=1e-4)


@pytest.mark.parametrize('sign', SIGNS)
@pytest.mark.parametrize('dtype, scale', SCALES)
def test_dice_loss(dtype, scale, sign):
    pred = values((3, 2, 28, 28), dtype, scale, sign)
    loss = MaskDiceLoss()(pred, torch.ones(3, 28, 28, dtype=dtype), torch.tensor([0, 1, 0]))
    loss.backward()
    assert finite(loss, pred.grad) and loss.dtype == torch.float32 and 0 <= loss <= 1


@pytest.mark.parametrize('sign', SIGNS)
@pytest.mark.parametrize('dtype, scale', [*HUGE, (torch.float16, 1e-7), (torch.bfloat16, 1e-30)])
def test_mask_losses(model, images, rois, dtype, scale, sign):
    torch.manual_seed(0)
    head, gts = model.roi_head, [image.gt_instances for image in images]
    labels = torch.cat([result.pos_gt_labels for result in rois])
    logits, iou = values((len(labels), 3, 28, 28), dtype, scale, sign), values((len(labels),), dtype, scale, sign)
    with torch.autocast('cpu', dtype=dtype):
        found = head.mask_head.loss_and_target(logits, rois, gts, head.train_cfg)
        selected = logits[torch.arange(len(labels)), labels]
        scored = head.mask_iou_head.loss_and_target(iou, selected, found['mask_targets'], rois, gts, head.train_cfg)
    losses = [found['loss_mask']['loss_mask'], scored['loss_mask_iou']]
    sum(losses).sum().backward()
    assert finite(*losses, logits.grad, iou.grad) and all(loss.dtype == torch.float32 for loss in losses)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_the_iou_target_is_that_of_full_precision(model, images, rois, dtype):
    torch.manual_seed(0)
    head, gts = model.roi_head.mask_iou_head, [image.gt_instances for image in images]
    number = sum(len(result.pos_priors) for result in rois)
    logits = torch.randn(number, 28, 28) + 1
    targets = torch.ones(number, 28, 28)  # 784 pixels: bf16 counts only up to 256 without rounding
    full = head.get_targets(rois, gts, logits, targets, None)
    assert torch.equal(head.get_targets(rois, gts, logits.to(dtype), targets.to(dtype), None), full)
    assert (full > 0.3).all()
    # a box beside its object contains 1e-10 of it, which is 0 in fp16
    away = [InstanceData(pos_priors=r.pos_priors + 1000, pos_assigned_gt_inds=r.pos_assigned_gt_inds) for r in rois]
    beside = head.get_targets(away, gts, logits.to(dtype), torch.zeros_like(targets).to(dtype), None)
    assert torch.equal(beside, torch.zeros(number))


@pytest.mark.parametrize('scale', [6e4, 1e4, 1e-7])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_mask_branch(model, dtype, scale):
    torch.manual_seed(0)
    head, x = model.roi_head, values((1, 128, 14, 14), dtype, scale, 'positive')
    model.zero_grad()
    with torch.autocast('cpu', dtype=dtype):
        logits = head.mask_head(x)
        iou = head.mask_iou_head(x, logits[:, 0])
    (logits.float().mean() + iou.float().mean()).backward()
    grads = [p.grad for part in (head.mask_head, head.mask_iou_head) for p in part.parameters() if p.grad is not None]
    assert logits.dtype == dtype and len(grads) > 10 and finite(logits, iou, x.grad, *grads)


def test_a_training_step_of_the_whole_model_in_bf16(model, images):
    torch.manual_seed(0)
    model.train().zero_grad()
    losses = []
    with torch.autocast('cpu', dtype=torch.bfloat16):
        x = [torch.randn(2, 128, s, s) for s in SIZES]
        boxes = [InstanceData(bboxes=image.gt_instances.bboxes + 2) for image in images]
        assert len(bbox2roi([box.bboxes for box in boxes])) == 3
        losses = [
            *model.bbox_head.loss(x, images).values(),
            # mmcv's RoIAlign on CPU takes full precision only
            *model.roi_head.loss([level.float() for level in x], boxes, images).values(),
        ]
    sum(loss.sum() for loss in losses).backward()
    heads = (model.bbox_head, model.roi_head)
    assert finite(*losses) and finite(*(p.grad for head in heads for p in head.parameters() if p.grad is not None))
