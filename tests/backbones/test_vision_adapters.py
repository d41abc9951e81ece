"""Adapters to image libraries: transformers on tiny random models, timm and open_clip on stand-ins."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from harness.backbones.inputs import OFF_SIZE, ImageInput
from harness.backbones.layered import features
from harness.backbones.open_clip import OpenClip, open_clip
from harness.backbones.timm import Timm, timm
from harness.backbones.transformers_vision import TransformersVision, transformers_vision
from harness.backbones.vision_towers import image_input
from harness.errors import HarnessError
from harness.training.networks import fresh


def pictures(size: int) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


# --- transformers ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
    )
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(path)
    means = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "size": {"height": 32, "width": 32}}
    (path / "preprocessor_config.json").write_text(json.dumps(means), encoding="utf-8")
    return path


def test_vit_gives_the_librarys_first_token(vit: Path) -> None:
    transformers = pytest.importorskip("transformers")
    backbone = TransformersVision(str(vit))
    network = backbone.build(3, (3, 32, 32), torch.Generator()).eval()
    mean, spread = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    seen = (pictures(32) - mean[:, None, None]) / spread[:, None, None]
    with torch.no_grad():
        expected = transformers.AutoModel.from_pretrained(vit, add_pooling_layer=False).eval()(seen).last_hidden_state
        torch.testing.assert_close(features(network, pictures(32)), expected[:, 0], rtol=1e-4, atol=1e-5)
    assert backbone.layers == ("embeddings", "layer1", "layer2", "pool", "head")
    assert set(fresh(backbone, 3, (3, 32, 32), torch.Generator())) > set(backbone.published())


def test_vit_at_another_size_stretches_its_positions_and_says_so(vit: Path) -> None:
    backbone = TransformersVision(str(vit), resolution=48)
    assert backbone.check((3, 48, 48)) == (OFF_SIZE,)
    assert features(backbone.build(3, (3, 48, 48), torch.Generator()), pictures(48)).shape == (2, 16)
    with pytest.raises(HarnessError, match=r"used at 32 × 32.*resolution: 48"):
        TransformersVision(str(vit)).check((3, 48, 48))
    assert transformers_vision(str(vit)).identity() != backbone.identity()


def test_other_architectures_are_one_tower(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
    transformers.ResNetModel(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"crop_size": 32}), encoding="utf-8")
    backbone = TransformersVision(str(tmp_path))
    assert backbone.layers == ("tower", "head")
    assert features(backbone.build(3, (3, 32, 32), torch.Generator()), pictures(32)).shape == (2, 12)
    with pytest.raises(HarnessError, match="keeps state beside its parameters"):
        fresh(backbone, 3, (3, 32, 32), torch.Generator())


def test_sizes_are_read_as_libraries_write_them() -> None:
    half = (0.5, 0.5, 0.5)
    expected = ImageInput(224, half, half)
    for size in (224, {"height": 224, "width": 224}, {"shortest_edge": 224}, (3, 224, 224), [224, 224]):
        assert image_input(size, half, half, "x") == expected
    with pytest.raises(HarnessError, match="cannot be understood"):
        image_input(None, half, half, "x")


# --- timm and open_clip ---------------------------------------------------------------------------------------------


class StandIn(nn.Module):
    """A network with the interface of timm's."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images)

    def forward_head(self, feature_map: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        assert pre_logits
        return feature_map.mean((2, 3))


def weighted(value: float) -> StandIn:
    made = StandIn()
    nn.init.constant_(made.conv.weight, value)
    nn.init.zeros_(made.conv.bias)
    return made


def stand_in_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("timm")
    settings = SimpleNamespace(input_size=(3, 8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    module.get_pretrained_cfg = lambda name: settings if name == "net.tag" else None
    module.create_model = lambda name, pretrained, num_classes: weighted(1.0 if pretrained else 0.0)
    monkeypatch.setitem(sys.modules, "timm", module)


def test_timm_by_tagged_name(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_timm(monkeypatch)
    backbone = Timm("net.tag")
    network = backbone.build(3, (3, 8, 8), torch.Generator())
    expected = pictures(8).sum(1).mean((1, 2)).unsqueeze(1).expand(2, 4)
    torch.testing.assert_close(features(network, pictures(8)), expected)
    assert backbone.layers == ("tower", "pool", "head") and backbone.feature_width((3, 8, 8)) == 4
    assert backbone.check((3, 8, 8)) == () and Timm("net.tag", resolution=16).check((3, 16, 16)) == (OFF_SIZE,)
    with pytest.raises(HarnessError, match=r"no model 'nut\.tag'"):
        Timm("nut.tag").check((3, 8, 8))


def test_timm_from_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_timm(monkeypatch)
    path, other = tmp_path / "w.safetensors", tmp_path / "other.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in weighted(2.0).state_dict().items()}, str(path))
    save_file({"conv.weight": torch.zeros(4, 3, 1, 1)}, str(other))
    found = Timm("net.tag", str(path)).published()
    assert all(bool((tensor == 2.0).all()) for name, tensor in found.items() if name.endswith("weight"))
    assert timm("net.tag", str(path)).identity() != timm("net.tag").identity()
    assert str(tmp_path) not in json.dumps(timm("net.tag", str(path)).identity())
    with pytest.raises(HarnessError, match=r"has no tensor 'conv\.bias'"):
        Timm("net.tag", str(other)).build(2, (3, 8, 8), torch.Generator())
    with pytest.raises(HarnessError, match="needs the tag"):
        timm("resnet18")
    with pytest.raises(HarnessError, match="no weights file"):
        timm("net.tag", str(tmp_path / "gone.safetensors"))


class Tower(nn.Module):
    """Stands for a CLIP model: an image tower beside another."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5, bias=False))
        nn.init.constant_(self.visual[1].weight, value)


def test_open_clip_towers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("open_clip")
    config = {"embed_dim": 5, "vision_cfg": {"image_size": 8}}
    module.get_model_config = lambda name: config if name == "tiny" else None
    module.create_model = lambda name, pretrained, **size: Tower(1.0 if pretrained else 0.0)
    monkeypatch.setitem(sys.modules, "open_clip", module)
    backbone = OpenClip("tiny", "some_tag")
    seen = features(backbone.build(2, (3, 8, 8), torch.Generator()), pictures(8))
    mean, spread = (torch.tensor(values)[:, None, None] for values in (backbone.expects.mean, backbone.expects.spread))
    expected = ((pictures(8) - mean) / spread).flatten(1).sum(1, keepdim=True).expand(2, 5)
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-4)
    assert backbone.feature_width((3, 8, 8)) == 5 and backbone.layers == ("tower", "head")
    path = tmp_path / "clip.safetensors"
    save_file(Tower(3.0).state_dict(), str(path))
    local = OpenClip("tiny", str(path))
    assert all(bool((tensor == 3.0).all()) for tensor in local.published().values())
    assert open_clip("tiny", str(path)).identity() != backbone.identity()
    with pytest.raises(HarnessError, match="no model 'huge'"):
        OpenClip("huge", "tag").check((3, 8, 8))
    with pytest.raises(HarnessError, match="no weights file"):
        open_clip("tiny", "gone.safetensors")


@pytest.mark.parametrize(
    ("make", "name"), [(lambda: Timm("net.tag"), "timm"), (lambda: OpenClip("a", "b"), "open_clip")]
)
def test_absent_libraries_are_named(make: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(HarnessError, match=f"^{name} needs the package '{name}'"):
        make().check((3, 8, 8))
