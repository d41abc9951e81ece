"""EfficientNet-Lite: the published shapes, the arithmetic of its layers and, with the weights, known answers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.backbones.base import HEAD
from harness.backbones.efficientnet_lite import (
    NORM_EPSILON,
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
    blocks_of,
    converted,
    efficientnet_lite0,
)
from harness.backbones.inputs import OFF_SIZE
from harness.backbones.layered import activations, features, forward_from
from harness.backbones.pretrained import with_published
from harness.errors import HarnessError
from harness.registry import BACKBONES
from harness.training.networks import StackedNetwork, fresh, stack

RANDOM = EfficientNetLite0(weights="none", resolution=64)


def small() -> nn.Sequential:
    return RANDOM.build(5, (3, 64, 64), torch.Generator().manual_seed(3)).eval()


def pictures(count: int = 2, size: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("cls", "blocks", "parameters"),
    [(EfficientNetLite0, 16, 4_652_008), (EfficientNetLite1, 21, 5_416_680), (EfficientNetLite2, 21, 6_092_072)],
)
def test_variants_have_the_published_size(cls: type[EfficientNetLite0], blocks: int, parameters: int) -> None:
    backbone = cls(weights="none")
    network = backbone.build(1000, (3, backbone.expects.size, backbone.expects.size), torch.Generator())
    assert len(backbone.blocks) == blocks
    assert sum(tensor.numel() for tensor in network.parameters()) == parameters
    assert tuple(name for name, _ in network.named_children()) == backbone.layers
    assert list(network.named_buffers()) == []


def test_channels_are_rounded_to_eights() -> None:
    assert [block.out for block in blocks_of(1.1, 1.2)][::3] == [16, 24, 48, 88, 120, 208, 208]
    assert blocks_of(1.1, 1.2)[-1].out == 352
    assert blocks_of(1.0, 1.0)[0].expand == 1


def test_layers_halve_the_picture_where_the_blocks_say() -> None:
    seen = activations(small(), pictures(), RANDOM.layers[:-1])
    sides = {name: tensor.shape[-1] for name, tensor in seen.items() if tensor.ndim == 4}
    assert (sides["stem"], sides["block2"], sides["block4"], sides["block6"], sides["block16"]) == (32, 16, 8, 4, 2)
    assert seen["top"].shape == (2, 1280) == (2, RANDOM.feature_width((3, 64, 64)))


def test_any_layer_can_be_gone_on_from() -> None:
    network, inputs = small(), pictures()
    whole = network(inputs)
    for layer, outputs in activations(network, inputs, RANDOM.layers).items():
        if layer != HEAD:
            assert torch.equal(forward_from(network, layer, outputs), whole)
    assert torch.equal(network[-1](features(network, inputs)), whole)


def test_examples_are_computed_by_themselves() -> None:
    network, inputs = small(), pictures(4)
    torch.testing.assert_close(network(inputs)[:1], network(inputs[:1]), rtol=1e-4, atol=1e-5)


def test_one_channel_is_seen_as_grey() -> None:
    grey = pictures()[:, :1]
    network = small()
    torch.testing.assert_close(network(grey), network(grey.expand(-1, 3, -1, -1)))


def test_layers_below_the_head_do_not_depend_on_the_classes() -> None:
    few, many = (RANDOM.build(count, (3, 64, 64), torch.Generator().manual_seed(0)).state_dict() for count in (2, 9))
    assert all(torch.equal(few[name], many[name]) for name in few if not name.startswith(HEAD))


def test_runs_as_one_tensor_program() -> None:
    members = [fresh(RANDOM, 3, (3, 64, 64), torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    together = StackedNetwork(RANDOM, (3, 64, 64), 3)(stack(members), torch.stack([pictures(), pictures()]))
    for place, parameters in enumerate(members):
        alone = torch.func.functional_call(RANDOM.build(3, (3, 64, 64), torch.Generator()), parameters, (pictures(),))
        torch.testing.assert_close(together[place], alone, rtol=1e-3, atol=1e-4)


def test_batch_norm_becomes_gain_and_shift() -> None:
    """A published state of random numbers, run by torch's own convolution and batch norm, in the published order."""
    generator = torch.Generator().manual_seed(0)
    state = published_state(generator)
    network = with_published(small(), {**converted(state), **fresh_head()}, head=True)
    conv = nn.functional.conv2d
    seen = (pictures() * 255 - 127) / 128
    padded = nn.functional.pad(seen, (0, 1, 0, 1))
    expected = nn.functional.relu6(normed(conv(padded, state["_conv_stem.weight"], stride=2), state, "_bn0"))
    stem = activations(network, pictures(), ["stem", "block1"])
    torch.testing.assert_close(stem["stem"], expected, rtol=1e-4, atol=1e-5)
    deep = conv(expected, state["_blocks.0._depthwise_conv.weight"], padding=1, groups=32)
    deep = nn.functional.relu6(normed(deep, state, "_blocks.0._bn1"))
    deep = normed(conv(deep, state["_blocks.0._project_conv.weight"]), state, "_blocks.0._bn2")
    torch.testing.assert_close(stem["block1"], deep, rtol=1e-4, atol=1e-5)


