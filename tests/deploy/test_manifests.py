"""What every pod must have, in the manifests that Kustomize renders."""

import os
import re

import pytest
import yaml

from pql_stream.ops.settings import load_settings
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.stream.names import APP_ID, PRODUCT_ACTIVITY
from tests.deploy.manifests import (
    KUBERNETES,
    KUSTOMIZATIONS,
    PIPELINES,
    ROOT,
    NoKustomize,
    kustomize,
    problems,
    rendered,
)

OURS = ("pql-stream-score", "pql-stream-deliver", "pql-stream-topics")
WORKERS = OURS[:2]


@pytest.fixture(scope="module", autouse=True)
def _there() -> None:
    """Kustomize. Skip where it cannot be had at home; fail in CI, where a skipped test would be a hole."""
    try:
        kustomize()
    except NoKustomize as exc:
        if os.environ.get("CI"):
            pytest.fail(str(exc))
        pytest.skip(str(exc))


def of_kind(kustomization, *kinds):
    return [one for one in rendered(kustomization) if one["kind"] in kinds]


def pods_of(kustomization):
    """Name -> the template's spec, of everything that starts pods."""
    found = of_kind(kustomization, "StatefulSet", "Deployment", "Job")
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in found}


def ours(kustomization):
    return {name: pod for name, pod in pods_of(kustomization).items() if name in OURS}


def container(pod):
    [only] = pod["containers"]
    return only


def mounted(pod, kustomization):
    """The settings that the container is started with."""
    maps = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(kustomization, "ConfigMap")}
    given = {}
    for source in container(pod)["envFrom"]:
        given |= maps[source["configMapRef"]["name"]]
    return given


def test_a_field_that_kubernetes_does_not_know_is_found():
    """What `make check` holds every manifest against can fail: a misspelled field is told."""
    [budget, *_] = of_kind("base", "PodDisruptionBudget")

    assert problems(budget | {"spec": budget["spec"] | {"maxUnavailabel": 1}})


@pytest.mark.parametrize("kustomization", PIPELINES)
def test_every_pod_is_locked_down(kustomization):
    """No root, no new rights, no capabilities, no token; ours write to their volumes and nowhere else."""
    for name, pod in pods_of(kustomization).items():
        rights = container(pod)["securityContext"]
        assert (True, "RuntimeDefault") == (
            pod["securityContext"]["runAsNonRoot"],
            pod["securityContext"]["seccompProfile"]["type"],
        ), name
        assert (False, ["ALL"]) == (rights["allowPrivilegeEscalation"], rights["capabilities"]["drop"]), name
        assert not pod["automountServiceAccountToken"], name
        assert not pod["enableServiceLinks"], name
        assert rights.get("readOnlyRootFilesystem") or name not in OURS, name


@pytest.mark.parametrize("kustomization", PIPELINES)
def test_every_container_says_what_it_needs(kustomization):
    """Requests, and a limit of memory; none of CPU, for a throttled worker misses its heartbeats."""
    for name, pod in pods_of(kustomization).items():
        resources = container(pod)["resources"]
        assert {"cpu", "memory"} == set(resources["requests"]), name
        assert {"memory"} == set(resources["limits"]), name


