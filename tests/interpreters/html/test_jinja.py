"""Jinja2 whose autoescape cannot be off (ASVS 5.0 V1.2.1; CWE-116)."""

import jinja2
import pytest
from litestar.plugins.jinja import JinjaTemplateEngine
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient

from ringfence import Guard, access
from ringfence.errors import MissingExtraError, SettingsError
from ringfence.interpreters import html
from ringfence.interpreters.html.jinja import SafeEnvironment

EVIL = "<script>alert('1')</script>"
ESCAPED = "&lt;script&gt;"


def shown(template, **values):
    return html.environment().from_string(template).render(**values)


@pytest.mark.parametrize("name", ["a.html", "a.txt", "a", "a.svg", "a.HTML.old"])
def test_templates_of_any_name_escape(name):
    """Not only those that are called .html."""
    templates = html.environment(jinja2.DictLoader({name: "<p>{{ x }}</p>"}))
    assert ESCAPED in templates.get_template(name).render(x=EVIL)


@pytest.mark.parametrize(
    "template",
    [
        "{% autoescape false %}{{ x }}{% endautoescape %}",
        "{% autoescape 0 %}{{ x }}{% endautoescape %}",
        "{% autoescape x %}{{ x }}{% endautoescape %}",
        "{% block b %}{% autoescape false %}{{ x }}{% endautoescape %}{% endblock %}",
    ],
)
def test_a_template_does_not_switch_it_off(template):
    with pytest.raises(jinja2.TemplateAssertionError, match="always on") as caught:
        shown(template, x=EVIL)
    assert caught.value.lineno == 1


def test_a_template_may_say_that_it_is_on():
    template = "{% autoescape true %}{{ x }}{% endautoescape %}"
    assert ESCAPED in shown(template, x=EVIL)


def test_nobody_else_switches_it_off():
    templates = html.environment()
    with pytest.raises(SettingsError):
        templates.autoescape = False
    with pytest.raises(SettingsError):
        templates.overlay(autoescape=False)
    with pytest.raises(SettingsError):
        html.environment(autoescape=jinja2.select_autoescape())
    assert ESCAPED in templates.overlay().from_string("{{ x }}").render(x=EVIL)
    assert html.environment(autoescape=True).autoescape is True


def test_safe_takes_only_what_is_known_to_be():
    assert shown("{{ x|safe }}", x=html.rich_text("<b>hi</b>")) == "<b>hi</b>"
    assert shown("{{ x|safe }}", x=Markup("<b>hi</b>")) == "<b>hi</b>"
    assert shown("{{ x|safe }}", x="1 + 1") == "1 + 1"
    assert shown("{{ x|safe }}", x=3) == "3"
    with pytest.raises(TypeError, match=r"html\.rich_text"):
        shown("{{ x|safe }}", x=EVIL)


def test_known_markup_is_shown_as_it_is():
    assert shown("{{ x }}{{ x ~ y }}", x=html.rich_text("<b>"), y="<") == (
        "<b></b><b></b>&lt;"
    )
    assert shown("{% macro m(y) %}<i>{{ y }}</i>{% endmacro %}{{ m(x) }}", x="<") == (
        "<i>&lt;</i>"
    )


def test_filters_fit_their_places():
    values = {"x": '</script>"', "link": "javascript:alert(1)"}
    assert shown("<script>let x = {{ x|json }}</script>", **values) == (
        '<script>let x = "\\u003c/script\\u003e\\""</script>'
    )
    assert shown('<a href="{{ link|url }}">', **values) == '<a href="about:invalid">'
    assert shown("<b title={{ x|attribute }}>", x="a b") == "<b title=a&#32;b>"
    assert shown("<b style=\"--x: '{{ x|css }}'\">", x="'") == (
        "<b style=\"--x: '\\000027'\">"
    )
    assert shown("{{ x|rich_text }}", x="<b onclick=a>b</b>") == "<b>b</b>"


def test_it_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(
        __import__("sys").modules, "ringfence.interpreters.html.jinja", None
    )
    with pytest.raises(MissingExtraError, match="jinja2"):
        html.environment()


def test_another_version_that_does_not_escape_is_noticed(monkeypatch):
    """The class that compiles templates is Jinja2's own: it might change."""
    monkeypatch.setattr(
        SafeEnvironment, "code_generator_class", jinja2.compiler.CodeGenerator
    )
    with pytest.raises(SettingsError, match="this version of Jinja2"):
        html.environment()


def test_it_fits_starlette(tmp_path, monkeypatch):
    """Pages have the token, the nonce, and a name escaped."""
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path / "var"))
    (tmp_path / "page.html").write_text(
        "<script nonce={{ nonce() }}></script>{{ csrf_token() }}{{ name }}", "utf-8"
    )
    loader = jinja2.FileSystemLoader(tmp_path)
    templates = Jinja2Templates(env=html.environment(loader))

    def page(request):
        name = request.query_params["name"]
        return templates.TemplateResponse(request, "page.html", {"name": name})

    api = Starlette(routes=access.routes([Route("/", page)], access.public))
    here = ("127.0.0.1", 50000)
    with TestClient(Guard(api), base_url="http://localhost", client=here) as client:
        answer = client.get("/", params={"name": EVIL})
    assert answer.status_code == 200
    assert ESCAPED in answer.text
    nonce = answer.text.split("nonce=")[1].split(">")[0]
    assert f"'nonce-{nonce}'" in answer.headers["content-security-policy"]


def test_it_fits_litestar():
    """A filter of one's own and Litestar's own globals live in it as well."""
    templates = html.environment(jinja2.DictLoader({"page": "{{ name }}"}))
    engine = JinjaTemplateEngine.from_environment(templates)
    assert ESCAPED in engine.get_template("page").render(name=EVIL)
