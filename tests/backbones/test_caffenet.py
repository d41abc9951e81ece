"""CaffeNet against a plain torch network, its published sizes, and dropout that is decided outside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.backbones.caffenet import MEAN_COLOUR, CaffeNet, caffenet
from harness.errors import HarnessError
from harness.training.networks import StackedNetwork, fresh, shape_above, stack
from harness.training.rules import Numerics
from harness.training.settings import Budget, Optimiser
from harness.training.stages import evaluate, initialise, train
from tests.training.pictures import blobs
from tests.training.places import Place, run_batch, same_bits

SMALL = CaffeNet(width=6, hidden=10)
SHAPE = (3, 67, 67)


def plain(parameters: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """The network in torch's functions, without dropout."""
    own = dict(parameters)

    def convolved(layer: str, inputs: Tensor, **how: int) -> Tensor:
        place = 1 if layer == "conv1" else 0
        return functional.conv2d(inputs, own[f"{layer}.{place}.weight"], own[f"{layer}.{place}.bias"], **how).relu()

    def pooled(inputs: Tensor) -> Tensor:
        return functional.max_pool2d(inputs, 3, 2, ceil_mode=True)

    def normed(inputs: Tensor) -> Tensor:
        """Krizhevsky et al. (2012), section 3.3, with k = 1 and the sum's mean over five channels, as Caffe has it."""
        squares = functional.pad(inputs.square(), (0, 0, 0, 0, 2, 2))
        near = torch.stack([squares[:, start : start + inputs.shape[1]] for start in range(5)]).sum(0)
        return inputs / (1 + 1e-4 / 5 * near) ** 0.75

    pixels = 255 * (pictures - torch.tensor(MEAN_COLOUR).view(3, 1, 1))
    flowing = normed(pooled(convolved("conv1", pixels, stride=4)))
    flowing = normed(pooled(convolved("conv2", flowing, padding=2, groups=2)))
    flowing = convolved("conv3", flowing, padding=1)
    flowing = convolved("conv4", flowing, padding=1, groups=2)
    flowing = pooled(convolved("conv5", flowing, padding=1, groups=2)).flatten(1)
    for layer in ("fc6", "fc7"):
        flowing = functional.linear(flowing, own[f"{layer}.1.weight"], own[f"{layer}.1.bias"]).relu()
    return functional.linear(flowing, own["head.weight"], own["head.bias"])


def test_it_is_the_network_in_plain_torch_alone_and_stacked() -> None:
    members = [fresh(SMALL, 4, SHAPE, torch.Generator().manual_seed(seed)) for seed in range(3)]
    members = [{name: 8 * tensor for name, tensor in member.items()} for member in members]
    pictures = torch.rand(3, 5, *SHAPE, generator=torch.Generator().manual_seed(0))
    network = StackedNetwork(SMALL, SHAPE, 4)
    together = network(stack(members), pictures)
    for place, member in enumerate(members):
        expected = plain(member, pictures[place])
        torch.testing.assert_close(together[place], expected, rtol=1e-4, atol=1e-4)
        alone = network(stack([member]), pictures[place : place + 1])[0]
        torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)


def test_the_norm_is_torchs_own() -> None:
    """Over five channels with the sum's mean, also at the first and last channels."""
    network = CaffeNet(width=6).build(2, SHAPE, torch.Generator())
    inputs = 30 * torch.randn(2, 6, 4, 3)
    expected = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)(inputs)
    torch.testing.assert_close(network.conv1[-1](inputs), expected)


def test_sizes_are_the_published_ones() -> None:
    """61 million parameters; outputs of 96 x 27 x 27, 256 x 13 x 13, 384 x 13 x 13 twice, 256 x 6 x 6."""
    assert caffenet() == CaffeNet(width=96, hidden=4096, dropout=0.5)
    shapes = [shape_above(CaffeNet(hidden=16), (3, 227, 227), below) for below in range(1, 8)]
    assert shapes == [(96, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 6, 6), (16,), (16,)]
    convolutions = 96 * 363 + 256 * 48 * 25 + 384 * 256 * 9 + 384 * 192 * 9 + 256 * 192 * 9 + 96 + 256 + 384 + 384 + 256
    linear = 256 * 36 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
    assert convolutions + linear == 60_965_224


def test_parameters_begin_as_published() -> None:
    drawn = fresh(CaffeNet(width=48, hidden=400), 50, SHAPE, torch.Generator().manual_seed(0))
    deviations = {"conv1.1.weight": 0.01, "conv3.0.weight": 0.01, "fc7.1.weight": 0.005, "head.weight": 0.01}
    for name, deviation in deviations.items():
        assert float(drawn[name].std()) == pytest.approx(deviation, rel=0.05)
        assert abs(float(drawn[name].mean())) < 0.1 * deviation
    ones = {name for name, tensor in drawn.items() if name.endswith("bias") and bool((tensor == 1).all())}
    zeros = {name for name, tensor in drawn.items() if name.endswith("bias") and bool((tensor == 0).all())}
    assert ones == {"conv2.0.bias", "conv4.0.bias", "conv5.0.bias", "fc6.1.bias", "fc7.1.bias"}
    assert zeros == {"conv1.1.bias", "conv3.0.bias", "head.bias"}


