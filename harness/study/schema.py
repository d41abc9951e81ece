"""The shape of a study file as types: what may stand where, with a description of every key.

Editors complete keys from the JSON schema that is made from these types (:func:`json_schema`). What a type cannot say
(names, axes, what matches what) is checked in :mod:`harness.study.resolve`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from harness.errors import suggest

RESERVED_STUDY_NAMES = ("store", "published", "gallery")
SCOPES = ("source", "target", "both")

_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
_VALUE_SCHEMA: dict[str, Any] = {"anyOf": [_SCALAR_SCHEMA, {"type": "array"}, {"type": "object"}]}


class Section(BaseModel):
    """A mapping of a study file; keys that it does not know are refused with the nearest one that it does."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            unknown = {key: f"unknown key {key!r}{suggest(key, known)}" for key in data if key not in known}
            if unknown:
                raise PydanticCustomError("unknown_keys", "unknown keys", {"unknown": unknown})
        return data


def refuse(message: str) -> PydanticCustomError:
    """Return an error whose sentence is ``message``; ``{}`` in it is the name of the value."""
    return PydanticCustomError("sentence", "{sentence}", {"sentence": message})


# --- values with rules of their own -----------------------------------------------------------------------------------


def _study_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]+", name):
        raise refuse(f"the study name {name!r} may hold only a-z, 0-9, _ and -")
    if name in RESERVED_STUDY_NAMES:
        raise refuse(f"the study name {name!r} is reserved; results/{name} is something else")
    return name


def _memory(value: Any) -> Any:
    if type(value) is int and value > 0:
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)? ?([KMGT]i?)?B", value):
        return value
    raise refuse("{} must be bytes or a size such as 8GiB")


def _artifact_key(key: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{32}", key):
        raise refuse(f"{{}} must be the 32 hexadecimal digits of a stage's key, not {key!r}")
    return key


def _not_nothing(value: Any) -> Any:
    if value is None:
        raise refuse("{} is empty")
    return value


def _pairs(value: Any) -> str:
    if isinstance(value, str):
        return "<word>"
    return "<list>" if isinstance(value, list) else "<rule>"


def _source_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, (Mapping, BaseModel)):
        keys = value if isinstance(value, Mapping) else value.model_fields_set
        return next((f"<{form}>" for form in ("tasks", "groups", "checkpoint", "artifact") if form in keys), None)
    return None


def _seeds_form(value: Any) -> str:
    return "<scopes>" if isinstance(value, (Mapping, Seeds)) else "<list>"


def _named(kind: str) -> BeforeValidator:
    """Admit a name, or a mapping with the key ``kind`` and parameters beside it."""

    def check(value: Any) -> Any:
        if isinstance(value, Mapping):
            if not isinstance(value.get(kind), str):
                known = suggest(next(iter(value), ""), [kind]) if kind not in value else ""
                raise refuse(f"{{}} must name its {kind}: {{ {kind}: name, ... }}{known if 'mean' in known else ''}")
            if "as" in value and not isinstance(value["as"], str):
                raise refuse("{}: the label after 'as' must be text")
        elif not isinstance(value, str):
            raise refuse(f"{{}} must be a name or a mapping with the key {kind!r}")
        return value

    return BeforeValidator(check)


def _named_schema(kind: str) -> WithJsonSchema:
    label = {"type": "string", "description": "The label that rows and tables use; the name unless given."}
    mapping = {
        "type": "object",
        "description": f"A {kind} with parameters of its own.",
        "properties": {kind: {"type": "string", "description": f"Name of the {kind}."}, "as": label},
        "required": [kind],
        "additionalProperties": _VALUE_SCHEMA,
    }
    return WithJsonSchema({"anyOf": [{"type": "string", "description": f"Name of a {kind}."}, mapping]})


T = TypeVar("T")


def _not_empty(values: list[T]) -> list[T]:
    if not values:
        raise refuse("{} is empty")
    return values


NonEmpty = Annotated[list[T], AfterValidator(_not_empty)]
Something = Annotated[T | None, BeforeValidator(_not_nothing)]
"""May be left out, but not given as nothing."""
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Mapped = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": _VALUE_SCHEMA})]
MethodItem = Annotated[Any, _named("method"), _named_schema("method")]
BackboneItem = Annotated[Any, _named("backbone"), _named_schema("backbone")]
EstimatorItem = Annotated[Any, _named("estimator"), _named_schema("estimator")]


