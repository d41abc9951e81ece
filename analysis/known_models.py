"""What is known of common backbones before any transfer: size and ImageNet accuracy, for baselines of estimators."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from types import MappingProxyType


@cache
def known_models() -> MappingProxyType[str, MappingProxyType[str, float]]:
    """Model name -> ``imagenet_top1`` (fraction) and ``size_rank`` (1 is the largest), as far as known.

    Sources are in the comment lines of ``data/models.csv``.
    """
    text = resources.files("analysis").joinpath("data/models.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = {}
    for row in csv.DictReader(lines):
        numbers = {key: float(row[key]) for key in ("imagenet_top1", "size_rank") if row[key]}
        found[row["model"]] = MappingProxyType(numbers)
    return MappingProxyType(found)


def canonical(name: str) -> str:
    """The spelling under which a model is known: "ResNet-50" and "resnet_50" are "resnet50"."""
    plain = "".join(c for c in name.lower() if c.isalnum())
    by_plain = {"".join(c for c in known.lower() if c.isalnum()): known for known in known_models()}
    return by_plain.get(plain, name)
