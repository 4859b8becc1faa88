"""L1 and smooth L1 on whole boxes, by hand."""

import pytest
import torch

from mmcentermask.models import BoxL1Loss, BoxSmoothL1Loss

PRED, TARGET = torch.full((2, 4), 5.0), torch.zeros(2, 4)


def test_known_values():
    # smooth L1 of 5 is 5 - 0.5
    assert BoxSmoothL1Loss()(PRED, TARGET).item() == pytest.approx(4.5)
    assert BoxL1Loss()(PRED, TARGET).item() == pytest.approx(5)
    assert BoxSmoothL1Loss()(0.1 * PRED, TARGET).item() == pytest.approx(0.5 * 0.25)


@pytest.mark.parametrize('kind, value', [(BoxL1Loss, 5.0), (BoxSmoothL1Loss, 4.5)])
def test_a_box_weight_goes_to_its_coordinates(kind, value):
    weight = torch.tensor([1.0, 3.0])
    # four coordinates of each box
    expected = 4 * value * (1 + 3) / 4
    assert kind()(PRED, TARGET, weight=weight, avg_factor=weight.sum()).item() == pytest.approx(expected)
    per_coordinate = weight[:, None].expand(2, 4)
    assert kind()(PRED, TARGET, weight=per_coordinate, avg_factor=4.0).item() == pytest.approx(expected)
    assert kind(loss_weight=0.5)(PRED, TARGET, weight=weight, avg_factor=4.0).item() == pytest.approx(expected / 2)


def test_weights_of_zero_give_zero():
    assert BoxL1Loss()(PRED, TARGET, weight=torch.zeros(2), avg_factor=1.0) == 0
