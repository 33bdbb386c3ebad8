import ast
import dataclasses
import inspect
from itertools import pairwise
from pathlib import Path

import pytest

from ringfence import Settings
from ringfence.errors import SettingsError
from ringfence.settings.load import load
from ringfence.traffic.settings import TrafficSettings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def toml(tmp_path, text):
    path = tmp_path / "ringfence.toml"
    path.write_text(text)
    return path


def refused(*, toml=None, environ=None, **overrides):
    with pytest.raises(SettingsError) as caught:
        Settings.load(toml, environ or {}, **overrides)
    return str(caught.value)


def test_without_anything_it_is_production():
    """Trap 6: development must be asked for."""
    settings = Settings.load(environ={})
    assert settings.env == "production"
    assert not settings.development


def test_code_goes_before_environment_before_file(tmp_path):
    path = toml(
        tmp_path,
        'data = "file"\nstore = "file"\ndatabase = "file"\n'
        "[traffic]\nmax_body = 1\npath_limit = 1\nquery_limit = 1\n",
    )
    environ = {
        "RINGFENCE_DATA": "environ",
        "RINGFENCE_STORE": "environ",
        "RINGFENCE_TRAFFIC_MAX_BODY": "2",
        "RINGFENCE_TRAFFIC_PATH_LIMIT": "2",
    }
    found = Settings.load(path, environ, data="code", traffic={"max_body": 3})
    assert (str(found.data), found.store, found.database) == ("code", "environ", "file")
    traffic = found.traffic
    assert (traffic.max_body, traffic.path_limit, traffic.query_limit) == (3, 2, 1)


def test_a_room_of_the_code_stands_for_itself():
    room = TrafficSettings(max_body=7)
    environ = {"RINGFENCE_TRAFFIC_MAX_BODY": "2"}
    assert Settings.load(environ=environ, traffic=room).traffic is room


def test_the_file_of_the_current_directory_is_read(tmp_path):
    toml(tmp_path, 'env = "development"\n')
    assert Settings.load(environ={}).development


def test_a_named_file_has_to_be_there(tmp_path):
    assert "cannot be read" in refused(toml=tmp_path / "no.toml")


def test_every_field_of_every_room_can_be_set_from_outside():
    """No setting is out of an operator's reach."""
    for room in dataclasses.fields(Settings):
        default = getattr(Settings(), room.name)
        if not dataclasses.is_dataclass(default):
            continue
        for field in dataclasses.fields(default):
            value = getattr(default, field.name)
            if isinstance(value, bool | int):
                name = f"RINGFENCE_{room.name}_{field.name}".upper()
                loaded = Settings.load(environ={name: str(value)})
                assert getattr(getattr(loaded, room.name), field.name) == value


def test_roles_and_policies_have_a_notation():
    found = Settings.load(
        environ={
            "RINGFENCE_ACCESS_HIERARCHY": "admin>operator>staff",
            "RINGFENCE_BROWSER_CSP": "img-src 'self' data:",
        }
    )
    assert found.access.hierarchy["operator"] == ("staff",)
    assert found.browser.csp == {"img-src": "'self' data:"}


GUESSES = {
    "RINGFENCE_TRAFIC_MAX_BODY": "did you mean RINGFENCE_TRAFFIC_MAX_BODY?",
    "RINGFENCE_PROXYS": "did you mean RINGFENCE_PROXIES?",
    "RINGFENCE_ENVIRONMENT": "did you mean RINGFENCE_ENV?",
    "ringfence_env": "did you mean RINGFENCE_ENV?",
    "RINGFENCE_XYZZY": "is no setting",
    "RINGFENCE_PORT_8000_TCP": "enableServiceLinks",
    "RINGFENCE_SERVICE_HOST": "enableServiceLinks",
}


@pytest.mark.parametrize(("name", "expected"), GUESSES.items())
def test_an_unknown_variable_is_refused_with_a_guess(name, expected):
    """A misspelt limit would leave the default in force, in silence."""
    message = refused(environ={name: "development"})
    assert name in message
    assert expected in message


FILES = {
    "at the top": ('\nproxis = ["none"]', "proxis", 2, "did you mean proxies?"),
    "in a room": ("[traffic]\n\nmax_boddy = 1", "max_boddy", 3, "mean max_body?"),
    "a room": ("[trafic]\nmax_body = 1", "trafic", 1, "did you mean traffic?"),
    "quoted": ('[traffic]\n"max_boddy" = 1', "max_boddy", 2, "mean max_body?"),
    "a wrong type": ('\n\n[traffic]\nmax_body = "1"', "max_body", 4, "whole number"),
    "a wrong choice": ('env = "dev"', "env", 1, "'production', 'development'"),
    "out of range": ("[traffic]\npath_limit = 0", "path_limit", 2, "at least 1"),
    "no table": ("traffic = 3", "traffic", 0, "write [traffic]"),
}


