"""Tags that name Python objects."""

import pytest
import yaml
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.interpreters.arm import arm
from ringfence.interpreters.deserialization import yaml_tags

CALLED = []


def call(*args):
    CALLED.append(args)


OWN = f"{__name__}.call"
LOADERS = [yaml.UnsafeLoader, yaml.FullLoader, yaml.Loader]


@pytest.fixture(autouse=True, scope="module")
def armed():
    arm()


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    "document",
    [
        '!!python/object/apply:os.system ["true"]',
        f"!!python/object/apply:{OWN} [1]",
        f"!!python/object/new:{OWN} [1]",
        f"!!python/name:{OWN} ''",
        "!!python/module:subprocess ''",
        f"%TAG !p! tag:yaml.org,2002:pyth\n---\n!p!on/name:{OWN} ''",
        f"a: [1, {{b: !!python/name:{OWN.replace('.', '%2e')} ''}}]",
    ],
)
def test_tags_of_the_request_are_refused(loader, document):
    """CWE-502; the loader named full has been escaped from before (CVE-2020-14343)."""
    with asking(document.encode(), content_type=b"application/yaml") as exchange:
        with pytest.raises((InjectionRefusedError, yaml.YAMLError)) as caught:
            yaml.load(document, loader)
        if loader is not yaml.FullLoader:
            assert caught.type is InjectionRefusedError
            assert exchange.denial.code == "interpreters.yaml"
    assert not CALLED


def test_documents_without_tags_pass():
    text = (
        "name: O'Brien\nwhen: 2026-01-01\nlist: [1, 2]\npair: !!python/tuple [1, 2]\n"
    )
    for loader in LOADERS:
        with asking(text.encode(), content_type=b"application/yaml") as exchange:
            assert yaml.load(text, loader)["pair"] == (1, 2)
            assert exchange.denial is None


def test_documents_of_the_application_pass():
    with asking(b"other", content_type=b"text/plain") as exchange:
        assert yaml.load(f"!!python/name:{OWN} ''", yaml.UnsafeLoader) is not None
        assert exchange.denial is None


def test_requests_that_are_not_known_in_full():
    with asking(b"x") as exchange:
        exchange.too_much = True
        with pytest.raises(InjectionRefusedError):
            yaml.load(f"!!python/name:{OWN} ''", yaml.UnsafeLoader)


def test_arming_twice_changes_nothing():
    before = yaml.FullLoader.find_python_name
    yaml_tags.arm()
    assert yaml.FullLoader.find_python_name is before


def test_another_pyyaml_does_not_start(monkeypatch):
    """What cannot be guarded is not served."""
    monkeypatch.delattr(yaml_tags.FullConstructor, "find_python_module")
    with pytest.raises(SettingsError, match="cannot be guarded"):
        yaml_tags.arm()
