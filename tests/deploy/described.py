"""The files in ``deploy``, read."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("managed", "try")
DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass(frozen=True)
class Resource:
    """One document of a manifest."""

    file: Path
    body: dict

    @property
    def name(self):
        return f"{self.file.parent.name}/{self.body['kind']}/{self.called}"

    @property
    def called(self):
        return self.body["metadata"]["name"]


def kustomization(folder):
    """Return what a folder's ``kustomization.yaml`` says."""
    return yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())


def documents(file):
    return [
        Resource(file, body) for body in yaml.safe_load_all(file.read_text()) if body
    ]


def manifests(folder):
    """Return the resources of a folder, patches among them, without its base."""
    return [
        resource
        for file in sorted((KUBERNETES / folder).glob("*.yaml"))
        if file.name != "kustomization.yaml"
        for resource in documents(file)
    ]


def everything():
    return [
        resource
        for folder in ("base", "managed", "try", "migrate")
        for resource in manifests(folder)
    ]


def config(overlay):
    """Return the settings that containers get there: the base, patched."""
    merged = {}
    for folder in ("base", overlay):
        for resource in manifests(folder):
            if resource.body["kind"] == "ConfigMap" and resource.called == "settings":
                merged |= resource.body["data"]
    return merged


def pods():
    """Return everything that makes pods, with the pods' own description."""
    return [
        (resource, resource.body["spec"]["template"]["spec"])
        for resource in everything()
        if resource.body["kind"] in {"Deployment", "StatefulSet", "Job"}
    ]


def compose():
    """Return the compose file, its variables at their defaults."""
    text = (DEPLOY / "compose.yaml").read_text()
    return yaml.safe_load(DEFAULT.sub(lambda found: found[2], text))