def normed(inputs: torch.Tensor, state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    mean, variance, weight, bias = (
        state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return nn.functional.batch_norm(inputs, mean, variance, weight, bias, training=False, eps=NORM_EPSILON)


def fresh_head() -> dict[str, torch.Tensor]:
    return {f"{HEAD}.weight": torch.zeros(5, 1280), f"{HEAD}.bias": torch.zeros(5)}


def published_state(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Random tensors under the names and in the shapes of the published file, for the small network."""
    state: dict[str, torch.Tensor] = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    old_names = {"stem.conv": ("_conv_stem", "_bn0"), "top.conv": ("_conv_head", "_bn1")}
    parts = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    parts["project"] = ("_project_conv", "_bn2")
    for name, tensor in small().named_parameters():
        owner, kind = name.rsplit(".", 1)
        if owner == HEAD or kind != "weight":
            continue
        if owner in old_names:
            conv, norm = old_names[owner]
        else:
            block, part = owner.split(".")
            conv, norm = (f"_blocks.{int(block.removeprefix('block')) - 1}.{old}" for old in parts[part])
        out = tensor.shape[0]
        state[f"{conv}.weight"] = torch.randn(tensor.shape, generator=generator) * 0.1
        state[f"{norm}.weight"] = torch.rand(out, generator=generator) + 0.5
        state[f"{norm}.bias"] = torch.randn(out, generator=generator)
        state[f"{norm}.running_mean"] = torch.randn(out, generator=generator)
        state[f"{norm}.running_var"] = torch.rand(out, generator=generator) + 0.1
    return state


def test_another_size_is_refused_unless_said() -> None:
    with pytest.raises(HarnessError, match=r"used at 224 × 224, the images are 96 × 96.*resolution: 96"):
        efficientnet_lite0().feature_width((3, 96, 96))
    with pytest.raises(HarnessError, match="must be square"):
        EfficientNetLite0().check((3, 224, 96))
    with pytest.raises(HarnessError, match="one or three channels"):
        EfficientNetLite0().check((64,))
    assert EfficientNetLite0().check((3, 224, 224)) == ()
    assert EfficientNetLite0(resolution=96).check((1, 96, 96)) == (OFF_SIZE,)
    with pytest.raises(HarnessError, match="at least 32"):
        EfficientNetLite0(resolution=8)


def test_absent_weights_are_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    with pytest.raises(HarnessError, match="harness data fetch efficientnet_lite0"):
        EfficientNetLite0().published()
    with pytest.raises(HarnessError, match="no published weights"):
        RANDOM.published()


def test_identity_tells_options_apart_and_no_path() -> None:
    made = BACKBONES.get("efficientnet_lite0")(resolution=96)
    assert made.identity() == {
        "backbone": "efficientnet_lite0", "version": 1, "options": {"weights": "imagenet", "resolution": 96},
    }  # fmt: skip
    assert made == EfficientNetLite0(resolution=96) != EfficientNetLite0()


# --- with the published weights -------------------------------------------------------------------------------------

EGYPTIAN_CAT, TIGER_CAT, ESPRESSO, MISSILE = 285, 282, 967, 657


def sample(name: str, size: int) -> torch.Tensor:
    """One of scikit-image's sample pictures: its middle square, resized (bicubic), [1, 3, size, size] from 0 to 1."""
    import numpy as np
    from PIL import Image, ImageOps

    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-image, whose sample pictures this shows, is not installed")
    picture = Image.open(Path(spec.origin).parent / "data" / name).convert("RGB")
    fitted = np.array(ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC))
    return torch.from_numpy(fitted).permute(2, 0, 1).unsqueeze(0).float() / 255


@pytest.mark.packaged
@pytest.mark.parametrize("cls", [EfficientNetLite0, EfficientNetLite1, EfficientNetLite2])
def test_published_weights_know_the_cat_and_the_coffee(cls: type[EfficientNetLite0]) -> None:
    backbone = cls()
    size = backbone.expects.size
    network = backbone.build(1000, (3, size, size), torch.Generator()).eval()
    with_published(network, backbone.published(), head=True)
    with torch.no_grad():
        cat = network(sample("chelsea.png", size)).softmax(-1)[0]
        coffee = network(sample("coffee.png", size)).softmax(-1)[0]
        rocket = network(sample("rocket.jpg", size)).softmax(-1)[0]
    assert int(coffee.argmax()) == ESPRESSO
    assert set(cat.topk(2).indices.tolist()) == {EGYPTIAN_CAT, TIGER_CAT}
    if cls is EfficientNetLite0:
        assert int(cat.argmax()) == EGYPTIAN_CAT and int(rocket.argmax()) == MISSILE
        found = [float(cat[EGYPTIAN_CAT]), float(cat[TIGER_CAT]), float(coffee[ESPRESSO]), float(rocket[MISSILE])]
        assert found == pytest.approx([0.38, 0.33, 0.94, 0.22], abs=0.06)


@pytest.mark.packaged
def test_built_network_has_the_published_body() -> None:
    backbone = EfficientNetLite0(resolution=64)
    network = backbone.build(3, (3, 64, 64), torch.Generator())
    published = backbone.published()
    assert published[f"{HEAD}.weight"].shape == (1000, 1280)
    for name, tensor in network.named_parameters():
        assert name.startswith(HEAD) or torch.equal(tensor, published[name])