# --- sources and seeds ------------------------------------------------------------------------------------------------


class Subsets(Section):
    """Subsets of a task set, all of them or a sample."""

    sizes: NonEmpty[Count] = Field(description="Numbers of tasks in a subset.")
    sample: Count | None = Field(None, description="How many subsets of each size to draw; all unless given.")
    seed: Seed = Field(0, description="Seed of the draw.")


class SubsetRule(Section):
    """Take subsets of the tasks."""

    subsets: Subsets = Field(description="Which subsets.")


def _as_form(value: Any) -> str:
    return "<rule>" if isinstance(value, (Mapping, SubsetRule)) else "<word>"


class TaskSetSource(Section):
    """Several tasks as one source, or as several."""

    tasks: NonEmpty[str] = Field(description="Tasks of the set.")
    as_: Annotated[
        Annotated[Literal["each", "all", "all_but_target"], Tag("<word>")] | Annotated[SubsetRule, Tag("<rule>")],
        Discriminator(_as_form),
    ] = Field(
        "all",
        alias="as",
        description="each: every task is a source; all: one source of all tasks; all_but_target: all but the trial's "
        "target; {subsets: ...}: one source a subset.",
    )
    name: str | None = Field(None, description="Label of the source, for all and all_but_target.")


class CheckpointSource(Section):
    """Weights from a local file or from a hub."""

    checkpoint: str = Field(description="A .safetensors file (relative to the study file) or a hub name.")
    revision: str | None = Field(None, description="Pinned revision; needed for a hub name.")
    name: str | None = Field(None, description="Label of the source; the file or hub name unless given.")


class ArtifactKey(Section):
    """An artifact in the results store."""

    key: Annotated[str, AfterValidator(_artifact_key)] = Field(description="Key of the stage that left it: 32 digits.")


class ArtifactSource(Section):
    """Weights that a stage of this or another study left in the results store."""

    artifact: ArtifactKey = Field(description="Which artifact.")
    name: str | None = Field(None, description="Label of the source; the key unless given.")


class RandomGroups(Section):
    """Groups of the same sizes and tasks, dealt out at random."""

    draws: Count = Field(description="How many times; each is a source of its own.")
    seed: Seed = Field(0, description="Seed of the draws.")


class GroupsSource(Section):
    """For every target the group of tasks that it belongs to, by a file that an analysis of kind groups wrote."""

    groups: str = Field(description="The file (relative to the study file): groups of tasks, and their digest.")
    random: RandomGroups | None = Field(None, description="Random groups of the same sizes instead, to compare with.")
    name: str | None = Field(None, description="Label of the source; of random ones with the number of the draw.")


SourceItem = Annotated[
    Annotated[str, Tag("<name>")]
    | Annotated[TaskSetSource, Tag("<tasks>")]
    | Annotated[GroupsSource, Tag("<groups>")]
    | Annotated[CheckpointSource, Tag("<checkpoint>")]
    | Annotated[ArtifactSource, Tag("<artifact>")],
    Discriminator(
        _source_form,
        custom_error_type="source_form",
        custom_error_message="must be a task, untrained, none, or a mapping with the key tasks, groups, checkpoint or "
        "artifact",
    ),
]


class Seeds(Section):
    """Seeds of the source stage and of the target stage."""

    source: NonEmpty[Seed] | None = Field(None, description="Seeds of the source stage; those of the target if tied.")
    target: NonEmpty[Seed] | None = Field(None, description="Seeds of the target stage; those of the source if tied.")
    tie: bool = Field(True, description="Advance both together (true) or cross them (false).")
    combine: Literal["each", "weight_average"] = Field(
        "each", description="weight_average: the source is the average of the weights trained with each source seed."
    )


SeedsItem = Annotated[
    Annotated[NonEmpty[Seed], Tag("<list>")] | Annotated[Seeds, Tag("<scopes>")], Discriminator(_seeds_form)
]


# --- the grid ---------------------------------------------------------------------------------------------------------


class PairRule(Section):
    """Pairs of source and target by declared attributes of the tasks."""

    same: NonEmpty[str] | None = Field(None, description="Attributes in which source and target must agree.")
    differ: NonEmpty[str] | None = Field(None, description="Attributes in which source and target must differ.")


