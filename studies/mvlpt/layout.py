"""Write what paper.yaml reads, in the real layout but without the real data: to plan the study, and to rehearse it.

    python studies/mvlpt/layout.py FOLDER [--layers 2] [--pictures 25]

makes FOLDER/elevater (the twenty tasks of ELEVATER, a few coloured pictures a class), FOLDER/coop (eleven folders of
pictures) and FOLDER/clip-vit-base-patch16 (a CLIP of the real widths with random weights and fewer blocks). Then,
in FOLDER, `harness plan .../studies/mvlpt/paper.yaml`. Nothing that comes out of such data means anything.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

from harness.tasks.elevater import KNOWN, MULTI_LABEL

COOP = (
    "imagenet", "caltech-101", "food101", "stanford_cars", "oxford_pets", "oxford_flowers", "fgvc_aircraft", "sun397",
    "dtd", "eurosat", "ucf101",
)  # fmt: skip
COOP_CLASSES = 5
WORDS = ("a photo of a", *(f"class {number}" for number in range(30)))
SIDE = 8


def main() -> None:
    """Write the folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=2, help="blocks of each tower (the real one has 12)")
    parser.add_argument("--pictures", type=int, default=25, help="pictures of each class in train")
    given = parser.parse_args()
    write_elevater(given.folder / "elevater", given.pictures)
    write_coop(given.folder / "coop", given.pictures)
    write_clip(given.folder / "clip-vit-base-patch16", given.layers)


def write_elevater(root: Path, pictures: int) -> None:
    """Write the index files, class names and zip files of the twenty tasks, two test pictures a class."""
    for name, known in KNOWN.items():
        place = root / "classification" / known.folder
        place.mkdir(parents=True, exist_ok=True)
        classes = [f"class {number} of {name}" for number in range(known.classes)]
        (place / "labels.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
        for split, count in (("train", pictures), ("test", 2)):
            lines = []
            with zipfile.ZipFile(place / f"{split}.zip", "w") as file:
                for label in range(known.classes):
                    for number in range(count):
                        member = f"{split}/{label}_{number}.png"
                        file.writestr(member, picture(label * 1000 + number))
                        more = f",{(label + 1) % known.classes}" if known.metric == MULTI_LABEL and number % 2 else ""
                        lines.append(f"{split}.zip@{member} {label}{more}")
            (place / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_coop(root: Path, pictures: int) -> None:
    """Write eleven folders of pictures, five classes each."""
    for name in COOP:
        for split, count in (("train", pictures), ("test", 2)):
            for label in range(COOP_CLASSES):
                place = root / name / split / f"class {label} of {name}"
                place.mkdir(parents=True, exist_ok=True)
                for number in range(count):
                    (place / f"{number}.png").write_bytes(picture(label * 1000 + number))


def picture(seed: int) -> bytes:
    """Return a PNG of one colour."""
    from PIL import Image

    held = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (seed * 37 % 256, seed * 91 % 256, seed * 53 % 256)).save(held, "PNG")
    return held.getvalue()


def write_clip(folder: Path, layers: int) -> None:
    """Write a CLIP of ViT-B/16's widths with random weights and a small vocabulary, as the library writes one."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    from harness.training.prompt_pretraining import train_tokeniser

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(train_tokeniser(WORDS, 400), encoding="utf-8")
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={"num_hidden_layers": layers, "vocab_size": 400, "bos_token_id": 0, "eos_token_id": 1},
        vision_config={"num_hidden_layers": layers, "patch_size": 16},
    )
    CLIPModel(config).save_pretrained(folder)


if __name__ == "__main__":
    main()
