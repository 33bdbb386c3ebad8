"""Manifests that a cluster would take, and that leave a broken-in process nothing."""

import ipaddress

import kubernetes_validate
import pytest
from tests.deploy.described import (
    DEPLOY,
    KUBERNETES,
    OVERLAYS,
    config,
    documents,
    everything,
    kustomization,
    manifests,
    pods,
)

VERSION = "1.37"

PODS = pytest.mark.parametrize(
    ("owner", "pod"), [pytest.param(*pair, id=pair[0].name) for pair in pods()]
)


@pytest.mark.parametrize("resource", everything(), ids=lambda it: it.name)
def test_every_manifest_keeps_to_its_schema(resource):
    """That of the API itself, strictly: a misspelt field is refused, not ignored."""
    kubernetes_validate.validate(resource.body, VERSION, strict=True)


def test_a_misspelt_field_would_be_found():
    deployment = manifests("base")[0].body | {"automountServiceAcountToken": False}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSION, strict=True)


@pytest.mark.parametrize("folder", ["base", "managed", "try", "migrate"])
def test_every_file_is_part_of_its_folder(folder):
    """A policy that nobody applies protects nobody."""
    said = kustomization(folder)
    assert said["namespace"] == "ringfence"
    named = {name for name in said["resources"] if name.endswith(".yaml")}
    named |= {patch["path"] for patch in said.get("patches", ())}
    there = {file.name for file in (KUBERNETES / folder).glob("*.yaml")}
    assert named == there - {"kustomization.yaml"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_patches_are_for_what_the_base_has(overlay):
    base = {(it.body["kind"], it.called) for it in manifests("base")}
    for patch in kustomization(overlay)["patches"]:
        for resource in documents(KUBERNETES / overlay / patch["path"]):
            assert (resource.body["kind"], resource.called) in base


def test_the_namespace_admits_restricted_pods_only():
    (namespace,) = [it for it in everything() if it.body["kind"] == "Namespace"]
    labels = namespace.body["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


@PODS
def test_no_pod_can_become_root(owner, pod):
    """The profile "restricted" of the Pod Security Standards, written out, so that it
    holds where the namespace's labels are lost as well."""
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["runAsGroup"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for container in pod["containers"] + pod.get("initContainers", []):
        inner = container["securityContext"]
        assert inner["allowPrivilegeEscalation"] is False
        assert inner["readOnlyRootFilesystem"] is True
        assert inner["runAsNonRoot"] is True
        assert inner["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in inner


@PODS
def test_no_pod_holds_a_token_of_the_cluster(owner, pod):
    assert pod["automountServiceAccountToken"] is False


@PODS
def test_no_service_puts_settings_into_a_pod(owner, pod):
    """A service called "ringfence" would set RINGFENCE_PORT."""
    assert pod["enableServiceLinks"] is False


@PODS
def test_secrets_are_files_for_their_group_only(owner, pod):
    secrets = {
        volume["name"]: volume["secret"]
        for volume in pod["volumes"]
        if "secret" in volume
    }
    assert secrets
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    assert {secret["defaultMode"] for secret in secrets.values()} == {0o400}
    for container in pod["containers"]:
        for mount in container["volumeMounts"]:
            if mount["name"] in secrets:
                assert mount["readOnly"] is True
        for variable in container.get("env", ()):
            assert "secretKeyRef" not in variable.get("valueFrom", {})
        for source in container.get("envFrom", ()):
            assert "secretRef" not in source


@PODS
def test_what_is_written_is_bounded(owner, pod):
    for volume in pod["volumes"]:
        assert volume.keys() & {"secret", "configMap", "emptyDir"}
        if "emptyDir" in volume:
            assert volume["emptyDir"]["sizeLimit"]


@PODS
def test_every_container_states_what_it_needs(owner, pod):
    for container in pod["containers"]:
        needs = container["resources"]
        assert needs["requests"].keys() >= {"cpu", "memory", "ephemeral-storage"}
        assert needs["limits"].keys() >= {"memory", "ephemeral-storage"}


@PODS
def test_images_are_versions(owner, pod):
    for container in pod["containers"]:
        name, _, tag = container["image"].rpartition(":")
        assert name
        assert any(character.isdigit() for character in tag)
        assert "latest" not in tag


def test_no_manifest_is_a_secret():
    """Values are made by make-secrets, and are never committed."""
    assert "Secret" not in {it.body["kind"] for it in everything()}


def test_mounted_secrets_are_those_that_the_page_tells_to_make():
    text = (DEPLOY / "README.md").read_text()
    for _, pod in pods():
        for volume in pod["volumes"]:
            if "secret" in volume:
                name = volume["secret"]["secretName"]
                assert f"create secret generic {name} " in text


def test_probes_ask_under_the_public_name():
    """By its address the guard would answer none, and every pod would be restarted."""
    ((_, pod),) = [pair for pair in pods() if pair[0].body["kind"] == "Deployment"]
    (container,) = pod["containers"]
    for overlay in OVERLAYS:
        public = config(overlay)["RINGFENCE_PUBLIC_ORIGINS"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            (header,) = container[probe]["httpGet"]["httpHeaders"]
            assert header["name"] == "Host"
            assert public == f"https://{header['value']}"


def policies(overlay):
    return [
        resource.body
        for folder in ("base", overlay)
        for resource in manifests(folder)
        if resource.body["kind"] == "NetworkPolicy"
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_no_policy_allows_is_refused_both_ways(overlay):
    nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert nothing in [policy["spec"] for policy in policies(overlay)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_policy_opens_a_pod_to_all(overlay):
    """An entry without `from` or `to`, or with an empty one, would."""
    for policy in policies(overlay):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for entry in policy["spec"].get(direction, ()):
                assert entry["ports"]
                assert entry[peers]
                for peer in entry[peers]:
                    assert peer
                    assert peer.get("podSelector") != {}
                    assert peer.get("namespaceSelector") != {}
                    if "ipBlock" in peer:
                        network = ipaddress.ip_network(peer["ipBlock"]["cidr"])
                        assert network.is_private
                        assert network.num_addresses <= 256


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_application_reaches_names_and_its_stores_alone(overlay):
    """So that a server led astray (SSRF, CWE-918) finds nobody to speak to."""
    ports = {
        port["port"]
        for policy in policies(overlay)
        for entry in policy["spec"].get("egress", ())
        for port in entry["ports"]
    }
    assert ports == {53, 5432, 6379}


def test_the_stores_hear_the_application_alone():
    into = {
        policy["metadata"]["name"]: policy["spec"]["ingress"]
        for policy in policies("try")
        if policy["metadata"]["name"].startswith("into-")
    }
    assert into.keys() == {"into-postgres", "into-valkey"}
    for (entry,) in into.values():
        (peer,) = entry["from"]
        assert peer.keys() == {"podSelector"}


def test_selectors_find_their_pods():
    """A policy, service or budget whose label nobody has does nothing."""
    there = {
        owner.body["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
        for owner, _ in pods()
    }
    for resource in everything():
        if resource.body["kind"] == "Service":
            (wanted,) = resource.body["spec"]["selector"].values()
            assert wanted in there
        if resource.body["kind"] == "PodDisruptionBudget":
            (wanted,) = resource.body["spec"]["selector"]["matchLabels"].values()
            assert wanted in there
    for overlay in OVERLAYS:
        for policy in policies(overlay):
            selector = policy["spec"]["podSelector"]
            named = set(selector.get("matchLabels", {}).values())
            for expression in selector.get("matchExpressions", ()):
                named |= set(expression["values"])
            assert named <= there


def test_mounted_files_of_stores_are_those_of_the_repository():
    """Kubernetes is given the same rules as compose (see README.md)."""
    text = (DEPLOY / "README.md").read_text()
    for file in ("postgres/roles.sql", "postgres/pg_hba.conf", "valkey/valkey.conf"):
        assert (DEPLOY / file).is_file()
        assert f"--from-file=deploy/{file}" in text
