"""Prompt transfer as it was released against the harness on the same cells; and the harness with each sparing off.

    python tests/benchmarks/prompts_released.py studies/mvlpt/mini.yaml \
        --only "source=card_suit(size=32),chess_piece(size=32)" --only "target=card_suit(size=32)" \
        --only method=coop,vpt,upt --only seed=1 [--without stacking,pictures,texts] [--skip-released]

As released: one process a source and one a cell; each loads the model and the data, encodes the batch's pictures and
all class texts at every step (texts again for every batch of the test), and measures validation after each pass. The
same examples, order, rates and choice as in the study, so that accuracies must agree but for rounding: they are
compared. The model's own training is in neither time.

Without one sparing: the study is run in one process with the work done again that is otherwise done once: pictures
encoded at each step of text prompts, texts at each step of visual prompts, or one trial at a time instead of several in
one tensor program. Sharing of sources: seconds of the source stages times the cells that read them.

Processor seconds (one thread, all processes; what an idle machine would take) and wall seconds are printed; ratios are
of processor seconds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alone import planned_trials  # beside this file

from harness.graph import Stage

SPARED = ("stacking", "pictures", "texts")
TEST_BATCH = 64


@dataclass(frozen=True)
class Taken:
    """Seconds of processors and of the clock."""

    processor: float
    wall: float

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.processor + other.processor, self.wall + other.wall)


# --- as released -----------------------------------------------------------------------------------------------------


def learn_alone(pipe: Any, arguments: Mapping[str, Any], model: Path | None, init: Path | None, to: Path) -> None:
    """The process of one source, or the first half of that of a cell: learn a prompt and save it."""
    import torch
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(1)
    weights = None if model is None else load_file(model)
    learned = _learned(arguments, weights, None if init is None else load_file(init))
    save_file({name: tensor.contiguous() for name, tensor in learned.items()}, to)
    pipe.send(time.process_time())


def cell_alone(
    pipe: Any, learning: Mapping[str, Any], measuring: Mapping[str, Any], model: Path | None, init: Path
) -> None:
    """The process of one cell: go on from the source's prompt, then measure it on the test split."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    weights = None if model is None else load_file(model)
    learned = _learned(learning, weights, load_file(init))
    value = _measured(measuring, weights, learned)
    pipe.send((time.process_time(), value))


def _context() -> Any:
    from harness.execution.cache import MemoryCache
    from harness.execution.context import Context, Place

    return Context(Place(Path(tempfile.gettempdir()), MemoryCache(1 << 30)), "0" * 32)


class Released:
    """One frozen model with a prompt: everything encoded anew whenever it is asked for."""

    def __init__(self, arguments: Mapping[str, Any], weights: Mapping[str, Any] | None) -> None:
        from harness.backbones.clip import with_weights
        from harness.training.numerics import parameter_type

        self.prompt = arguments["prompt"]
        kind = parameter_type(arguments["numerics"])
        self.clip = with_weights(arguments["backbone"].load(weights), kind, "cpu")

    def logits(self, own: Mapping[str, Any], pictures: Any, names: Sequence[str]) -> Any:
        """Logits [1, n, classes] of pictures; both towers run, whatever the prompt changes."""
        import torch

        from harness.backbones.clip_towers import encode_picture_tokens, encode_text_embeddings, token_embeddings
        from harness.training.prompt_forward import lay_out, logits

        clip, unit = self.clip, torch.nn.functional.normalize
        with torch.no_grad():
            tokens = clip.tokens_of(pictures)
            if not self.prompt.of_pictures:
                tokens = unit(encode_picture_tokens(clip.model, tokens), dim=-1)
            if self.prompt.of_text:
                classes: Any = lay_out(clip, names, self.prompt)
            else:
                sentences = [self.prompt.template.format(" ".join(name.replace("_", " ").split())) for name in names]
                numbers, ends = clip.texts.whole(sentences)
                encoded = encode_text_embeddings(clip.model, token_embeddings(clip.model, numbers), ends)
                classes = unit(encoded, dim=-1)
        return logits(self.prompt, clip, own, tokens.unsqueeze(0), classes, share=False)


