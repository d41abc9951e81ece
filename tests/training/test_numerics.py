"""Precision is what was asked for, inside only."""

from __future__ import annotations

import pytest
import torch

from harness.training.numerics import applied, parameter_type
from harness.training.rules import Numerics


def test_parameters_are_double_only_when_asked() -> None:
    assert parameter_type(Numerics()) == torch.float32
    assert parameter_type(Numerics(precision="float64")) == torch.float64
    assert parameter_type(Numerics(precision="bfloat16")) == torch.float32


def test_products_are_rounded_only_inside() -> None:
    one = torch.randn(4, 4)
    with applied(Numerics(precision="bfloat16"), "cpu"):
        assert (one @ one).dtype == torch.bfloat16
    assert (one @ one).dtype == torch.float32


def test_settings_are_put_back_also_after_an_error() -> None:
    before = (torch.are_deterministic_algorithms_enabled(), torch.backends.cuda.matmul.allow_tf32)
    with pytest.raises(RuntimeError, match="inside"), applied(Numerics(tf32=True, deterministic=True), "cpu"):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cuda.matmul.allow_tf32
        raise RuntimeError("inside")
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cuda.matmul.allow_tf32) == before
