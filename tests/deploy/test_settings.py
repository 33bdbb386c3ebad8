"""The settings that containers get are those of a start in production."""

from urllib.parse import parse_qs, urlsplit

import pytest
from tests.deploy.described import OVERLAYS, compose, config, pods

from ringfence.settings import Settings, refuse_unsafe


def environments():
    """Return the environment of each server, with what is mounted in it."""
    service = compose()["services"]["app"]
    mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
    return [
        pytest.param(service["environment"], mounted, id="compose"),
        *(
            pytest.param(config(overlay), {"guard", "stores"}, id=overlay)
            for overlay in OVERLAYS
        ),
    ]


def owners():
    """Return the URL of each migration, with what is mounted there."""
    service = compose()["services"]["migrate"]
    mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
    (url,) = service["environment"].values()
    found = [pytest.param(url, mounted, id="compose")]
    for overlay in OVERLAYS:
        url = config(overlay)["OWNER_DATABASE"]
        found.append(pytest.param(url, {"stores", "owner"}, id=overlay))
    return found


def of_the_guard(environment):
    return {k: v for k, v in environment.items() if k.startswith("RINGFENCE_")}


EACH = pytest.mark.parametrize(("environment", "mounted"), environments())


@EACH
def test_every_name_is_a_setting_and_every_value_safe(environment, mounted):
    settings = Settings.load(environ=of_the_guard(environment))
    refuse_unsafe(settings)
    assert not settings.development


def is_verified(database):
    """Whether the certificate of the server must be for its name."""
    parts = urlsplit(database)
    given = parse_qs(parts.query)
    return (
        parts.scheme == "postgresql"
        and given["sslmode"] == ["verify-full"]
        and bool(given["sslrootcert"])
    )


@EACH
def test_every_store_is_reached_by_tls_that_checks_the_name(environment, mounted):
    assert is_verified(environment["RINGFENCE_DATABASE"])
    store = urlsplit(environment["RINGFENCE_STORE"])
    assert store.scheme == "rediss"
    assert parse_qs(store.query)["ca_file"]


@pytest.mark.parametrize(("url", "mounted"), owners())
def test_the_owner_signs_in_as_carefully(url, mounted):
    assert is_verified(url)
    assert urlsplit(url).password is None
    assert all(is_mounted(path, mounted) for path in files_in(url))


@EACH
def test_no_password_stands_in_a_url(environment, mounted):
    for name in ("RINGFENCE_DATABASE", "RINGFENCE_STORE"):
        url = urlsplit(environment[name])
        assert url.username
        assert url.password is None
        assert parse_qs(url.query)["password_file"]


def files_in(url):
    given = parse_qs(urlsplit(url).query)
    names = ("sslrootcert", "ca_file", "password_file")
    return [path for name in names for path in given.get(name, [])]


def is_mounted(path, mounted):
    return path in mounted or path.split("/")[3] in mounted


@EACH
def test_every_file_that_is_named_is_mounted(environment, mounted):
    for name in ("RINGFENCE_DATABASE", "RINGFENCE_STORE"):
        assert len(files_in(environment[name])) == 2
        assert all(is_mounted(path, mounted) for path in files_in(environment[name]))
    assert is_mounted(environment["RINGFENCE_KEYS_FILE"], mounted)


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
