"""The networks of torchvision: known without the library, and the library's own where it is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.backbones.torchvision import MODELS, Torchvision, torchvision
from harness.errors import HarnessError

HAS_LIBRARY = importlib.util.find_spec("torchvision") is not None
wants_library = pytest.mark.skipif(not HAS_LIBRARY, reason="torchvision is not installed")
SMALL = ("resnet18", "mnasnet1_0", "mobilenet_v2", "densenet121", "googlenet")


def test_all_is_known_without_the_library() -> None:
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from harness.backbones.torchvision import MODELS, Torchvision\n"
        "for name, known in MODELS.items():\n"
        "    made = Torchvision(name)\n"
        "    assert made.feature_width((3, known.size, known.size)) == known.width\n"
        "    assert made.identity()['options']['weights'] == 'IMAGENET1K_V1' and made.layers\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_identities_tell_networks_weights_and_sizes_apart_but_no_paths(tmp_path: Path) -> None:
    first, second = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    made = [
        torchvision("resnet50"), torchvision("resnet34"), torchvision("resnet50", "IMAGENET1K_V2"),
        torchvision("resnet50", resolution=64), torchvision("resnet50", file=str(first)),
        torchvision("resnet50", file=str(second)),
    ]  # fmt: skip
    texts = [str(one.identity()) for one in made]
    assert len(set(texts)) == len(made) and not any(str(tmp_path) in text for text in texts)


def test_other_sizes_than_the_weights_are_flagged_and_mistakes_are_told() -> None:
    assert Torchvision("inception_v3", resolution=224).check((3, 224, 224)) == ("off_size",)
    assert Torchvision("resnet50").check((3, 224, 224)) == ()
    with pytest.raises(HarnessError, match="no network 'resnet5'"):
        torchvision("resnet5")
    with pytest.raises(HarnessError, match="no weights file"):
        torchvision("resnet50", file="nowhere.pth")


@pytest.mark.skipif(HAS_LIBRARY, reason="torchvision is installed")
def test_without_the_library_building_says_what_to_install() -> None:
    with pytest.raises(HarnessError, match="needs the package 'torchvision"):
        Torchvision("resnet18").build(3, (3, 224, 224), torch.Generator())


@wants_library
@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_features_and_head_are_the_librarys(name: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torchvision.models import get_model

    torch.manual_seed(0)
    side = {"aux_logits": False, "init_weights": True, "transform_input": True} if name == "googlenet" else {}
    model = get_model(name, weights=None, **side).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.8, 1.2)
    path = tmp_path / "weights.safetensors"
    save_file({key: tensor.contiguous().clone() for key, tensor in model.state_dict().items()}, path)
    made = Torchvision(name, file=str(path), resolution=64)
    network = made.build(7, (3, 64, 64), torch.Generator().manual_seed(0))
    assert [child for child, _ in network.named_children()] == list(made.layers) and not list(network.buffers())
    images = torch.rand(2, 3, 64, 64)
    mean, spread = (torch.tensor(one)[:, None, None] for one in (made.expects.mean, made.expects.spread))
    published = made.published()
    logits = network[:-1](images) @ published["head.weight"].T + published["head.bias"]
    torch.testing.assert_close(logits, model((images - mean) / spread), rtol=1e-3, atol=1e-4)
    assert network(images).shape == (2, 7) and network[:-1](images).shape[1] == MODELS[name].width
