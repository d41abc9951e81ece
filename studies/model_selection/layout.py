"""Write what the paper_*.yaml read beside ELEVATER, in the real layout but without the real data: to plan them.

    python studies/mvlpt/layout.py FOLDER             # the data of ELEVATER, for paper_sfda.yaml and paper_ped.yaml
    python studies/model_selection/layout.py FOLDER

makes FOLDER/<data set> (a few pictures of one colour in each of five classes) and FOLDER/ssl/<method>.safetensors
(files that hold no weights). Nothing can be run on them.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

DATA = (
    "aircraft", "caltech101", "cifar10", "cub200", "dtd", "food101", "imagenet", "oxford102flowers", "oxfordiiitpets",
    "stanfordcars", "stanforddogs", "sun397",
)  # fmt: skip
METHODS = (
    "byol", "deepcluster-v2", "infomin", "insdis", "moco-v1", "moco-v2", "pcl-v1", "pcl-v2", "sela-v2", "simclr-v1",
    "simclr-v2", "swav",
)  # fmt: skip
CLASSES = 5
PICTURES = 8
SIDE = 8


def main() -> None:
    """Write the folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    for name in DATA:
        write_pictures(folder / name)
    write_weights(folder / "ssl")


def write_pictures(root: Path) -> None:
    """Write eight pictures of each of five classes to train, two to test."""
    from PIL import Image

    for split, count in (("train", PICTURES), ("test", 2)):
        for label in range(CLASSES):
            place = root / split / f"class {label} of {root.name}"
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                held = io.BytesIO()
                Image.new("RGB", (SIDE, SIDE), (40 * label, 20 * number, 90)).save(held, "PNG")
                (place / f"{number}.png").write_bytes(held.getvalue())


def write_weights(folder: Path) -> None:
    """Write one safetensors file a method that holds its name and no weights."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for method in METHODS:
        save_file({"nothing": torch.zeros(1)}, str(folder / f"{method}.safetensors"), metadata={"method": method})


if __name__ == "__main__":
    main()