def test_dropout_leaves_inputs_out_and_lets_the_others_grow() -> None:
    """At a rate of a quarter, an input that stays counts four thirds."""
    network = StackedNetwork(CaffeNet(width=6, hidden=4, dropout=0.25), SHAPE, 2)
    assert network.dropouts == {"fc7.1": (4, 0.25), "head": (4, 0.25)}
    above = StackedNetwork(CaffeNet(width=6, hidden=4, dropout=0.25), SHAPE, 2, below=7)
    weights = {
        "head.weight": torch.tensor([[[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]]]),
        "head.bias": torch.zeros(1, 2),
    }
    kept = {"head": torch.tensor([[[False, True, False, False]]])}
    assert above(weights, torch.ones(1, 1, 4), kept).flatten().tolist() == pytest.approx([2 / 0.75, 0.0])
    assert above(weights, torch.ones(1, 1, 4)).flatten().tolist() == [10.0, 1.0], "all are seen when none is named"


def plain_training(steps: int) -> list[float]:
    """The losses of stochastic gradient descent on the network in plain torch, without dropout."""
    task = blobs("net", side=64)
    begun = initialise(backbone=CaffeNet(6, 10, 0.0), input_shape=(1, 64, 64), n_classes=4, ctx=Place())
    leaves = {name: nn.Parameter(tensor.double()) for name, tensor in begun.tensors.items()}
    own = torch.optim.SGD(leaves.values(), 0.01, 0.9)
    data, losses = task.split("train"), []
    for _ in range(steps):
        pictures = data.inputs.double().expand(-1, 3, -1, -1)
        loss = functional.cross_entropy(plain(leaves, pictures), data.labels)  # type: ignore[arg-type]  # parameters
        own.zero_grad()
        loss.backward()
        own.step()
        losses.append(loss.item())
    return losses


def test_without_dropout_it_trains_as_in_plain_torch() -> None:
    place = Place()
    train(
        task=blobs("net", side=64), backbone=CaffeNet(6, 10, 0.0), budget=Budget(steps=4, batch_size=40),
        optimiser=Optimiser(lr=0.01, schedule="constant"), numerics=Numerics(precision="float64"), ctx=place,
    )  # fmt: skip
    assert [value for _, value in place.curves["train/loss"]] == pytest.approx(plain_training(4), rel=1e-9)


def test_dropout_depends_on_seed_task_and_step_and_not_on_company() -> None:
    budget, task = Budget(steps=5, batch_size=10), blobs("net", side=64)
    stages = [train.bind(task=task, backbone=CaffeNet(6, 10), budget=budget, seed=seed) for seed in (0, 1, 2)]
    together = run_batch(stages, {})
    for stage, one in zip(stages, together, strict=True):
        assert same_bits(one.tensors, run_batch([stage], {})[0].tensors)
    plain_one = train(task=task, backbone=CaffeNet(6, 10, 0.0), budget=budget, seed=0, ctx=Place())
    assert not torch.equal(plain_one.tensors["head.weight"], together[0].tensors["head.weight"])
    rows = [evaluate(task=task, weights=together[0], backbone=CaffeNet(6, 10), ctx=Place()).rows for _ in range(2)]
    assert rows[0] == rows[1], "nothing is left out where the network is measured"


@pytest.mark.parametrize("pieces", [2, 3])
def test_more_micro_batches_leave_out_the_same_inputs(pieces: int) -> None:
    double, task = Numerics(precision="float64"), blobs("net", side=64)
    whole, parts = (
        train(task=task, backbone=CaffeNet(6, 10), budget=Budget(steps=4), numerics=double, ctx=Place(micro_batches=n))
        for n in (1, pieces)
    )
    for name, tensor in whole.tensors.items():
        torch.testing.assert_close(parts.tensors[name], tensor, rtol=1e-9, atol=1e-12)


def test_impossible_networks_are_one_sentence() -> None:
    for wrong in (lambda: CaffeNet(width=4), lambda: CaffeNet(hidden=0), lambda: CaffeNet(dropout=1.0)):
        with pytest.raises(HarnessError, match="caffenet: "):
            wrong()
    with pytest.raises(HarnessError, match="at least 63 × 63, not 32 × 32"):
        CaffeNet().build(2, (3, 32, 32), torch.Generator())