def _learned(
    arguments: Mapping[str, Any], weights: Mapping[str, Any] | None, init: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Learn a prompt by torch's own SGD, one step after the other; return the one that validation chose."""
    import torch

    from harness.training.data import Order
    from harness.training.evaluation import metric
    from harness.training.prompt_data import gather
    from harness.training.prompt_forward import initial

    ctx, model = _context(), Released(arguments, weights)
    tasks, budget, optimiser, seed = (arguments[name] for name in ("tasks", "budget", "optimiser", "seed"))
    data = gather(tasks, (), arguments["splits"], arguments["shots"], arguments["carve"], None, seed, ctx)
    names = [name for task in tasks for name in task.class_names]
    prompt, clip = model.prompt, model.clip
    shape = (prompt.context, prompt.visual, clip.text_width, clip.vision_width, clip.vision_depth)
    drawn = initial(prompt, clip, len(names), ctx.generator("initialisation", seed, "prompt", *shape))
    begun = drawn if init is None else {name: init[name].float() for name in drawn}
    own = {name: tensor.clone().unsqueeze(0).requires_grad_() for name, tensor in begun.items()}
    order = Order(len(data), budget.batch_of(len(data)), seed, " + ".join(task.name for task in tasks))
    sgd = torch.optim.SGD(list(own.values()), optimiser.lr, optimiser.momentum, weight_decay=optimiser.weight_decay)
    every, best = budget.steps_a_pass(len(data)), float("-inf")
    kept = {name: tensor.detach().clone() for name, tensor in own.items()}
    for step in range(budget.steps_for(len(data))):
        sgd.param_groups[0]["lr"] = optimiser.lr * budget.rate(step, len(data), optimiser.lr)
        chosen = order.at(step)
        scores = model.logits(own, data.inputs[chosen], names).squeeze(0)
        loss = -(data.wanted[chosen] * scores.log_softmax(-1)).sum() / len(chosen)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        if arguments["rule"].keep == "best" and (step + 1) % every == 0:
            start, seen = 0, []
            for task, part in zip(tasks, data.watched, strict=True):
                with torch.no_grad():
                    logits = model.logits(own, part.inputs, names)[:, :, start : start + task.n_classes]
                seen.append(float(metric(task.metric)[0](logits, part.labels.unsqueeze(0))))
                start += task.n_classes
            if sum(seen) / len(seen) > best:
                best, kept = sum(seen) / len(seen), {name: tensor.detach().clone() for name, tensor in own.items()}
    found = kept if arguments["rule"].keep == "best" else own
    return {name: tensor.detach().squeeze(0) for name, tensor in found.items()}


def _measured(arguments: Mapping[str, Any], weights: Mapping[str, Any] | None, learned: Mapping[str, Any]) -> float:
    """The task's metric on its test split, in batches, texts encoded for each."""
    import torch

    from harness.training.data import load_split
    from harness.training.evaluation import metric

    model, task = Released(arguments, weights), arguments["task"]
    own = {name: tensor.unsqueeze(0) for name, tensor in learned.items()}
    data = load_split(task, "test", _context())
    batches = (data.inputs[start : start + TEST_BATCH] for start in range(0, len(data.inputs), TEST_BATCH))
    with torch.no_grad():
        scores = [model.logits(own, pictures, task.class_names) for pictures in batches]
    return float(metric(task.metric)[0](torch.cat(scores, dim=1).float(), data.labels.unsqueeze(0)))


def released(cells: Mapping[str, Stage], model: Path | None, folder: Path) -> tuple[Taken, dict[str, float]]:
    """Run every source and every cell in a process of its own; return the time and the cells' values."""
    spent, values, sources = Taken(0.0, 0.0), {}, {}
    for key, cell in cells.items():
        learning = cell.arguments["weights"].arguments
        source = learning["init"]
        if source.key not in sources:
            place = folder / f"{source.key}.safetensors"
            taken, _ = _process(learn_alone, _plain(source.arguments), model, None, place)
            spent, sources[source.key] = spent + taken, place
        taken, values[key] = _process(cell_alone, _plain(learning), _plain(cell.arguments), model, sources[source.key])
        spent += taken
    return spent, values


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without the stages that the harness would read: a process by itself has none of them."""
    inputs = ("clip", "images", "texts", "init", "weights")
    return {name: value for name, value in arguments.items() if name not in inputs}


def _process(function: Callable[..., None], *arguments: Any) -> tuple[Taken, Any]:
    """Run a function in a new interpreter; its own seconds of the processor, and what it sends with them."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    begun = time.perf_counter()
    process = context.Process(target=function, args=(there, *arguments))
    process.start()
    there.close()
    try:
        told = here.recv()
    except EOFError:
        raise SystemExit("a process ended without a result; its error stands above") from None
    finally:
        process.join()
    processor, value = told if isinstance(told, tuple) else (told, None)
    return Taken(processor, time.perf_counter() - begun), value


# --- the harness -----------------------------------------------------------------------------------------------------


def run_study(pipe: Any, study: str, only: tuple[str, ...], results: str, without: str) -> None:
    """The process of the harness: run what is left, with one sparing undone."""
    import torch

    import harness

    torch.set_num_threads(1)
    UNDO[without]()
    with tempfile.TemporaryDirectory() as cache:
        done = harness.run(harness.load_study(study, only=only), results, in_process=True, progress="none",
                           disk_cache=Path(cache))  # fmt: skip
    pipe.send((time.process_time(), done.failed))


def _no_stacking() -> None:
    from harness.training import prompt_loop

    prompt_loop._together = lambda program, width, device: 1


def _anew(encode: Callable[[Any, Any], object]) -> None:
    """Encode something more at each step and each look of a training."""
    import torch

    from harness.training.prompt_loop import _Run

    batch, seen = _Run._batch, _Run._seen

    def with_batch(run: Any, step: int) -> Any:
        found = batch(run, step)
        with torch.no_grad():
            encode(run, found[1].shape[1] * run.real)
        return found

    def with_seen(run: Any) -> Any:
        with torch.no_grad():
            encode(run, sum(len(part.labels) for part in run.members[0].data.watched) * run.real)
        return seen(run)

    _Run._batch, _Run._seen = with_batch, with_seen  # type: ignore[method-assign]  # what is measured


def _pictures_anew() -> None:
    import torch

    from harness.backbones.clip_towers import encode_picture_tokens

    def encode(run: Any, pictures: int) -> None:
        clip, side = run.program.clip, run.program.clip.expects.size
        if not run.program.prompt.of_pictures:
            encode_picture_tokens(clip.model, clip.tokens_of(torch.rand(pictures, 3, side, side)))

    _anew(encode)


def _texts_anew() -> None:
    from harness.backbones.clip_towers import encode_text_embeddings
    from harness.training.prompt_forward import lay_out
    from harness.training.prompt_settings import Prompt

    def encode(run: Any, _pictures: int) -> None:
        program = run.program
        if program.prompt.of_text:
            return
        names = [name for task in program.tasks for name in task.class_names]
        for _ in range(run.real):
            laid = lay_out(program.clip, names, Prompt("coop", context=1))
            encode_text_embeddings(program.clip.model, laid.embedded, laid.texts.ends)

    _anew(encode)


UNDO: Mapping[str, Callable[[], None]] = {
    "": lambda: None, "stacking": _no_stacking, "pictures": _pictures_anew, "texts": _texts_anew,
}  # fmt: skip


class Bench:
    """A study's cells in a folder where its model, if it trains one, is there already."""

    def __init__(self, study: str, only: tuple[str, ...], folder: Path) -> None:
        self.study, self.only, self.folder = study, only, folder
        trials = planned_trials(study, only)
        self.cells = {
            key: node
            for key, node in trials
            if isinstance(node, Stage) and node.kind.name == "evaluate_prompt"
            and node.arguments["weights"].kind.name == "adapt_prompt"
        }  # fmt: skip
        if not self.cells:
            raise SystemExit("none of these trials adapts a source's prompt to a target")
        self.base = folder / "base"
        self.model = self._model()

    def _model(self) -> Path | None:
        """Train the study's model into the base folder; its weights as one file, or None where it comes with them."""
        from safetensors.torch import save_file

        from harness.store import Store

        clip = next(iter(self.cells.values())).arguments["clip"]
        if clip is None:
            self.base.mkdir()
            return None
        target = next(part for part in self.only if part.startswith("target="))
        first = target.split("=", 1)[1].split("),")[0]
        first = first if first.count("(") == first.count(")") else f"{first})"
        taken, _ = _process(run_study, self.study, ("method=zero_shot", f"target={first}"), str(self.base), "")
        print(f"the model (in no time below): {taken.processor:.0f} s")
        store = Store.open(str(self.base))
        ref = store.records().artifact(clip.key)
        assert ref is not None, "the model was not trained"
        tensors, _ = store.artifacts.get(ref)
        place = self.folder / "model.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, place)
        return place

    def ours(self, without: str) -> tuple[Taken, Path]:
        """Run the cells by the harness in a new copy of the base folder."""
        results = self.folder / f"results-{without or 'all'}"
        shutil.copytree(self.base, results)
        taken, failed = _process(run_study, self.study, self.only, str(results), without)
        if failed:
            raise SystemExit(f"{failed} trials failed")
        return taken, results

    def values(self, results: Path) -> dict[str, float]:
        """The cells' values in a results folder."""
        from harness.store import Store

        store = Store.open(str(results))
        return {key: store.measurements(cell.key)[0].value for key, cell in self.cells.items()}

    def shared_sources(self, results: Path) -> tuple[float, float]:
        """Seconds of the source stages, and what they would be with one for each cell."""
        from harness.store import Store

        records = Store.open(str(results)).records()
        once = {cell.arguments["weights"].arguments["init"].key for cell in self.cells.values()}
        seconds = {key: float(records.field(key, "seconds") or 0.0) for key in once}
        again = sum(seconds[cell.arguments["weights"].arguments["init"].key] for cell in self.cells.values())
        return sum(seconds.values()), again


def measure(given: argparse.Namespace) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.study, tuple(given.only), Path(folder))
        print(f"{len(bench.cells)} cells of {given.study}")
        plain, results = bench.ours("")
        _tell("harness, one process", plain, plain)
        once, again = bench.shared_sources(results)
        more = Taken(plain.processor + again - once, plain.wall + again - once)
        _tell("without sharing sources (by their seconds)", more, plain)
        for name in filter(None, given.without.split(",")):
            taken, _ = bench.ours(name)
            _tell(f"without {name}", taken, plain)
        if not given.skip_released:
            taken, values = released(bench.cells, bench.model, Path(folder))
            _tell("as released", taken, plain)
            ours = bench.values(results)
            apart = [abs(ours[key] - value) for key, value in values.items()]
            same = sum(one < 1e-9 for one in apart)
            print(f"values: {same} of {len(apart)} equal, {max(apart):.4f} apart at most")


def _tell(name: str, taken: Taken, plain: Taken) -> None:
    ratio = taken.processor / plain.processor
    print(f"{name:45s} {taken.processor:9.1f} s processor {taken.wall:9.1f} s wall {ratio:8.2f}", flush=True)


def main() -> None:
    """Read what to run and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--only", action="append", default=[], help="as in harness run (repeatable)")
    parser.add_argument("--without", default=",".join(SPARED), help="sparings to undo one by one, with commas")
    parser.add_argument("--skip-released", action="store_true")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    measure(given)


if __name__ == "__main__":
    main()
