"""The settings that containers get are those of a start in production."""

from urllib.parse import parse_qs, urlsplit

import pytest
from tests.deploy.described import OVERLAYS, compose, config, pods

from ringfence.settings import Settings, refuse_unsafe


def environments():
    """Yield each container of the guard with its environment and mounted files."""
    services = compose()["services"]
    for name in ("app", "migrate"):
        service = services[name]
        mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
        yield pytest.param(service["environment"], mounted, id=f"compose/{name}")
    for overlay in OVERLAYS:
        said = config(overlay)
        owner = said.pop("OWNER_DATABASE")
        yield pytest.param(said, {"guard", "stores"}, id=f"{overlay}/app")
        as_owner = said | {"RINGFENCE_DATABASE": owner}
        mounted = {"guard", "stores", "owner"}
        yield pytest.param(as_owner, mounted, id=f"{overlay}/migrate")


def of_the_guard(environment):
    return {k: v for k, v in environment.items() if k.startswith("RINGFENCE_")}


EACH = pytest.mark.parametrize(("environment", "mounted"), list(environments()))


@EACH
def test_every_name_is_a_setting_and_every_value_safe(environment, mounted):
    settings = Settings.load(environ=of_the_guard(environment))
    refuse_unsafe(settings)
    assert not settings.development


@EACH
def test_every_store_is_reached_by_tls_that_checks_the_name(environment, mounted):
    database = urlsplit(environment["RINGFENCE_DATABASE"])
    assert database.scheme == "postgresql"
    assert parse_qs(database.query)["sslmode"] == ["verify-full"]
    assert parse_qs(database.query)["sslrootcert"]
    store = urlsplit(environment["RINGFENCE_STORE"])
    assert store.scheme == "rediss"
    assert parse_qs(store.query)["ca_file"]


@EACH
def test_no_password_stands_in_a_url(environment, mounted):
    for name in ("RINGFENCE_DATABASE", "RINGFENCE_STORE"):
        url = urlsplit(environment[name])
        assert url.username
        assert url.password is None
        assert parse_qs(url.query)["password_file"]


@EACH
def test_every_file_that_is_named_is_mounted(environment, mounted):
    named = [environment["RINGFENCE_KEYS_FILE"]]
    for name in ("RINGFENCE_DATABASE", "RINGFENCE_STORE"):
        parameters = parse_qs(urlsplit(environment[name]).query)
        for parameter in ("sslrootcert", "ca_file", "password_file"):
            named += parameters.get(parameter, [])
    for path in named:
        assert path in mounted or path.split("/")[3] in mounted


def test_only_the_migration_is_the_owner_of_the_tables():
    services = compose()["services"]
    users = {
        name: urlsplit(services[name]["environment"]["RINGFENCE_DATABASE"]).username
        for name in ("app", "migrate")
    }
    assert users == {"app": "ringfence_app", "migrate": "ringfence_owner"}
    for overlay in OVERLAYS:
        said = config(overlay)
        assert urlsplit(said["RINGFENCE_DATABASE"]).username == "ringfence_app"
        assert urlsplit(said["OWNER_DATABASE"]).username == "ringfence_owner"
    for owner, pod in pods():
        held = {it["secret"]["secretName"] for it in pod["volumes"] if "secret" in it}
        assert ("owner" in held) == (owner.body["kind"] == "Job")
