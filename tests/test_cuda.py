"""On a GPU: the CPU's results, no waiting in between, and nothing that overflows. Skipped where there is none."""

import warnings

import pytest
import torch
from official_case import batch, build_model, known_answers
from test_fast_inference import LITE, detections
from tolerances import WINOGRAD_BOXES, assert_same_detections

from conftest import sample
from mmcentermask import prepare_for_inference

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
GPU = 'cuda'
CASES = [LITE, 'centermask_V_39_eSE_dcn_FPN_ms_3x']


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """Convolutions in float32, not in TF32, whose results are another's."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    monkeypatch.setattr(torch.backends.cuda.matmul, 'allow_tf32', False)


def on_gpu(name):
    """A model, its images and samples, all on the GPU."""
    model = build_model(name)
    inputs, samples = batch(known_answers(name), model)
    return model.to(GPU), inputs.to(GPU), [s.to(GPU) for s in samples]


def waits(job, *args):
    """How often the CPU waits for the GPU in a job."""
    job(*args)  # the first time cuDNN chooses algorithms
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter('always')
            job(*args)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sum('synchronizing' in str(warning.message) for warning in told)


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('prepare', [False, True], ids=['plain', 'prepared'])
def test_predictions_equal_those_of_the_cpu(name, prepare):
    model = build_model(name)
    inputs, samples = batch(known_answers(name), model)
    plain = detections(model, inputs, samples)
    model, inputs, samples = on_gpu(name)
    model = prepare_for_inference(model) if prepare else model
    for ours, theirs in zip(detections(model, inputs, samples), plain, strict=True):
        assert ours.bboxes.device.type == GPU
        assert_same_detections(ours.cpu(), theirs, boxes=WINOGRAD_BOXES)  # cuDNN may choose Winograd's way, too


@pytest.mark.parametrize('name', CASES)
def test_losses_and_gradients_equal_those_of_the_cpu(name):
    found = []
    for device in ('cpu', GPU):
        model = build_model(name)
        inputs, samples = batch(known_answers(name), model)
        model, samples = model.to(device), [s.to(device) for s in samples]
        losses = model(inputs.to(device), samples, mode='loss')
        sum(losses.values()).backward()
        norms = {key: p.grad.norm().item() for key, p in model.named_parameters() if p.requires_grad}
        found.append(({key: loss.item() for key, loss in losses.items()}, norms))
    (losses, norms), (ours, our_norms) = found
    assert ours == pytest.approx(losses, rel=1e-4)
    assert our_norms == pytest.approx(norms, rel=1e-2, abs=1e-5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite(dtype):
    model, inputs, samples = on_gpu(LITE)
    model.train()
    with torch.autocast(GPU, dtype):
        losses = model(inputs, samples, mode='loss')
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    for found in detections(prepare_for_inference(model.eval(), dtype), inputs, samples):
        assert len(found) == 20 and found.scores.isfinite().all() and found.bboxes.isfinite().all()


def test_the_dense_part_never_waits():
    model, inputs, _ = on_gpu(LITE)

    def dense_part():
        with torch.no_grad():
            model.bbox_head(model.box_feats(model.extract_feat(inputs)))

    assert waits(dense_part) == 0


def test_waiting_does_not_grow_with_the_objects():
    model, inputs, _ = on_gpu(LITE)
    height, width = inputs.shape[-2:]
    box = [8.0, 8.0, 72.0, 80.0]

    def predict(boxes):
        model.bbox_head.test_cfg.max_per_img = boxes
        model.test_cfg.max_per_img = boxes
        return detections(model, inputs[:1], [sample(height, width)])

    def learn(boxes):
        shifted = [[x + 0.1 * i for x in box] for i in range(boxes)]
        samples = [sample(height, width, shifted, [0] * boxes).to(GPU)]
        sum(model(inputs[:1], samples, mode='loss').values()).backward()

    assert waits(predict, 20) == waits(predict, 5)
    assert waits(learn, 20) == waits(learn, 5)
