"""Training above copied layers: against a plain torch loop, cached against uncached, alone against in company."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.backbones.base import Backbone
from harness.backbones.small import Mlp
from harness.backbones.small_alexnet import SmallAlexNet
from harness.errors import HarnessError
from harness.graph import Features, Weights
from harness.training.data import Order, sample
from harness.training.features import extract_features
from harness.training.rules import STANDARD_NUMERICS, CheckpointRule, Numerics, Watch
from harness.training.settings import Budget, Optimiser
from harness.training.stages import initialise, train
from harness.training.transfer import adapt_layers
from tests.training.pictures import blobs
from tests.training.places import Place, run_batch, same_bits
from tests.training.toys import cloud

ALEX, MLP = SmallAlexNet(width=3, hidden=8), Mlp(hidden=6, depth=3)
BUDGET = Budget(steps=24, batch_size=10)
HOW = Optimiser(lr=0.05, schedule="step", milestones=(0.5, 0.75), clip=1.0, weight_decay=1e-3)
WATCH = Watch(("test",), 6)
DOUBLE = Numerics(precision="float64")


def source(backbone: Backbone = ALEX, numerics: Numerics = STANDARD_NUMERICS) -> Weights:
    task = blobs("source") if backbone is ALEX else cloud("source")
    return train(task=task, backbone=backbone, budget=BUDGET, optimiser=HOW, numerics=numerics, seed=1, ctx=Place())


def target(backbone: Backbone = ALEX):
    return blobs("target") if backbone is ALEX else cloud("target")


def settings(backbone: Backbone, init: Weights, copied: int, frozen: int, **more: Any) -> dict[str, Any]:
    return {
        "task": target(backbone), "init": init, "backbone": backbone, "copied": copied, "frozen": frozen,
        "budget": BUDGET, "optimiser": HOW, "watch": WATCH, "seed": 3, **more,
    }  # fmt: skip


def kept(backbone: Backbone, init: Weights, layers: int, split: str, nested: bool, numerics: Numerics) -> Features:
    """What the first layers put out, from the inputs or from layer to layer."""
    below: Features | None = None
    for number in range(1 if nested else layers, layers + 1):
        below = extract_features(
            task=target(backbone), split=split, weights=init, backbone=backbone, layer=backbone.layers[number - 1],
            below=below, dtype="float64" if numerics is DOUBLE else "float32", numerics=numerics, ctx=Place(),
        )  # fmt: skip
    assert below is not None
    return below


@pytest.mark.parametrize("numerics", [STANDARD_NUMERICS, DOUBLE], ids=["float32", "float64"])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(("backbone", "frozen"), [(ALEX, 1), (ALEX, 2), (ALEX, 4), (ALEX, 6), (ALEX, 7), (MLP, 2)])
def test_training_on_kept_features_is_training_with_the_layers_below(
    backbone: Backbone, frozen: int, nested: bool, numerics: Numerics
) -> None:
    """The frozen layers are run example by example either way, so not even the last bit of a weight differs."""
    init = source(backbone, numerics)
    call = settings(backbone, init, frozen, frozen, numerics=numerics)
    train_on, seen = (kept(backbone, init, frozen, split, nested, numerics) for split in ("train", "test"))
    cached = adapt_layers(**call, features=(train_on,), watched=(seen,), ctx=Place())
    computed = adapt_layers(**call, ctx=Place())
    for name, tensor in computed.tensors.items():
        torch.testing.assert_close(cached.tensors[name], tensor, rtol=1e-6, atol=1e-8)
    assert cached.header["curves"] == computed.header["curves"]


def drawn(backbone: Backbone, copied: int) -> dict[str, Tensor]:
    """The first weights above the cut: those of a training that does not move."""
    still = adapt_layers(
        **{**settings(backbone, source(backbone), copied, copied), "optimiser": Optimiser(lr=0.0)}, ctx=Place()
    )
    return dict(still.tensors)


def plain_loop(backbone: Backbone, init: Weights, copied: int, frozen: int) -> tuple[nn.Sequential, dict[int, float]]:
    """Layer transfer with torch's own parts in double precision; the network, and its accuracy at each evaluation."""
    task, examples = target(backbone), Place()
    data, test = sample(task, ("train",), "all", 3, examples), task.split("test")
    network = backbone.build(task.n_classes, task.input_shape, torch.Generator())
    below = [f"{layer}." for layer in backbone.layers[:copied]]
    given = {name: tensor for name, tensor in init.tensors.items() if name.startswith(tuple(below))}
    network.load_state_dict({**drawn(backbone, copied), **given})
    network.double()
    for layer in network[:frozen]:
        layer.requires_grad_(False)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    own = torch.optim.SGD(learning, HOW.lr, HOW.momentum, weight_decay=HOW.weight_decay)
    steps = torch.optim.lr_scheduler.MultiStepLR(own, [12, 18], gamma=0.1)
    order, seen = Order(len(data), BUDGET.batch_size, 3, task.name), {}
    for step in range(BUDGET.steps):
        chosen = order.at(step)
        own.zero_grad()
        nn.functional.cross_entropy(network(data.inputs[chosen].double()), data.labels[chosen]).backward()
        nn.utils.clip_grad_norm_(learning, HOW.clip)
        own.step()
        steps.step()
        if (step + 1) % 6 == 0:
            seen[step + 1] = float((network(test.inputs.double()).argmax(1) == test.labels).double().mean())
    return network, seen


