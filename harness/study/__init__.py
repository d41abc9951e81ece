"""Studies: YAML files read, validated and expanded into blocks of trials."""

from harness.study.attributes import task_attributes
from harness.study.grid import Axis, Block, Excluded, Expansion, Settings, expand
from harness.study.load import load_study
from harness.study.model import Study
from harness.study.problems import Place, Problem, StudyError
from harness.study.schema import json_schema as study_schema
from harness.study.tuning import TuneRule

__all__ = [
    "Axis",
    "Block",
    "Excluded",
    "Expansion",
    "Place",
    "Problem",
    "Settings",
    "Study",
    "StudyError",
    "TuneRule",
    "expand",
    "load_study",
    "study_schema",
    "task_attributes",
]
