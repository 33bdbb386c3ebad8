from jinja2 import FileSystemLoader

from ringfence.identity.pages.render import Pages


def test_no_page_is_read_after_the_start(monkeypatch):
    """A process that has given up its rights, or whose files were replaced, shows the
    pages that it started with."""
    pages = Pages(site_name="Shop", templates=None)
    monkeypatch.delattr(FileSystemLoader, "get_source")
    for name in ("login", "register", "account", "problem"):
        assert pages._templates.get_template(f"{name}.html").name == f"{name}.html"
