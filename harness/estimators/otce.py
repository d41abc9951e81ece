"""OTCE, optimal transport based conditional entropy (Tan, Li and Huang 2021, arXiv 2103.13843)."""

from __future__ import annotations

from typing import NamedTuple

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import Variant, scorer
from harness.estimators.transport import conditional_entropy, joint_labels, sampled, transport_plan


class OtceTerms(NamedTuple):
    """domain: transport cost W between source and target features.  task: H(target label | source label), in nats."""

    domain: float
    task: float


def otce_terms(inputs: Inputs, most: int = 1000, seed: int = 0) -> OtceTerms:
    """Both terms, from at most `most` examples a side, drawn in the shares of the classes by `seed`."""
    if most < 1:
        raise HarnessError(f"otce: most must be above 0, not {most}")
    chosen = sampled(inputs.labels, most, seed)
    of_source = sampled(inputs.source_labels, most, seed)
    plan, cost = transport_plan(inputs.source_features[of_source], inputs.features[chosen])
    joint = joint_labels(plan, inputs.source_labels[of_source], inputs.labels[chosen])
    return OtceTerms(cost, conditional_entropy(joint))


@scorer(
    "otce",
    needs=("features", "labels", "source_features", "source_labels"),
    cost="n^3 or so for n examples a side: a second at 2,000",
    paper="Tan et al. 2021, arXiv 2103.13843",
)
def otce(
    inputs: Inputs,
    *,
    domain_weight: float = 1.0,
    task_weight: float = 1.0,
    most: int = 1000,
    seed: int = 0,
    variant: Variant = "exact",
) -> float:
    """Minus a weighted sum of domain difference W and task difference H(yt | ys); higher is better.

    The paper fits the weights on tasks with known outcomes; `domain_weight=0` is the form that needs none.

    released: Model Spider's ranking takes the plain sum W + H, a distance, as better when larger.
    """
    terms = otce_terms(inputs, most, seed)
    if variant == "released":
        return terms.domain + terms.task
    return -(domain_weight * terms.domain + task_weight * terms.task)
