"""A compose file that Docker would take, and that leaves a burglar nothing."""

import ipaddress
import json
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator
from tests.deploy.described import DEPLOY, compose

# What ends by itself, or is asked by others only.
NO_HEALTH = {"migrate"}

FILE = compose()
SERVICES = pytest.mark.parametrize(
    "service", FILE["services"].values(), ids=FILE["services"]
)


def specification():
    """The Compose Specification's own schema, as check-jsonschema carries it."""
    folder = files("check_jsonschema.builtin_schemas.vendor")
    return json.loads((folder / "compose-spec.json").read_text())


def test_it_keeps_to_the_specification():
    validator = Draft202012Validator(specification())
    assert [error.message for error in validator.iter_errors(FILE)] == []


def test_a_misspelt_field_would_be_found():
    validator = Draft202012Validator(specification())
    wrong = FILE | {"services": {"app": FILE["services"]["app"] | {"readonly": True}}}
    assert not validator.is_valid(wrong)


@SERVICES
def test_no_container_can_become_root(service):
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"cap_add", "privileged", "devices", "pid", "ipc"}
    assert service.get("network_mode") is None


@SERVICES
def test_nothing_of_the_machine_is_writable(service):
    for volume in service.get("volumes", ()):
        if volume["type"] == "bind":
            assert volume["read_only"] is True
            assert volume["source"].startswith("./")
            assert (DEPLOY / volume["source"]).is_file()
        else:
            assert volume["source"] in FILE["volumes"]
    for mount in service["tmpfs"]:
        assert "size=" in mount


@SERVICES
def test_every_container_is_bounded(service):
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}


@SERVICES
def test_every_secret_is_a_file(service):
    for name in service.get("secrets", ()):
        assert FILE["secrets"][name] == {"file": f"./secrets/{name}"}
    for name, value in service.get("environment", {}).items():
        if "PASSWORD" in name or "KEY" in name:
            assert name.endswith("_FILE")
            assert value.rpartition("/")[2] in service["secrets"]


def test_no_secret_is_mounted_where_it_is_not_needed():
    def holders(secret):
        return {
            name
            for name, service in FILE["services"].items()
            if secret in service.get("secrets", ())
        }

    assert holders("keys.json") == {"app"}
    assert holders("owner_password") == {"migrate", "postgres"}
    assert holders("postgres_password") == {"postgres"}
    assert holders("proxy.key") == {"proxy"}
    assert "ca.key" not in FILE["secrets"]


def test_only_the_proxy_is_published():
    published = {name for name, it in FILE["services"].items() if "ports" in it}
    assert published == {"proxy"}


def test_only_the_proxy_reaches_the_internet():
    outside = {name for name, it in FILE["networks"].items() if not it.get("internal")}
    for name, service in FILE["services"].items():
        if outside & set(service["networks"]):
            assert name == "proxy"


def test_the_proxy_cannot_reach_the_stores():
    networks = {name: set(it["networks"]) for name, it in FILE["services"].items()}
    for store in ("postgres", "valkey"):
        assert not networks["proxy"] & networks[store]
        assert networks["app"] & networks[store]


def test_the_guard_believes_the_proxy_and_nobody_else():
    proxy = FILE["services"]["proxy"]["networks"]["front"]["ipv4_address"]
    assert FILE["services"]["app"]["environment"]["RINGFENCE_PROXIES"] == proxy
    (subnet,) = FILE["networks"]["front"]["ipam"]["config"]
    network = ipaddress.ip_network(subnet["subnet"])
    app = FILE["services"]["app"]["networks"]["front"]["ipv4_address"]
    assert {ipaddress.ip_address(proxy), ipaddress.ip_address(app)} < set(
        network.hosts()
    )


@SERVICES
def test_images_are_versions(service):
    name, _, tag = service["image"].rpartition(":")
    assert name
    assert any(character.isdigit() for character in tag)
    assert "latest" not in tag


@pytest.mark.parametrize("name", sorted(FILE["services"].keys() - NO_HEALTH))
def test_every_service_tells_whether_it_works(name):
    assert FILE["services"][name]["healthcheck"]["test"]


def test_the_application_waits_for_its_tables():
    waits = FILE["services"]["app"]["depends_on"]
    assert waits["migrate"]["condition"] == "service_completed_successfully"
    assert waits["valkey"]["condition"] == "service_healthy"


def test_the_role_of_the_application_has_enough_connections():
    """And the server more than that: the administrator must get in."""
    command = FILE["services"]["postgres"]["command"]
    settings = dict(it.split("=", 1) for it in command if "=" in it)
    roles = (DEPLOY / "postgres" / "roles.sql").read_text()
    limits = [
        int(line.rpartition("LIMIT ")[2].rstrip(";\n"))
        for line in roles.splitlines()
        if "CONNECTION LIMIT" in line
    ]
    assert sum(limits) < int(settings["max_connections"])