@pytest.mark.parametrize(
    ("backbone", "copied", "frozen"), [(ALEX, 2, 2), (ALEX, 6, 6), (ALEX, 3, 0), (ALEX, 4, 2), (MLP, 1, 1), (MLP, 3, 0)]
)
def test_layer_transfer_is_a_plain_torch_loop(backbone: Backbone, copied: int, frozen: int) -> None:
    init = source(backbone)
    expected, curve = plain_loop(backbone, init, copied, frozen)
    got = adapt_layers(**settings(backbone, init, copied, frozen, numerics=DOUBLE), ctx=Place())
    learnt = {name for name, parameter in expected.named_parameters() if parameter.requires_grad}
    assert set(got.tensors) == learnt
    for name, tensor in got.tensors.items():
        torch.testing.assert_close(tensor, dict(expected.named_parameters())[name].detach(), rtol=1e-9, atol=1e-11)
    assert dict(map(tuple, got.header["curves"]["test"])) == pytest.approx(curve)
    assert got.header["kept"]["test"] == pytest.approx(curve[24]) and got.header["n_eval"] == {
        "test": len(target(backbone).split("test"))
    }


def test_treatments_of_one_target_depth_and_seed_begin_with_the_same_layers_above() -> None:
    """Frozen or not, and from whatever source; another depth or seed, and the source's own first weights, differ."""
    still = Optimiser(lr=0.0)

    def begun(init: Weights, copied: int, frozen: int, seed: int = 3) -> dict[str, Tensor]:
        call = {**settings(ALEX, init, copied, frozen), "optimiser": still, "seed": seed}
        made = adapt_layers(**call, ctx=Place())
        return {name: tensor for name, tensor in made.tensors.items() if name.split(".")[0] in ALEX.layers[copied:]}

    own = train(task=target(), backbone=ALEX, budget=BUDGET, optimiser=still, seed=3, ctx=Place())
    frozen = begun(source(), 3, 3)
    assert same_bits(frozen, begun(source(), 3, 0)) and same_bits(frozen, begun(own, 3, 3))
    assert not torch.equal(frozen["head.weight"], begun(source(), 4, 4)["head.weight"])
    assert not torch.equal(frozen["head.weight"], begun(source(), 3, 3, seed=4)["head.weight"])
    assert not torch.equal(frozen["fc6.1.weight"], own.tensors["fc6.1.weight"])