@pytest.mark.parametrize(
    ("text", "name", "line", "expected"), FILES.values(), ids=FILES
)
def test_a_wrong_file_is_told_where_and_how(tmp_path, text, name, line, expected):
    path = toml(tmp_path, text)
    message = refused(toml=path)
    assert name in message
    assert expected in message
    assert (f"{path}:{line}" if line else str(path)) in message


def test_no_toml_is_told(tmp_path):
    assert "no TOML" in refused(toml=toml(tmp_path, "env = "))


def test_no_text_is_told(tmp_path):
    path = tmp_path / "ringfence.toml"
    path.write_bytes(b"\xff\xfe")
    assert "UTF-8" in refused(toml=path)


def test_a_wrong_value_names_its_variable():
    message = refused(environ={"RINGFENCE_TRAFFIC_MAX_BODY": "1 MB"})
    assert "the environment variable RINGFENCE_TRAFFIC_MAX_BODY" in message
    assert "'1 MB'; expected a whole number" in message


def test_what_a_room_refuses_names_its_variable():
    message = refused(environ={"RINGFENCE_TRAFFIC_PATH_LIMIT": "0"})
    assert "at least 1" in message
    assert "RINGFENCE_TRAFFIC_PATH_LIMIT" in message


def test_everything_that_is_wrong_is_told_at_once():
    message = refused(
        environ={"RINGFENCE_ENV": "dev", "RINGFENCE_AUDIT_QUEUE": "x"},
        idenity={},
        traffic={"max_boddy": 1},
        browser=3,
    )
    assert message.startswith("5 settings are wrong:\n")
    for part in ("env", "audit.queue", "idenity", "max_boddy", "BrowserSettings"):
        assert part in message


def test_no_secret_is_quoted():
    message = refused(environ={"RINGFENCE_ENV": "password=hunter2"})
    assert "hunter2" not in message
    settings = Settings(database="postgresql://u:hunter2@h/d", store="x://:hunter2@h")
    assert "hunter2" not in repr(settings)


def test_the_database_is_a_file_in_the_data_directory():
    settings = Settings.load(environ={"RINGFENCE_DATA": "/srv/a b"})
    assert settings.database == "sqlite:////srv/a%20b/ringfence.db"
    assert settings.keys_path == Path("/srv/a b/keys.json")


def test_proxies_are_said_once():
    settings = Settings.load(environ={"RINGFENCE_PROXIES": "10.0.0.0/8"})
    assert settings.traffic.proxies == ("10.0.0.0/8",)
    settings = Settings(traffic=TrafficSettings(proxies=("none",)))
    assert settings.proxies == ("none",)
    environ = {"RINGFENCE_PROXIES": "none", "RINGFENCE_TRAFFIC_PROXIES": "10.0.0.0/8"}
    assert "different things" in refused(environ=environ)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().env = "development"


def test_every_field_says_what_it_is_for():
    """The reference page is made from these."""
    for kind in {
        type(getattr(Settings(), f.name)) for f in dataclasses.fields(Settings)
    } | {Settings}:
        if not dataclasses.is_dataclass(kind):
            continue
        body = ast.parse(inspect.getsource(kind)).body[0].body
        for field, after in pairwise(body):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{kind.__name__}.{field.target.id}"


def test_any_dataclass_is_loaded():
    @dataclasses.dataclass(frozen=True)
    class Room:
        size: int = 1

    made = dataclasses.make_dataclass("All", [("room", Room, Room())], frozen=True)
    found = load(made, toml=None, environ={"RINGFENCE_ROOM_SIZE": "2"}, overrides={})
    assert found.room == Room(2)


def test_a_name_like_none_is_not_guessed_at(tmp_path):
    text = refused(toml=toml(tmp_path, "qqqq = 1\n"))
    assert "qqqq" in text
    assert "is no setting" in text
    assert "did you mean" not in text


def test_a_quoted_or_dotted_name_is_found_in_its_line(tmp_path):
    path = toml(tmp_path, '\n# ours\ntraffic."max_bodyy" = 1\n')
    assert "max_bodyy" in refused(toml=path)
