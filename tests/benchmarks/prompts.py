"""What each way of sparing work is worth when prompts are learned: time a step without it over time with it.

    python tests/benchmarks/prompts.py [--width 512] [--blocks 12] [--classes 50] [--members 10]
    python tests/benchmarks/prompts.py --device cuda --bfloat16 --width 768 --text-width 512 --blocks 12 \
        --resolution 224 --patch 16 --classes 47 --members 20 --peak 989        (the shapes of ViT-B/16 on an H100)

Random weights: only shapes matter. Times are processor seconds of one thread, or until a GPU is done, the least of a
few repetitions. Beside stacked steps stands how many operations (matrix products) a second they do, with --peak as a
share of that many TFLOP/s, and how many cells a minute, stacked and one at a time, of --steps steps each (5,540 is the
mean of the twenty tasks at 20 examples a class and 200 passes; what validates and tests a prompt is left out).

- cached pictures: CoOp reads embeddings; without, it encodes the batch's pictures at every step.
- constant texts: VPT reads the classes' embeddings; without, it encodes the classes at every step.
- shared beginning: the tokens ahead of the class names are encoded once, not once a class.
- stacked: several trials in one tensor program, a trial; without, one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.backbones.clip import TOKENISER, Clip, TinyClip, with_weights
from harness.backbones.clip_towers import encode_picture_tokens, encode_text_embeddings
from harness.training.networks import stack
from harness.training.prompt_forward import initial, lay_out, logits
from harness.training.prompt_pretraining import train_tokeniser
from harness.training.prompt_settings import Prompt

BATCH = 32
Step = Callable[[], object]


class Steps:
    """Steps of learning and encoding through one model of random weights."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.names = [f"class {number}" for number in range(given.classes)]
        self.clip = random_clip(given, self.names)
        draw = torch.Generator().manual_seed(0)
        side, joint = given.resolution, self.clip.joint
        self.pictures = torch.rand(BATCH, 3, side, side, generator=draw).to(given.device)
        unit = torch.nn.functional.normalize
        self.features = unit(torch.randn(BATCH, joint, generator=draw), dim=1).to(given.device)
        self.texts = unit(torch.randn(given.classes, joint, generator=draw), dim=1).to(given.device)

    def learning(self, prompt: Prompt, members: int, share: bool | None = None) -> Step:
        """One step of several prompts: logits of a batch, and the gradients of their loss."""
        drawn = [
            initial(prompt, self.clip, len(self.names), torch.Generator().manual_seed(seed)) for seed in range(members)
        ]
        own = {name: tensor.to(self.given.device).requires_grad_() for name, tensor in stack(drawn).items()}
        with torch.no_grad():
            seen = self.clip.tokens_of(self.pictures) if prompt.of_pictures else self.features
            classes = lay_out(self.clip, self.names, prompt) if prompt.of_text else self.texts
        inputs = seen.expand(members, *seen.shape)

        def step() -> object:
            scores = logits(prompt, self.clip, own, inputs, classes, share=share)
            return torch.autograd.grad(scores.float().log_softmax(-1).mean(), list(own.values()))

        return step

    @torch.no_grad()
    def encode_pictures(self) -> object:
        """Encode the pictures of a batch."""
        return encode_picture_tokens(self.clip.model, self.clip.tokens_of(self.pictures))

    @torch.no_grad()
    def encode_texts(self) -> object:
        """Encode the classes' texts."""
        laid = lay_out(self.clip, self.names, Prompt("coop", context=4))
        return encode_text_embeddings(self.clip.model, laid.embedded, laid.texts.ends)

    def seconds(self, step: Step) -> float:
        """Least time of one call, the first not counted."""
        gpu = self.given.device != "cpu"
        clock = time.perf_counter if gpu else time.process_time
        taken = []
        for _ in range(self.given.repetitions):
            begun = clock()
            step()
            if gpu:
                torch.cuda.synchronize()
            taken.append(clock() - begun)
        return min(taken[1:])


def random_clip(given: argparse.Namespace, names: list[str]) -> Clip:
    """A CLIP of the sizes asked for, with random weights."""
    text_width = given.text_width or given.width
    backbone = TinyClip(
        resolution=given.resolution,
        patch=given.patch,
        width=given.width,
        depth=given.blocks,
        text_width=text_width,
        text_depth=given.blocks,
        heads=max(4, text_width // 64) if given.width % max(4, text_width // 64) == 0 else 4,
        joint=text_width,
        vocabulary=300,
        length=32,
    )
    model = backbone.fresh_model(torch.Generator().manual_seed(0))
    tokeniser = torch.tensor(list(train_tokeniser(names, 300).encode()), dtype=torch.uint8)
    loaded = backbone.load({**model.state_dict(), TOKENISER: tokeniser})
    return with_weights(loaded, torch.float32, given.device)


def operations(step: Step) -> int:
    """Floating-point operations of one call in matrix products and convolutions, gradients included."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def measure(steps: Steps) -> None:
    """Measure and print."""
    given = steps.given
    end, middle = Prompt("coop", context=16), Prompt("coop", context=16, position="middle")
    vpt, upt = Prompt("vpt", visual=4), Prompt("upt", context=4, visual=4, width=32)
    print(f"width {given.width}, {given.blocks} blocks, {given.classes} classes, batches of {BATCH}")
    spared = (
        ("cached pictures (coop)", steps.learning(end, 1, False), steps.encode_pictures),
        ("constant texts (vpt)", steps.learning(vpt, 1), steps.encode_texts),
    )
    for name, step, encode in spared:
        with_it, more = steps.seconds(step), steps.seconds(encode)
        print(f"{name:28s} {1e3 * with_it:8.1f} ms, {(with_it + more) / with_it:5.2f} times as fast")
    for name, prompt in (("shared beginning (end)", end), ("shared beginning (middle)", middle)):
        whole, shared = (steps.seconds(steps.learning(prompt, 1, share)) for share in (False, True))
        print(f"{name:28s} {1e3 * shared:8.1f} ms, {whole / shared:5.2f} times as fast")
    for prompt in (end, vpt, upt):
        together = steps.learning(prompt, given.members)
        alone, took = steps.seconds(steps.learning(prompt, 1)), steps.seconds(together)
        each, rate = took / given.members, operations(together) / took
        name = f"{given.members} stacked ({prompt.kind})"
        share = f", {rate / 1e12 / given.peak:.1%} of the peak" if given.peak else ""
        cells = f"{60 / (each * given.steps):.3g} cells a minute, {60 / (alone * given.steps):.3g} one at a time"
        print(f"{name:28s} {1e3 * each:8.1f} ms, {alone / each:5.2f} times as fast, {rate / 1e12:.3f} TFLOP/s{share}; "
              f"{cells}")  # fmt: skip


def main() -> None:
    """Read the sizes and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"width": 64, "blocks": 4, "classes": 10, "members": 10, "repetitions": 6, "resolution": 32, "patch": 8}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--text-width", type=int, help="of the text tower and the joint space (default: width)")
    parser.add_argument("--steps", type=int, default=5540, help="steps of a cell, for cells a minute")
    parser.add_argument("--peak", type=float, help="most TFLOP/s of the device, for the share of it")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16, keep prompts in float32")
    given = parser.parse_args()
    torch.set_num_threads(1)
    kind = torch.autocast(given.device, torch.bfloat16) if given.bfloat16 else contextlib.nullcontext()
    with kind:
        measure(Steps(given))


if __name__ == "__main__":
    main()