def test_preserved_layers_are_copied_and_trained_on() -> None:
    init = source()
    still = adapt_layers(**{**settings(ALEX, init, 4, 2), "optimiser": Optimiser(lr=0.0)}, ctx=Place())
    moved = adapt_layers(**settings(ALEX, init, 4, 2), ctx=Place())
    for name in ("conv3.0.weight", "conv4.0.weight"):
        assert torch.equal(still.tensors[name], init.tensors[name]) and not torch.equal(
            moved.tensors[name], init.tensors[name]
        )
    assert not torch.equal(still.tensors["conv5.0.weight"], init.tensors["conv5.0.weight"])
    assert not any(name.startswith(("conv1", "conv2")) for name in still.tensors)


def test_company_changes_no_bit() -> None:
    """Different sources, seeds and rates in one batch, above kept features; one of them diverges."""
    inits = [source(), initialise(backbone=ALEX, input_shape=(1, 16, 16), n_classes=4, seed=5, ctx=Place())]
    features = [[kept(ALEX, init, 6, split, True, STANDARD_NUMERICS) for split in ("train", "test")] for init in inits]
    stages, results, alone = [], {}, []
    for place, (rate, seed) in enumerate([(0.05, 0), (0.02, 1), (1e30, 2), (0.05, 3)]):
        init, (on, seen) = inits[place % 2], features[place % 2]
        call = {**settings(ALEX, init, 6, 6), "optimiser": Optimiser(lr=rate), "seed": seed}
        given = {"init": init, "features": on, "watched": seen}
        described = {
            "init": train.bind(task=blobs(f"source{place}"), backbone=ALEX),
            "features": extract_features.bind(task=blobs(f"features{place}"), split="train"),
            "watched": extract_features.bind(task=blobs(f"watched{place}"), split="test"),
        }
        results |= {described[name].key: given[name] for name in described}
        stages.append(adapt_layers.bind(**{
            **call, "init": described["init"], "features": (described["features"],), "watched": (described["watched"],)
        }))  # fmt: skip
        if rate < 1:
            alone.append((place, run_batch(stages[-1:], results)[0]))
    assert len({stage.group() for stage in stages}) == 1
    together = run_batch(stages, results)
    for place, one in alone:
        assert same_bits(one.tensors, together[place].tensors) and one.header == together[place].header
    assert isinstance(together[2], Exception) and "not finite" in str(together[2])


@pytest.mark.parametrize("cached", [True, False])
def test_the_best_weights_are_chosen_on_validation_and_scored_where_they_were_kept(cached: bool) -> None:
    init, rule = source(MLP), CheckpointRule(keep="best", on="val", every=4)
    given = {"features": "train", "watched": "test", "choosing": "val"}
    made = {name: kept(MLP, init, 2, split, True, STANDARD_NUMERICS) for name, split in given.items()}
    more = {name: one if name == "choosing" else (one,) for name, one in made.items()} if cached else {}
    place = Place()
    got = adapt_layers(**settings(MLP, init, 2, 2, rule=rule), **more, ctx=place)
    seen = dict(place.curves["val/accuracy"])
    best = min(step for step, value in seen.items() if value == max(seen.values()))
    assert got.header["kept_step"] == best and set(seen) == {4, 6, 8, 12, 16, 18, 20, 24}
    assert [step for step, _ in got.header["curves"]["test"]] == [6, 12, 18, 24]
    network = MLP.build(3, (5,), torch.Generator())
    network.load_state_dict({**init.tensors, **got.tensors})
    test = target(MLP).split("test")
    by_hand = float((network(test.inputs).argmax(1) == test.labels).double().mean())
    assert got.header["kept"]["test"] == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("copied", "frozen", "sentence"),
    [
        (2, 3, "3 layers cannot be frozen where 2 are copied"),
        (8, 0, "8 cannot be copied"),
        (8, 8, "8 cannot be copied"),
    ],
)
def test_what_cannot_be_is_one_sentence(copied: int, frozen: int, sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        adapt_layers(**settings(ALEX, source(), copied, frozen), ctx=Place())
