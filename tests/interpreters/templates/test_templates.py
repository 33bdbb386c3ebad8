"""Templates whose source a request writes."""

from urllib.parse import urlencode

import jinja2
import pytest
from jinja2.sandbox import SandboxedEnvironment
from mako.template import Template as MakoTemplate
from tests.interpreters.asking import asking

from ringfence import templates
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.arm import arm

SSTI = "{{ cycler.__init__.__globals__.os.popen('id').read() }}"
SUM = "*".join(map(str, (7, 7)))
AROUND = "<h1>Hello {}</h1> {{{{ title }}}}"


@pytest.fixture(autouse=True, scope="module")
def armed():
    arm()


def form(**fields):
    return {
        "body": urlencode(fields).encode(),
        "content_type": b"application/x-www-form-urlencoded",
    }


def plain(source):
    return jinja2.Environment().from_string(source).render(title="t")


def sandboxed(source):
    return SandboxedEnvironment().from_string(source).render(title="t")


def made(source):
    return jinja2.Template(source).render(title="t")


@pytest.mark.parametrize("render", [plain, sandboxed, made])
@pytest.mark.parametrize(
    "text",
    [SSTI, "{{7*7}}", "{% for a in b %}x{% endfor %}", "{# gone #}", "{{title}}"],
)
def test_code_from_the_request_is_refused(render, text):
    """CWE-1336."""
    with asking(**form(name=text)) as exchange:
        with pytest.raises(InjectionRefusedError):
            render(AROUND.format(text))
        assert exchange.denial.code == "interpreters.template"


@pytest.mark.parametrize(
    "text", ["7*7", "config.items()", "''.__class__", "title|attr('x')", "a b"]
)
def test_code_within_a_tag_is_refused(text):
    for around in (
        "{{{{ {} }}}}",
        "{{% if {} %}}x{{% endif %}}",
        "{{{{ title ~ {} }}}}",
    ):
        with asking(**form(name=text)), pytest.raises(InjectionRefusedError):
            plain(around.format(text))


def test_a_delimiter_in_two_pieces():
    with asking(**form(a="{", b=f"{{{SUM}}}}}")), pytest.raises(InjectionRefusedError):
        plain(f"{{{{{SUM}}}}}")


@pytest.mark.parametrize(
    "text",
    ["Ann", "O'Brien", "1 < 2 & 3", "100 %", "a } b", "{", "x {y}", "título", "#1"],
)
def test_plain_text_passes(text):
    """It stands in the template as what it is."""
    with asking(**form(name=text)) as exchange:
        assert text in plain(AROUND.format(text))
        assert exchange.denial is None


def test_values_pass():
    """Whatever stands in them, beside a template of the application's own."""
    with asking(**form(name=SSTI, field="title", lesson="{{ title }}")) as exchange:
        source = "<h1>{{ title }}</h1> {{ name|e }}"
        assert "cycler" in jinja2.Template(source).render(name=SSTI)
        assert exchange.denial is None


def test_templates_of_a_loader_pass(tmp_path):
    """A lesson about Jinja2, on a site whose templates hold the same words."""
    (tmp_path / "page.html").write_text("{{ title }} {% if title %}x{% endif %}")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(tmp_path))
    with asking(**form(lesson="{{ title }}", other="{% if title %}")) as exchange:
        assert environment.get_template("page.html").render(title="t") == "t x"
        assert exchange.denial is None


def test_signs_of_its_own():
    environment = jinja2.Environment(
        variable_start_string="<<", variable_end_string=">>", line_statement_prefix="%"
    )
    for text in ("<<7*7>>", "\n% for x in y", "% set x = 1"):
        with asking(**form(name=text)), pytest.raises(InjectionRefusedError):
            environment.from_string(f"{text}\n% endfor")
    with asking(**form(name="{{7*7}}", rate="100 % of 3")):
        rendered = environment.from_string("a {{7*7}} 100 % of 3").render()
        assert rendered == "a {{7*7}} 100 % of 3"


def test_expressions():
    environment = jinja2.Environment()
    with asking(**form(sum=SUM, name="title")):
        assert environment.compile_expression("title")(title=3) == 3
        with pytest.raises(InjectionRefusedError):
            environment.compile_expression(SUM)


def test_requests_that_are_not_known_in_full():
    with asking(b"x") as exchange:
        exchange.too_much = True
        assert plain("{{ title }}") == "t"
        with pytest.raises(InjectionRefusedError):
            plain(SSTI.replace("cycler", "x"))


@pytest.mark.parametrize(
    "text", ["${7*7}", "<% import os %>", "\n% for a in b:\n", "<%def name='x()'>"]
)
def test_mako(text):
    with asking(**form(name=text)):
        with pytest.raises(InjectionRefusedError):
            MakoTemplate(f"Hello {text}!")
        with pytest.raises(InjectionRefusedError):
            MakoTemplate(text=f"Hello {text}!")


def test_mako_plain_text(tmp_path):
    (tmp_path / "page.mako").write_text("${title} x")
    with asking(**form(name="100 % of $5", lesson="${title}")) as exchange:
        assert (
            MakoTemplate("Hello 100 % of $5 ${title}")
            .render(title=1)
            .startswith("Hello")
        )
        page = MakoTemplate(filename=str(tmp_path / "page.mako"))
        assert page.render(title=1) == "1 x"
        assert exchange.denial is None


def test_fill():
    filled = templates.fill(
        "Dear {name}, {{{count}}} {{x}}", name="O'Brien {y}", count=3
    )
    assert filled == "Dear O'Brien {y}, {3} {x}"


@pytest.mark.parametrize(
    "template",
    [
        "{name.__class__}",
        "{name[0]}",
        "{name!r}",
        "{name:>999999999}",
        "{name:{name}}",
        "{}",
        "{0}",
        "{other}",
        "{name",
        "}",
    ],
)
def test_fill_knows_names_and_nothing_else(template):
    """CWE-134: ``str.format`` reads the attributes of what it is given."""
    with asking(query=b"q=x") as exchange:
        with pytest.raises(InjectionRefusedError):
            templates.fill(template, name="x")
        assert exchange.denial.status == 400


def test_fill_is_bounded():
    with pytest.raises(InjectionRefusedError):
        templates.fill("{name}" * 10_000, name="x" * 1_000)