PairsItem = Annotated[
    Annotated[Literal["all", "off_diagonal", "same"], Tag("<word>")]
    | Annotated[NonEmpty[Annotated[list[str], Field(min_length=2, max_length=2)]], Tag("<list>")]
    | Annotated[PairRule, Tag("<rule>")],
    Discriminator(_pairs),
]


class Include(Section):
    """Cells to keep."""

    match: Mapped = Field(description="Axis: value, or axis: [values]. All must hold.")
    reason: str | None = Field(None, description="Why only these.")


class Exclude(Section):
    """Cells to leave out."""

    match: Mapped = Field(description="Axis: value, or axis: [values]. All must hold.")
    reason: str = Field(min_length=1, description="Why they are left out; the plan and the tables say it.")


class Override(Section):
    """Other fixed parameters for some cells."""

    match: Mapped = Field(description="Axis: value, or axis: [values]. All must hold.")
    set: Mapped = Field(description="Parameters to set; a source: block holds those of the source stage.")
    reason: str | None = Field(None, description="Why they differ.")


class Baseline(Section):
    """Trials without the source axis: once per target, seed and whatever else the method reads on the target."""

    source: SourceItem = Field("none", description="The one source of the baseline; none unless given.")
    method: MethodItem | None = Field(None, description="Its method; every method of the grid unless given.")


class CheckpointSection(Section):
    """Which weights of a training are used."""

    keep: Literal["last", "best"] = Field("last", description="The last weights or the best seen.")
    on: Literal["train", "val"] = Field("val", description="Split on which the best are judged.")
    metric: str | None = Field(None, description="Metric by which they are judged; the task's own unless given.")
    every: Count | None = Field(None, description="Steps between looks; a tenth of the budget unless given.")


class NumericsSection(Section):
    """How numbers are computed. Changes results, so it counts into every key."""

    precision: Literal["float32", "float64", "bfloat16"] = Field("float32", description="Type of the activations.")
    tf32: bool = Field(False, description="Allow TF32 in matrix products on a GPU.")
    compile: bool = Field(False, description="Run networks through torch.compile.")
    deterministic: bool = Field(True, description="Use deterministic algorithms only.")


class RandomSearch(Section):
    """Candidates drawn at random."""

    n: Annotated[int, Field(ge=1, le=100_000)] = Field(description="Number of candidates.")
    seed: Seed = Field(0, description="Seed of the draw.")
    space: Annotated[
        dict[str, Any],
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "properties": {
                        name: {"type": "array", "minItems": 1, "description": text}
                        for name, text in (
                            ("uniform", "[low, high]: a float drawn evenly."),
                            ("log_uniform", "[low, high]: a float whose logarithm is drawn evenly."),
                            ("int_uniform", "[low, high]: a whole number drawn evenly, both ends included."),
                            ("choice", "[values]: one of them."),
                        )
                    },
                    "additionalProperties": False,
                },
            }
        ),
    ] = Field(description="For each parameter its distribution: uniform, log_uniform, int_uniform or choice.")


class TuneSection(Section):
    """Selection within a cell: every candidate is measured on validation, only the chosen one is the outcome."""

    grid: Mapped | None = Field(None, description="Parameter: [values]; the candidates are their product.")
    list_: NonEmpty[dict[str, Any]] | None = Field(None, alias="list", description="The candidates one by one.")
    random: RandomSearch | None = Field(None, description="Candidates drawn at random.")
    scope: Literal["target", "source"] = Field("target", description="The stage whose parameters are chosen.")
    per: NonEmpty[str] | None = Field(None, description="Axes for each of which one choice is made; all unless given.")
    seeds: Literal["each", "mean"] = Field("each", description="Choose for each seed, or once by the mean over seeds.")
    metric: str | None = Field(None, description="Metric to choose by; the task's own unless given.")
    refit: Literal["none", "train+val"] = Field("none", description="What the chosen candidate is fitted on again.")
    audit: bool = Field(False, description="Also measure every candidate on test; never visible to the choice.")

    @model_validator(mode="after")
    def _one_way(self) -> TuneSection:
        if sum(way is not None for way in (self.grid, self.list_, self.random)) != 1:
            raise refuse("{} must have exactly one of grid, list and random")
        return self


