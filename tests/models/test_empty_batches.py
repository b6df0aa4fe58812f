"""Batches without an image: models return as many, and nothing in them moves."""

import pytest
import torch

from models import MODELS, POLICIES
from tests.operators.cases import OPERATORS, build, random_data


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_models_take_empty_batches(name, policy, operator):
    operator = build(operator, (8, 8))
    channels = operator.image_shape[0]
    model = MODELS[name](channels=channels, policy=policy)
    for mode in (True, False):
        model.train(mode)
        before = {key: value.clone() for key, value in model.named_buffers() if "running" in key}
        y = random_data(operator, 0, torch.float32)
        result = model(y, operator)
        assert result.image.shape == (0, *operator.image_shape)
        if mode:
            result.image.sum().backward()
            assert all(p.grad is None or not p.grad.any() for p in model.parameters())
        assert all(torch.equal(value, dict(model.named_buffers())[key]) for key, value in before.items())