@pytest.mark.parametrize("kustomization", PIPELINES)
def test_workers_are_probed_and_end_in_time(kustomization):
    """Start-up and liveness ask /healthz, readiness /readyz; a start may take ten minutes, an end one."""
    for name, pod in ours(kustomization).items():
        if name not in WORKERS:
            continue
        only = container(pod)
        probes = {kind: only[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
        paths = {kind: probe["httpGet"]["path"] for kind, probe in probes.items()}
        assert {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"} == paths
        assert {"http"} == {probe["httpGet"]["port"] for probe in probes.values()}
        assert 600 == probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"]
        assert 60 == pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("kustomization", PIPELINES)
def test_state_is_a_volume_of_each_pod(kustomization):
    """A claim for each pod, for one pod alone where the storage can say so, mounted where the image keeps its state."""
    for workload in of_kind(kustomization, "StatefulSet"):
        [claim] = workload["spec"]["volumeClaimTemplates"]
        mounts = {
            mount["name"]: mount["mountPath"]
            for mount in container(workload["spec"]["template"]["spec"])["volumeMounts"]
        }
        assert "/var/lib/pql-stream" == mounts[claim["metadata"]["name"]]
        assert ["ReadWriteOnce" if kustomization == "overlays/dev" else "ReadWriteOncePod"] == claim["spec"][
            "accessModes"
        ]
        assert "Parallel" == workload["spec"]["podManagementPolicy"]


@pytest.mark.parametrize("kustomization", PIPELINES)
def test_a_drain_takes_one_worker_at_a_time(kustomization):
    """Each StatefulSet has a budget that selects it, and a headless Service of its name."""
    budgets = {
        one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]: one["spec"]["maxUnavailable"]
        for one in of_kind(kustomization, "PodDisruptionBudget")
    }
    headless = {
        one["metadata"]["name"] for one in of_kind(kustomization, "Service") if one["spec"].get("clusterIP") == "None"
    }

    assert dict.fromkeys(WORKERS, 1) == budgets
    assert set(WORKERS) == headless == {one["spec"]["serviceName"] for one in of_kind(kustomization, "StatefulSet")}


@pytest.mark.parametrize("kustomization", PIPELINES)
def test_the_settings_are_settings(kustomization, tmp_path, monkeypatch):
    """What the pods are started with is taken by the worker's own settings, once the Secrets' files are there."""
    for pod in ours(kustomization).values():
        given = mounted(pod, kustomization)
        given |= {one["name"]: one.get("value", "of-a-secret") for one in container(pod).get("env", ())}
        for name, path in given.items():
            if path.startswith("/run/secrets/"):
                (tmp_path / name).write_text("redis://redis:6379/0")
                given = given | {name: str(tmp_path / name)}

        assert load_settings(given).bootstrap_servers


@pytest.mark.parametrize("kustomization", PIPELINES)
def test_the_files_that_settings_name_are_mounted(kustomization):
    """A secret's file is in a volume of the pod, and its Secret has an item of that name."""
    for name, pod in ours(kustomization).items():
        given = mounted(pod, kustomization) | {
            one["name"]: one.get("value", "") for one in container(pod).get("env", ())
        }
        secrets = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
        there = {
            f"{mount['mountPath']}/{item['path']}"
            for mount in container(pod)["volumeMounts"]
            for item in secrets.get(mount["name"], {}).get("items", ())
        }
        assert set() == {path for path in given.values() if path.startswith("/run/secrets/")} - there, name


@pytest.mark.parametrize("kustomization", PIPELINES)
def test_nothing_secret_is_in_them(kustomization):
    """Secrets are referred to; only the throw-away overlay makes one, with an address that is none."""
    made = [one["metadata"]["name"] for one in of_kind(kustomization, "Secret")]

    assert (1 if kustomization == "overlays/dev" else 0) == len(made)
    assert not re.search(r"password:|BEGIN .*PRIVATE KEY", yaml.safe_dump_all(rendered(kustomization)))


def test_a_changed_setting_rolls_the_pods():
    """The names of the generated ConfigMaps have a hash, and the pods use these names."""
    names = {one["metadata"]["name"] for one in of_kind("base", "ConfigMap")}

    assert {"pql-stream-settings", "pql-stream-sinks"} == {name.rpartition("-")[0] for name in names}
    assert {
        source["configMapRef"]["name"] for pod in ours("base").values() for source in container(pod)["envFrom"]
    } < names


def test_scaling_ends_at_the_partitions():
    """KEDA follows the scorer's group on its topic, up to as many workers as partitions, and owns the number."""
    [scaled] = of_kind("overlays/keda", "ScaledObject")
    [trigger] = scaled["spec"]["triggers"]
    [activity] = [topic for topic in load_declarations() if topic.name == PRODUCT_ACTIVITY]
    [scorer] = [one for one in of_kind("overlays/keda", "StatefulSet") if one["metadata"]["name"] == "pql-stream-score"]

    assert (APP_ID, PRODUCT_ACTIVITY) == (trigger["metadata"]["consumerGroup"], trigger["metadata"]["topic"])
    assert activity.partitions == scaled["spec"]["maxReplicaCount"]
    assert "replicas" not in scorer["spec"]


def test_every_rule_and_dashboard_is_handed_on():
    """The ConfigMaps have each file that is there, and no other; Prometheus' job has the name that alerts ask for."""
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind("monitoring", "ConfigMap")}
    [monitor] = of_kind("monitoring", "PodMonitor")

    for name, pattern in {"rules": "prometheus/*.rules.yml", "dashboards": "grafana/*.json"}.items():
        there = {path.name: path.read_text() for path in (ROOT / "deploy").glob(pattern)}
        assert there
        assert there == maps[f"pql-stream-{name}"]
    assert "app.kubernetes.io/part-of" == monitor["spec"]["jobLabel"]
    labels = next(one for one in of_kind("base", "StatefulSet"))["spec"]["template"]["metadata"]["labels"]
    assert "pql-stream" == labels[monitor["spec"]["jobLabel"]]


def test_every_overlay_is_looked_at():
    """No directory with a kustomization is left out."""
    found = {str(path.parent.relative_to(KUBERNETES)) for path in KUBERNETES.rglob("kustomization.yaml")}

    assert set(KUSTOMIZATIONS) == found