class GridFields(Section):
    """What a grid is made of; at the top of a study it is what all its grids share."""

    sources: Something[NonEmpty[SourceItem]] = Field(
        None, description="Sources: tasks, task sets, checkpoints, untrained, none. [none] unless given."
    )
    targets: Something[NonEmpty[str]] = Field(None, description="Target tasks.")
    backbones: Something[NonEmpty[BackboneItem]] = Field(None, description="Backbones, by name or with options.")
    methods: Something[NonEmpty[MethodItem]] = Field(
        None, description="Methods, by name or with parameters of their own."
    )
    seeds: Something[SeedsItem] = Field(None, description="Seeds; [0] unless given. A list ties source and target.")
    axes: Annotated[
        dict[str, Any],
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": {"anyOf": [{"type": "array"}, {"type": "object"}]},
            }
        ),
    ] = Field(
        {}, description="Further axes: parameter: [values], or {type:, values:}; source: and both: blocks change scope."
    )
    params: Mapped = Field({}, description="Fixed parameters; source: and both: blocks change scope.")
    pairs: PairsItem | None = Field(None, description="Which source goes with which target; all unless given.")
    zip: list[Annotated[list[str], Field(min_length=2)]] | None = Field(
        None, description="Groups of axes that advance together instead of being crossed."
    )
    include: list[Include] | None = Field(None, description="Keep only cells that match one of these.")
    exclude: list[Exclude] | None = Field(
        None, description="Cells left out, with the reason. A grid's own come after the shared ones."
    )
    overrides: list[Override] | None = Field(
        None, description="Other parameters for some cells. A grid's own come after the shared ones."
    )
    baselines: dict[str, Baseline] = Field({}, description="Trials without the source axis, by name.")
    tune: TuneSection | None = Field(None, description="Selection of parameters within a cell.")
    checkpoint: CheckpointSection | None = Field(None, description="Selection of weights within a training.")
    numerics: NumericsSection | None = Field(None, description="How numbers are computed.")
    estimators: list[EstimatorItem] | None = Field(
        None, description="Transferability scores; each crosses only the axes that it reads."
    )


# --- analyses and execution -------------------------------------------------------------------------------------------


class Analysis(Section):
    """Something that the report draws."""

    kind: Literal[
        "matrix", "correlation", "table", "lines", "compare", "layer_transfer", "gains", "agreement", "groups"
    ] = Field(description="What is drawn.")
    name: str | None = Field(None, description="Its title and file name.")
    value: str | None = Field(None, description="Metric or estimator whose value is shown.")
    rows: str | None = Field(None, description="Axis of the rows.")
    cols: str | None = Field(None, description="Axis of the columns.")
    facet: str | None = Field(None, description="Axis of which every value has a drawing of its own.")
    filter: Mapped = Field({}, description="Axis: value, or axis: [values], to which it is restricted.")
    relative_to: str | None = Field(
        None,
        description="What values are set against: a baseline by name, the only `baseline`, each target's `own` source, "
        "`target_best`, or `z` scores within each target.",
    )
    how: Literal["difference", "relative_gain", "relative_error_reduction"] | None = Field(
        None, description="How a value is set against what it is relative to; the difference unless given."
    )
    cell: Literal["raw", "absolute_gain", "relative_gain", "relative_error_reduction"] | None = Field(
        None,
        description="What a cell of the matrix is: the value itself, or its difference, relative gain or share of the "
        "error removed against relative_to. A shorter way to say how, and raw leaves relative_to aside.",
    )
    pairing: Literal["paired", "target", "pooled"] | None = Field(
        None,
        description="Against the baseline of the same target and seed (paired, the default), the target's mean over "
        "seeds, or one mean over all targets and seeds (pooled).",
    )
    x: str | None = Field(None, description="What stands on the x axis.")
    y: str | None = Field(None, description="What stands on the y axis.")
    per: str | None = Field(None, description="Axis for each value of which a correlation is taken.")
    over: NonEmpty[str] | None = Field(None, description="Axes, besides seeds, that are averaged over.")
    published: str | None = Field(None, description="Published table that is compared with.")
    cluster: Literal["rows", "cols", "both"] | None = Field(
        None, description="Order a matrix by likeness, with dendrograms."
    )
    linkage: Literal["average", "complete", "spectral"] | None = Field(
        None, description="groups: how tasks are clustered by their mutual gains; average linkage unless given."
    )
    groups: Annotated[int, Field(ge=2)] | None = Field(
        None, description="groups: how many; the number of the largest mean silhouette unless given."
    )
    families: dict[str, str] | None = Field(
        None,
        description="Family of each task; intervals then resample families, since related tasks are no new evidence.",
    )
    chance: float | None = Field(
        None, description="Score of guessing, for the reading in which failures count as that."
    )
    same: dict[str, Literal["keep", "drop", "both"]] | None = Field(
        None,
        description="Attribute of tasks (family, domain): what to do with cells whose source and target agree in it, a "
        "task with itself included. keep: mark them; drop: leave them out; both: one reading of each.",
    )
    similar_by: str | None = Field(
        None, description="layer_transfer: attribute of the target or axis that tells similar from dissimilar splits."
    )
    independent: str | None = Field(
        None,
        description="layer_transfer: attribute of the target or axis whose values are independent of one another; "
        "intervals are over these. Unless given, tasks linked by a transfer and halves of one split count as one.",
    )
    ranges: NonEmpty[Annotated[list[int], Field(min_length=2, max_length=2)]] | None = Field(
        None, description="layer_transfer: ranges of copied layers over which the gain of fine-tuning is averaged."
    )


