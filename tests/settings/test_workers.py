"""Several processes do not keep apart what belongs together."""

import pytest

from ringfence import Settings
from ringfence.errors import SettingsError
from ringfence.settings.workers import refuse_memory, refuse_unshared, several

SHARED = {"store": "redis://127.0.0.1", "database": "sqlite:///var/r.db"}


def problems(**overrides):
    settings = Settings.load(environ={}, **(SHARED | overrides))
    try:
        refuse_memory(settings, "there are two")
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("store", ["", "memory://"])
def test_counters_in_memory_would_multiply(store):
    said = problems(store=store)
    assert said.startswith("there are two")
    assert "RINGFENCE_STORE=redis://127.0.0.1:6379/0" in said
    assert "RINGFENCE_STORE=sqlite:///var/counters.db" in said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"identity": {"sessions": "memory"}}, "unset RINGFENCE_IDENTITY_SESSIONS"),
        ({"database": "memory://"}, "RINGFENCE_DATABASE=sqlite:///"),
    ],
)
def test_sessions_in_memory_are_known_to_one_only(overrides, said):
    assert said in problems(**overrides)
    without = overrides | {"identity": {"enabled": False, "sessions": "memory"}}
    assert problems(**without) == ""


def test_what_is_shared_is_served_by_many():
    assert problems() == ""


ALONE = (["/usr/bin/app"], {}, False)
MANY = {
    "a platform": (["app"], {"WEB_CONCURRENCY": "4"}, False),
    "uvicorn": (["/bin/uvicorn", "m:app", "--workers", "4"], {}, True),
    "uvicorn as a module": (["/x/uvicorn/__main__.py", "--workers=4"], {}, True),
    "gunicorn": (["/bin/gunicorn", "-w4", "m:app"], {}, False),
    "gunicorn's variable": (["gunicorn"], {"GUNICORN_CMD_ARGS": "-w 4"}, False),
    "granian": (["granian", "m:app", "--workers", "2"], {}, True),
    "a script": (["serve.py"], {}, True),
}
ONE = {
    "a script": ALONE,
    "a platform": (["app"], {"WEB_CONCURRENCY": "1"}, True),
    "nonsense": (["app"], {"WEB_CONCURRENCY": "many"}, False),
    "uvicorn": (["/bin/uvicorn", "m:app"], {}, False),
    "uvicorn that reloads": (["/bin/uvicorn", "m:app", "--reload"], {}, True),
    "granian": (["granian", "m:app"], {}, True),
    "the last word": (["gunicorn", "-w", "4", "-w", "1"], {}, False),
    "another program": (["pytest", "-w", "4"], {}, False),
    "no name": ([], {}, False),
}


@pytest.mark.parametrize("case", MANY.values(), ids=MANY)
def test_what_can_be_seen_of_others_is_seen(case):
    """Limits would multiply without a word where somebody else starts workers."""
    arguments, environ, is_child = case
    assert several(environ, arguments, is_child=is_child)
    with pytest.raises(SettingsError, match="RINGFENCE_STORE"):
        refuse_unshared(Settings(), environ, arguments, is_child=is_child)
    refuse_unshared(Settings(**SHARED), environ, arguments, is_child=is_child)
    development = Settings(env="development")
    refuse_unshared(development, environ, arguments, is_child=is_child)


@pytest.mark.parametrize("case", ONE.values(), ids=ONE)
def test_one_is_one(case):
    arguments, environ, is_child = case
    assert several(environ, arguments, is_child=is_child) == ""
    refuse_unshared(Settings(), environ, arguments, is_child=is_child)
