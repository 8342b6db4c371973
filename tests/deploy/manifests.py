"""
The Kubernetes manifests as `kubectl apply -k` would send them: rendered by Kustomize, held against Kubernetes' schemas.

`python -m tests.deploy.manifests` checks the base and every overlay. Kustomize is the one in PATH, else one built from
its Go modules into the cache that all checkouts share. Without Go and network this says so and checks nothing at home,
and fails in CI.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
PIPELINES = ("base", "overlays/dev", "overlays/prod", "overlays/keda")
KUSTOMIZATIONS = (*PIPELINES, "monitoring")
KUBERNETES_VERSIONS = ("1.31", "1.34")
"""The oldest and the newest that the manifests are held against."""
GO_MODULE = Path(__file__).parent / "kustomize"
CACHE = Path("~/.cache/pql-stream").expanduser()
BUILD_S_MAX = 600
CUSTOM = frozenset({"keda.sh/v1alpha1", "monitoring.coreos.com/v1"})
"""Kinds that are none of Kubernetes' own, so that there is no schema here."""

Manifest = dict[str, Any]


class NoKustomize(Exception):
    """Why it cannot be had here."""


def kustomize() -> Path:
    """
    The program, built when it is not there yet (a minute, once).

    Raises:
        NoKustomize: it is not in PATH, and cannot be built.
    """
    if there := shutil.which("kustomize"):
        return Path(there)
    go = shutil.which("go")
    if go is None:
        raise NoKustomize("neither kustomize nor go is in PATH")
    digest = hashlib.sha256((GO_MODULE / "go.sum").read_bytes()).hexdigest()[:12]
    program = CACHE / f"kustomize-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "kustomize.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(go, program)
    return program


def _build(go: str, program: Path) -> None:
    new = program.with_suffix(".new")
    command = [go, "build", "-mod=readonly", "-o", str(new), "sigs.k8s.io/kustomize/kustomize/v5"]
    done = subprocess.run(command, cwd=GO_MODULE, capture_output=True, text=True, check=False, timeout=BUILD_S_MAX)
    if done.returncode:
        raise NoKustomize(f"go could not build it: {done.stderr.strip()[-500:]}")
    new.rename(program)


@cache
def rendered(kustomization: str) -> tuple[Manifest, ...]:
    """
    Every manifest of *kustomization*, a directory below deploy/kubernetes.

    Raises:
        NoKustomize: there is no program.
        ValueError: it does not build.
    """
    done = subprocess.run(
        [str(kustomize()), "build", str(KUBERNETES / kustomization)], capture_output=True, text=True, check=False
    )
    if done.returncode or done.stderr:
        raise ValueError(f"{kustomization}: {done.stderr}")
    return tuple(yaml.safe_load_all(done.stdout))


def problems(manifest: Manifest) -> list[str]:
    """What Kubernetes would refuse, or would ignore because it knows no such field."""
    if manifest["apiVersion"] in CUSTOM:
        return []
    found = []
    for version in KUBERNETES_VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as exc:
            found.append(f"Kubernetes {version}: {'.'.join(map(str, exc.path))}: {exc.message}")
    return found


def main() -> int:
    """1 if one of them does not build, or is not valid."""
    try:
        kustomize()
    except NoKustomize as exc:
        print(f"Kubernetes manifests are not checked: {exc}", file=sys.stderr)  # noqa: T201 - a program's own output
        return 1 if os.environ.get("CI") else 0
    faults = 0
    for kustomization in KUSTOMIZATIONS:
        manifests = rendered(kustomization)
        for manifest in manifests:
            for problem in problems(manifest):
                faults += 1
                print(f"{kustomization}: {manifest['kind']} {manifest['metadata']['name']}: {problem}")  # noqa: T201 - as above
        print(f"{kustomization}: {len(manifests)} manifests", file=sys.stderr)  # noqa: T201 - as above
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
