"""Plans of three studies of the field, against numbers counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.planning import Plan

COUNTED = Path(__file__).parents[1] / "study" / "counted"


def plan(name: str, only: tuple[str, ...] = (), sets: tuple[str, ...] = ()) -> Plan:
    study = harness.load_study(COUNTED / f"{name}.yaml", sets=sets, only=only)
    return harness.plan(study, results="no_results_yet")


def needed(found: Plan) -> dict[str, int]:
    return {count.kind: count.needed for count in found.counts}


def test_prompt_transfer_20_by_20() -> None:
    # 20 sources x 20 targets x 3 methods x 3 shots x 3 tied seeds, and a baseline for each target, shots and seed
    found = plan("prompts")
    assert found.trials == 20 * 20 * 3 * 3 * 3 + 20 * 3 * 3 * 3
    # a source prompt is learned at 20 shots: 20 x 3 seeds a method; baselines at 1 and 5 shots as many again each
    assert needed(found) == {
        "learn_toy_prompt": 3 * (60 + 60 + 60),
        "adapt_toy_prompt": 3 * 3 * 1200,
        "evaluate_toy_prompt": 11_340,
    }


@pytest.mark.parametrize("method", ["text_prompt", "visual_prompt", "unified_prompt"])
def test_at_20_shots_the_sources_of_a_method_are_its_baselines(method: str) -> None:
    found = plan("prompts", only=(f"method={method}", "shots=20"))
    assert needed(found) == {"learn_toy_prompt": 60, "adapt_toy_prompt": 1200, "evaluate_toy_prompt": 1260}
    saved = {count.kind: count.saved for count in found.counts}
    assert saved["learn_toy_prompt"] == 1200 + 60 - 60


def test_layer_freezing_on_random_halves() -> None:
    found = plan("layers")
    # 4 splits x 2 halves: 8 bases; pairs within a split: 16 x 7 depths x {frozen, tuned} = 224 transfers;
    # random frozen layers on 8 halves x 7 depths from one random network; 12 volumes of one task
    assert found.trials == 224 + 8 + 56 + 12
    assert needed(found) == {
        "train_base": 8 + 12,
        "transfer_layers": 224 + 56,
        "evaluate_network": 300,
        "random_base": 1,
    }


def test_model_selection_with_candidates() -> None:
    found = plan("selection")
    assert (found.trials, found.candidates) == (24 * 12, 24 * 12 * 20)
    counts = {count.kind: count for count in found.counts}
    assert counts["select"].needed == 288
    for kind in ("fit_head", "evaluate_head"):
        assert counts[kind].needed == 5760 + 288  # every candidate, and one refit and test a cell
        assert counts[kind].chosen_later == 288
