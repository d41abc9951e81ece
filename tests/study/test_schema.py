"""The JSON schema that editors read: generated from the types, committed, complete."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness.study import study_schema

ROOT = Path(__file__).resolve().parents[2]
COUNTED = Path(__file__).resolve().parent / "counted"
FILE = ROOT / "studies" / "study.schema.json"


def test_the_committed_schema_is_the_generated_one():
    assert FILE.read_text() == json.dumps(study_schema(), indent=2) + "\n", "write it again with: harness schema"


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(study_schema())


def properties(node, path=()):
    if isinstance(node, dict):
        for name, part in node.get("properties", {}).items():
            if isinstance(part, dict):
                yield (*path, name), part
        for key, value in node.items():
            yield from properties(value, (*path, key))
    elif isinstance(node, list):
        for item in node:
            yield from properties(item, path)


def test_every_key_has_a_description():
    found = list(properties(study_schema()))
    assert len(found) > 80
    assert [path for path, part in found if not part.get("description")] == []


def test_unknown_keys_are_marked_by_editors_too():
    schema = study_schema()
    assert schema["additionalProperties"] is False and schema["required"] == ["study"]
    assert all(part.get("additionalProperties") is False for part in schema["$defs"].values() if "properties" in part)


STUDIES = sorted(path for path in (ROOT / "studies").rglob("*.yaml") if path.parent.name != "published")
"""The files under studies/published are imports of outcomes, not studies."""


@pytest.mark.parametrize("path", [*sorted(COUNTED.glob("*.yaml")), *STUDIES], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_studies_fit_the_schema(path):
    jsonschema.validate(yaml.safe_load(path.read_text()), study_schema())


@pytest.mark.parametrize(
    "study",
    [
        {"study": "a", "targtes": ["x"]},
        {"study": "a", "pairs": "diagonal"},
        {"study": "a", "seeds": ["x"]},
        {"study": "a", "checkpoint": {"keep": "first"}},
        {"targets": ["x"]},
    ],
)
def test_mistakes_do_not_fit_it(study):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(study, study_schema())


def test_the_file_is_named_at_the_top_of_studies():
    for path in COUNTED.glob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=")
        assert (path.parent / first.split("=")[1]).resolve() == FILE