class ResourceSection(Section):
    """What one call of a stage kind needs."""

    cpus: Positive | None = Field(None, description="CPU cores.")
    gpus: Annotated[float, Field(ge=0)] | None = Field(None, description="GPUs; may be a share.")
    loaders: Annotated[int, Field(ge=0)] | None = Field(None, description="Cores for loading data.")
    world: Count | None = Field(None, description="Processes of a gang.")


class Execution(Section):
    """How the study runs. In no key: it changes no result."""

    workers: Count | None = Field(None, description="Number of workers; as many as fit unless given.")
    cpus_per_worker: Positive | None = Field(None, description="Cores of a worker.")
    gpus_per_worker: Annotated[float, Field(ge=0)] | None = Field(None, description="GPUs of a worker.")
    batch: Count | None = Field(None, description="Most calls that are handed out at once.")
    time_limit: Positive | None = Field(None, description="Seconds that one stage may take.")
    grace: Positive | None = Field(None, description="Seconds between asking a stage to stop and killing it.")
    memory_limit: Annotated[Any, BeforeValidator(_memory), WithJsonSchema({"type": ["integer", "string"]})] | None = (
        Field(None, description="Memory of a worker beyond which it is replaced, e.g. 8GiB.")
    )
    resources: dict[str, ResourceSection] = Field({}, description="Resources by stage name.")
    trackers: list[Literal["tensorboard", "mlflow", "wandb"]] = Field(
        [], description="Experiment trackers that a process beside the run keeps up to date, as `harness track` does."
    )
    retention: dict[str, Literal["durable", "transient", "cache"]] = Field(
        {}, description="Where artifacts live, by stage name: durable, transient or cache."
    )


class StudyFile(GridFields):
    """A transfer study: if something is learnt or picked on these sources, how well does it do on these targets?"""

    study: Annotated[str, AfterValidator(_study_name)] = Field(description="Name of the study: a-z, 0-9, _ and -.")
    description: str | None = Field(None, description="What it asks.")
    extends: str | None = Field(None, description="Another study file that this one is laid over; lists replace.")
    plugins: list[str] = Field([], description="Python files or modules with tasks, methods, ... of your own.")
    grids: NonEmpty[GridFields] | None = Field(
        None, description="Grids whose union is the study; each takes what it does not say from the top level."
    )
    on_untrained_source: Literal["skip", "run"] = Field(
        "skip", description="What to do with trials whose source never trained."
    )
    on_failure: Literal["continue", "stop"] = Field("continue", description="What to do when a stage fails.")
    analyses: list[Analysis] = Field([], description="What the report draws.")
    execution: Execution = Field(
        default_factory=lambda: Execution.model_validate({}), description="How the study runs; changes no result."
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a study file."""
    schema = StudyFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Transfer study", **_titled(schema)}


def _titled(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop the titles that pydantic makes of field names: editors would show them in place of descriptions."""

    def clean(node: Any, is_properties: bool = False) -> Any:
        if isinstance(node, dict):
            return {
                key: clean(value, key in ("properties", "$defs") and not is_properties)
                for key, value in node.items()
                if is_properties or key != "title"
            }
        return [clean(item) for item in node] if isinstance(node, list) else node

    cleaned: dict[str, Any] = clean(schema)
    return cleaned
