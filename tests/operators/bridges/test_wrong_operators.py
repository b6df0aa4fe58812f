"""Bridges refuse what is no operator of ours, in one line."""

import pytest
import torch

from operators.bridges.deepinv import to_deepinv
from operators.bridges.scipy import to_scipy


@pytest.mark.parametrize("wrong", ["blur", None, torch.eye(3), torch.nn.Identity()], ids=str)
@pytest.mark.parametrize("bridge", [to_deepinv, to_scipy])
def test_what_is_no_operator_is_named(bridge, wrong):
    with pytest.raises(ValueError, match=f"takes an operator of this package, got {type(wrong).__name__}"):
        bridge(wrong)
