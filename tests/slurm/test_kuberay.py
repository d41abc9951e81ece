"""The manifest for Kubernetes says what its comments promise: tokens, nothing exposed, limits, results that stay."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli.parser import build_parser

MANIFEST = Path(__file__).parents[2] / "slurm" / "kuberay.yaml"
LABEL = {"harness/study": "true"}


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    found = [one for one in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")) if one]
    assert all({"apiVersion", "kind", "metadata", "spec"} == set(one) and one["metadata"]["name"] for one in found)
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def job(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    assert documents["RayJob"]["apiVersion"] == "ray.io/v1"
    spec: dict[str, Any] = documents["RayJob"]["spec"]
    return spec


def templates(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the template of every kind of pod."""
    cluster = job["rayClusterSpec"]
    workers = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"submitter": job["submitterPodTemplate"], "head": cluster["headGroupSpec"]["template"], **workers}


def containers(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for template in templates(job).values():
        yield from template["spec"]["containers"]


def amount(text: str) -> float:
    """Return what Kubernetes reads an amount as."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m|Mi|Gi)?", text)
    assert match is not None, text
    return float(match[1]) * {"m": 1e-3, "Mi": 2.0**20, "Gi": 2.0**30, None: 1.0}[match[2]]


def test_every_port_wants_a_token(job: dict[str, Any]) -> None:
    cluster = job["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "harness-ray-token"}
    version = tuple(int(part) for part in cluster["rayVersion"].split("."))
    assert version >= (2, 52, 0), "older ones know no token"
    assert "create secret generic harness-ray-token --from-literal=auth_token=" in MANIFEST.read_text()
    pinned = (MANIFEST.parents[1] / "constraints.txt").read_text()
    assert f"\nray=={cluster['rayVersion']}\n" in pinned, "the Ray that this was tested with"


def test_nothing_is_reachable_from_outside(documents: dict[str, dict[str, Any]], job: dict[str, Any]) -> None:
    head = job["rayClusterSpec"]["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP" and head["enableIngress"] is False
    assert not {"Service", "Ingress", "HTTPRoute", "Route"} & set(documents)
    assert "NodePort" not in MANIFEST.read_text() and "hostNetwork" not in MANIFEST.read_text()
    policy = documents["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == {"matchLabels": LABEL} and policy["policyTypes"] == ["Ingress"]
    own, operator = policy["ingress"][0]["from"]
    assert own == {"podSelector": {"matchLabels": LABEL}}
    assert operator["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "kuberay-operator"}
    for name, template in templates(job).items():
        assert template["metadata"]["labels"].items() >= LABEL.items(), f"the policy must cover the {name}"


def test_every_container_is_bounded_and_confined(job: dict[str, Any]) -> None:
    assert len({container["image"] for container in containers(job)}) == 1, "drivers and workers must be of one build"
    for container in containers(job):
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        for name in ("cpu", "memory"):
            assert 0 < amount(requests[name]) <= amount(limits[name])
        assert not container.get("securityContext", {}).get("privileged")
    for template in templates(job).values():
        assert template["spec"]["automountServiceAccountToken"] is False


def test_no_secret_stands_in_the_manifest(job: dict[str, Any]) -> None:
    for container in containers(job):
        for variable in container.get("env", ()):
            assert not re.search("TOKEN|SECRET|KEY|PASSWORD", variable["name"]), "secrets come by reference"
    assert {"secretRef": {"name": "harness-bucket", "optional": True}} in list(containers(job))[1]["envFrom"]


def test_all_pods_see_the_results_and_a_scratch_disk(documents: dict[str, dict[str, Any]], job: dict[str, Any]) -> None:
    claim = documents["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for name, template in templates(job).items():
        if name == "submitter":
            continue
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        mounted = {mount["name"]: mount["mountPath"] for mount in template["spec"]["containers"][0]["volumeMounts"]}
        assert set(mounted) == set(volumes)
        assert volumes["results"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        cache = {one["name"]: one["value"] for one in template["spec"]["containers"][0]["env"]}["HARNESS_CACHE"]
        assert cache.startswith(f"{mounted['scratch']}/") and "sizeLimit" in volumes["scratch"]["emptyDir"]


def test_the_entrypoint_is_a_command_of_this_program(job: dict[str, Any]) -> None:
    program, *words = shlex.split(job["entrypoint"])
    arguments = build_parser().parse_args(words)
    assert program == "harness" and arguments.address == "auto"
    mounts = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    places = [mount["mountPath"] for mount in mounts]
    assert arguments.results in places and str(Path(arguments.study).parent) in places


def test_the_cluster_goes_when_the_run_has_ended(job: dict[str, Any]) -> None:
    assert job["shutdownAfterJobFinishes"] is True and job["ttlSecondsAfterFinished"] > 0
    assert job["backoffLimit"] == 0, "our own runs go on where they were; nothing starts half of one again"
    groups = job["rayClusterSpec"]["workerGroupSpecs"]
    assert all(group["minReplicas"] <= group["replicas"] <= group["maxReplicas"] for group in groups)
    assert job["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0", "strings, as Ray wants them"
