"""A vision-language model of a few thousand random weights, and tasks of coloured squares for it."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import torch

from harness.backbones.clip import TOKENISER, Clip, TinyClip
from harness.graph import Weights
from harness.tasks.base import Split, Task
from harness.training.prompt_pretraining import train_tokeniser

WORDS = ("red", "green", "blue", "dark grey", "light", "square", "a photo of a", "stripes", "dots", "nothing at all")
MEAN, SPREAD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
SIZES = {"train": 24, "val": 12, "test": 24}


def tiny(**options: int) -> TinyClip:
    """A model of two blocks a tower for pictures of 8 pixels."""
    small = {
        "resolution": 8, "patch": 4, "width": 16, "depth": 2, "text_width": 16, "text_depth": 2, "heads": 2,
        "joint": 12, "vocabulary": 300, "length": 20,
    }  # fmt: skip
    return TinyClip(**{**small, **options})


@functools.cache
def random_weights(seed: int = 0) -> Weights:
    """Weights for `tiny()`: large enough for attention not to be flat."""
    model = tiny().fresh_model(torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed + 1)
    tensors = {
        name: tensor + 0.15 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in model.state_dict().items()
    }
    tensors["logit_scale"] = torch.tensor(2.0)
    tensors[TOKENISER] = torch.tensor(list(train_tokeniser(WORDS, 300).encode()), dtype=torch.uint8)
    return Weights(tensors, {"task": "random", "flags": []})


def clip() -> Clip:
    """The model, ready to run."""
    return tiny().load(random_weights().tensors)


def squares(name: str = "squares", classes: int = 3, *, sizes: dict[str, int] = SIZES) -> Task:
    """Pictures [3, 8, 8] of one noisy colour a class; as many in each class."""
    return Task(
        name=name,
        n_classes=classes,
        class_names=tuple(f"{WORDS[label]} {name}" for label in range(classes)),
        input_shape=(3, 8, 8),
        sizes=sizes,
        class_sizes={split: (size // classes,) * classes for split, size in sizes.items()},
        data={"squares": name, "classes": classes},
        load=functools.partial(load_squares, name, classes, sizes),
    )


def load_squares(name: str, classes: int, sizes: dict[str, int], split: str) -> Split:
    """Pictures around one colour a class, another draw for each name and split."""
    of_name = sum(map(ord, name))
    colours = torch.rand(classes, 3, 1, 1, generator=torch.Generator().manual_seed(of_name))
    labels = torch.arange(sizes[split]).remainder(classes)
    generator = torch.Generator().manual_seed(of_name + 1 + list(sizes).index(split))
    noise = 0.15 * torch.randn(len(labels), 3, 8, 8, generator=generator)
    return Split((colours[labels] + noise).clamp(0, 1), labels)


def save_model(path: Path, *, size: int = 32, patch: int = 16, layers: int = 2) -> Path:
    """Write a random CLIP as the library writes one, with a tokeniser."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    path.mkdir(parents=True, exist_ok=True)
    (path / "tokenizer.json").write_text(train_tokeniser(WORDS, 300), encoding="utf-8")
    common = {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4}
    config = transformers.CLIPConfig(
        text_config={**common, "intermediate_size": 64, "vocab_size": 300, "bos_token_id": 0, "eos_token_id": 1},
        vision_config={**common, "intermediate_size": 64, "image_size": size, "patch_size": patch},
        projection_dim=24,
    )
    transformers.CLIPModel(config).save_pretrained(path)
    seen = {"image_mean": MEAN, "image_std": SPREAD, "crop_size": {"height": size, "width": size}}
    (path / "preprocessor_config.json").write_text(json.dumps(seen), encoding="utf-8")
    return path
