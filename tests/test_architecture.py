"""The walls of the house: who may import whom. Standard library only.

ARCHITECTURE.md draws the layers; the tables below are that drawing, word by word. Each
finding says which rule was broken, why the rule is there, and what to do instead.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
SOURCE = PROJECT / "src" / "ringfence"

LAYERS = {
    "errors": 0,
    "denial": 0,
    "principal": 0,
    "clock": 0,
    "findings": 0,
    "marks": 0,
    "secrets": 1,
    "audit": 1,
    "exchange": 1,
    "current": 1,
    "stores": 2,
    "traffic": 3,
    "browser": 3,
    "identity": 3,
    "access": 3,
    "interpreters": 3,
    "settings": 4,
    "frameworks": 4,
    "guard": 5,
    "cli": 6,
    "console": 6,
    "testing": 6,
    "check": 6,
    "attack": 6,
    "": 7,  # ringfence/__init__.py: the public names
}
ROOMS = {"traffic", "browser", "identity", "access", "interpreters"}

# Neighbours on one floor that may know each other, with the reason.
NEIGHBOURS = {
    ("current", "exchange"): "current reads what the exchange holds",
    ("audit", "secrets"): "redaction knows what a Secret is",
    ("cli", "attack"): "a command starts what it is named after",
    ("cli", "check"): "a command starts what it is named after",
    ("cli", "console"): "a command starts what it is named after",
}
# Units that see less than their floor allows.
CONFINED = {
    "exchange": {"denial", "principal"},
    "attack": {"errors", "findings"},
}
# Modules of the shelves that may be imported from above; backends only through `open`.
SHELVES = {"ringfence.stores", "ringfence.stores.contracts", "ringfence.stores.open"}

FRAMEWORKS = {"starlette", "fastapi", "litestar"}
# Each library has a home: how the paths begin that may import it.
LIBRARIES = {
    "starlette": (
        "frameworks/",
        "console/",
        "identity/routes/",
        "identity/open.py",  # makes the router of these routes
    ),
    "fastapi": ("frameworks/", "console/", "access/marks.py"),
    "litestar": ("frameworks/",),
    "argon2": ("identity/passwords/argon2.py",),
    "bcrypt": ("identity/passwords/bcrypt.py",),
    "cryptography": (
        "secrets/keyring.py",
        "secrets/sealed.py",
        "identity/tokens/keys.py",  # no JOSE library is as fast as the bare signature
        "identity/tokens/proof_keys.py",  # likewise, on every request
    ),
    "joserfc": (  # reads the keys of other issuers
        "identity/tokens/foreign_signature.py",
        "identity/tokens/jwks_client.py",
    ),
    "pyotp": ("identity/factors/totp.py",),  # computes one-time codes
    "segno": ("identity/factors/qr.py",),  # draws the code that an app scans
    "msgspec": ("",),  # reads and writes JSON anywhere
    "sqlalchemy": (
        "stores/schema.py",
        "stores/sql",
        "stores/migrat",
        "stores/postgres/",
        "interpreters/sql/",
        "access/sqlalchemy/",
        "access/row_security/",
        "current.py",  # for types alone
    ),
    "sqlglot": ("interpreters/sql/", "access/statements/"),
    "aiosqlite": ("interpreters/sql/drivers/",),
    # The read of a session goes past SQLAlchemy, whose price is ten times its own.
    "psycopg": (
        "interpreters/sql/drivers/",
        "stores/postgres/psycopg.py",
        "access/row_security/psycopg.py",  # BEGIN, and for whom, in one round trip
    ),
    "asyncpg": (
        "interpreters/sql/drivers/",
        "stores/postgres/asyncpg.py",
        "access/row_security/asyncpg.py",
    ),
    "aiomysql": ("interpreters/sql/drivers/",),
    "asyncmy": ("interpreters/sql/drivers/",),
    "pymysql": ("interpreters/sql/drivers/",),
    "pymongo": ("interpreters/nosql/", "access/mongo/"),
    "bson": ("interpreters/nosql/", "access/mongo/"),
    "pydantic": ("access/fields/",),  # leaves out of answers what may not be read
    "pydantic_core": ("access/fields/",),  # likewise: the schema in which it is said
    "redis": ("stores/redis/",),
    "hiredis": ("stores/redis/",),  # packs commands, where it is installed
    "nh3": ("interpreters/html/",),
    "markupsafe": ("interpreters/html/",),
    "ldap3": ("interpreters/ldap/",),
    "lxml": ("interpreters/xml/",),
    "httpx2": ("interpreters/urls/",),
    "httpcore2": ("interpreters/urls/",),  # comes with httpx2, and dials for it
    "yaml": ("interpreters/deserialization/",),
    "alembic": ("stores/migrat",),
    "webauthn": ("identity/passkeys/verification.py",),  # the two verifications
    "jinja2": (
        "identity/pages/",
        "identity/mail/render.py",
        "console/",
        "interpreters/html/",
        "interpreters/templates/",
    ),
    "mako": ("interpreters/templates/",),
    "aiosmtplib": ("identity/mail/smtp.py",),
    "cyclopts": ("cli/",),
    "rich": ("cli/",),
    "uvicorn": ("cli/",),
    "uvloop": ("cli/", "interpreters/loops/"),
}
# Imports inside a function that no `open_...` makes, with the reason.
LATE = {("access/marks.py", "depends"): "FastAPI is needed by those who use it only"}

# Modules that users import by their own names, since each needs a library of its own.
PUBLIC = {"ringfence.access.sqlalchemy", "ringfence.access.mongo", "ringfence.testing"}

FORBIDDEN_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "base",
    "misc",
    "core",
}

RULES = {
    "down": (
        "a lower floor must be understood, tested and used without the ones above it",
        "move what is needed down, or hand it in as an argument",
    ),
    "rooms": (
        "rooms that know each other cannot be used, read or replaced alone",
        "write what was learned into a field of Exchange and read it there",
    ),
    "shelves": (
        "who names a backend is bound to it, and must have its library installed",
        "take a protocol of stores.contracts and open it through stores.open",
    ),
    "foundation": (
        "everything stands on it, so it may stand on nothing",
        "move the code to the room that needs the import",
    ),
    "burglar": (
        "a mistake understood the same way by attack and defence is never found",
        "write it anew in attack/, from the standard and not from our code",
    ),
    "cycle": (
        "modules in a cycle can only be read, imported and changed together",
        "move what both need into a module below both",
    ),
    "library": (
        "a library that is imported in one place can be replaced and left out",
        "import it in the file that is its home, or add the home to LIBRARIES",
    ),
    "late": (
        "a hidden import hides a dependency and fails on a request, not at start-up",
        "import at the top; only `open_...` functions choose a backend late",
    ),
    "name": (
        "such a name says nothing, so everything ends up in it",
        "name the file for the one idea that it holds",
    ),
    "assert": (
        "python -O removes assertions, and a defence with them",
        "raise an error of errors.py, or return a Denial",
    ),
    "middleware": (
        "it costs several times the whole guard, and breaks WebSockets and contexts",
        "write a stage, or a plain ASGI callable",
    ),
    "state": (
        "module state is shared between applications, tests and threads",
        "keep it on an object that somebody makes and closes",
    ),
    "public": (
        "an example shows what users can rely on",
        "write `from ringfence import ...` with a name of ringfence.__all__",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule, with the way out."""

    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        why, instead = RULES[self.rule]
        return (
            f"{self.path}:{self.line}: {self.what}\n"
            f"    rule: {self.rule}\n    why: {why}\n    instead: {instead}"
        )


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, and the functions that it stands in, outermost first."""

    module: str
    line: int
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed file of the package."""

    name: str  # dotted, without __init__
    path: str  # relative to the package
    tree: ast.Module
    imports: tuple[Import, ...]

    @property
    def unit(self) -> str:
        return unit_of(self.name)


def unit_of(name: str) -> str:
    """Return the room or foundation module that a dotted name belongs to."""
    return name.split(".")[1] if "." in name else ""


def read_package(root: Path) -> list[Module]:
    """Parse a package folder named ``ringfence``."""
    files = sorted(root.rglob("*.py"))
    names = {file: dotted(file, root) for file in files}
    known = set(names.values())
    modules = []
    for file in files:
        tree = ast.parse(file.read_text("utf-8"), str(file))
        package = names[file] if file.stem == "__init__" else parent(names[file])
        imports = tuple(imports_of(tree, package, known))
        path = file.relative_to(root).as_posix()
        modules.append(Module(names[file], path, tree, imports))
    return modules


def dotted(file: Path, root: Path) -> str:
    parts = [root.name, *file.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parent(name: str) -> str:
    return name.rpartition(".")[0]


def imports_of(tree: ast.Module, package: str, known: set[str]) -> Iterator[Import]:
    """Yield every import of a file: at the top, type-only, in functions, by name."""
    for node, functions in walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, functions)
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(node, package)
            for alias in node.names:
                deeper = f"{origin}.{alias.name}"
                module = deeper if deeper in known else origin
                yield Import(module, node.lineno, functions)
        elif isinstance(node, ast.Call) and (named := imported_by_name(node)):
            yield Import(named, node.lineno, functions)


def walk(
    node: ast.AST, functions: tuple[str, ...] = ()
) -> Iterator[tuple[ast.AST, tuple[str, ...]]]:
    for child in ast.iter_child_nodes(node):
        yield child, functions
        inner = functions
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = (*functions, child.name)
        yield from walk(child, inner)


def absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def imported_by_name(call: ast.Call) -> str:
    """Return the constant module name of ``import_module("...")``, else nothing."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    name = function.id if isinstance(function, ast.Name) else name
    if name not in {"import_module", "__import__"} or not call.args:
        return ""
    first = call.args[0]
    is_text = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return str(first.value) if is_text else ""


def inspect(root: Path) -> list[Finding]:
    """Return every broken rule of the package below ``root``."""
    modules = read_package(root)
    findings = [finding for module in modules for finding in inspect_module(module)]
    return findings + list(cycles(modules))


def inspect_module(module: Module) -> Iterator[Finding]:
    yield from names_of_files(module)
    yield from statements(module)
    for each in module.imports:
        rule_and_what = judge(module, each)
        if rule_and_what:
            yield Finding(module.path, each.line, *rule_and_what)
        if each.functions and not may_be_late(module, each):
            what = f"{each.functions[-1]}() imports {each.module} when it is called"
            yield Finding(module.path, each.line, "late", what)


def judge(module: Module, each: Import) -> tuple[str, str] | None:
    """Return the rule that one import breaks and how, if it breaks one."""
    top = each.module.partition(".")[0]
    if top != "ringfence":
        return judge_library(module, top)
    here, there = module.unit, unit_of(each.module)
    rule = "" if here == there else broken_rule(here, there, each.module)
    return (rule, f"{here or 'ringfence'} imports {each.module}") if rule else None


def broken_rule(here: str, there: str, imported: str) -> str:
    """Return the rule that ``here`` breaks by importing ``imported``, or nothing."""
    is_allowed_down = LAYERS.get(there, 99) < LAYERS.get(here, -1)
    rules = {
        "burglar": here == "attack" and there not in CONFINED["attack"],
        "rooms": {here, there} <= ROOMS,
        "foundation": LAYERS.get(here) == 0,
        "down": not (is_allowed_down or (here, there) in NEIGHBOURS)
        or there not in CONFINED.get(here, {there}),
        "shelves": there == "stores" and imported not in SHELVES,
    }
    return next((rule for rule, is_broken in rules.items() if is_broken), "")


def judge_library(module: Module, top: str) -> tuple[str, str] | None:
    if top in sys.stdlib_module_names:
        return None
    if LAYERS.get(module.unit) == 0:
        return "foundation", f"{module.unit} imports {top}"
    homes = LIBRARIES.get(top, ())
    if any(module.path.startswith(home) for home in homes):
        return None
    kind = "web framework" if top in FRAMEWORKS else "library"
    home = ", ".join(homes) or "none yet"
    return "library", f"{module.path} imports the {kind} {top} (home: {home})"


def may_be_late(module: Module, each: Import) -> bool:
    return any(
        name.startswith("open_") or (module.path, name) in LATE
        for name in each.functions
    )


def names_of_files(module: Module) -> Iterator[Finding]:
    for part in module.name.split("."):
        if part.strip("_") in FORBIDDEN_NAMES:
            yield Finding(module.path, 1, "name", f"a file or folder is called {part}")


def statements(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert):
            yield Finding(module.path, node.lineno, "assert", "an assert statement")
        elif isinstance(node, ast.Global):
            yield Finding(module.path, node.lineno, "state", "a global statement")
        elif "BaseHTTPMiddleware" in names_in(node):
            line = getattr(node, "lineno", 1)
            yield Finding(module.path, line, "middleware", "BaseHTTPMiddleware is used")


def names_in(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Attribute):
        return {node.attr}
    return {node.name} if isinstance(node, ast.alias) else set()


def cycles(modules: list[Module]) -> Iterator[Finding]:
    """Find import cycles: modules that reach themselves (Tarjan, 1972)."""
    paths = {module.name: module.path for module in modules}
    graph = {
        module.name: sorted(
            {each.module for each in module.imports if each.module in paths}
            - {module.name}
        )
        for module in modules
    }
    for ring in strongly_connected(graph):
        if len(ring) > 1:
            what = "import each other: " + ", ".join(sorted(ring))
            yield Finding(paths[min(ring)], 1, "cycle", what)


def strongly_connected(graph: dict[str, list[str]]) -> list[set[str]]:
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    rings: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for following in graph[node]:
            if following not in index:
                visit(following)
                lowest[node] = min(lowest[node], lowest[following])
            elif following in stack:
                lowest[node] = min(lowest[node], index[following])
        if lowest[node] == index[node]:
            position = stack.index(node)
            rings.append(set(stack[position:]))
            del stack[position:]

    for node in graph:
        if node not in index:
            visit(node)
    return rings


def inspect_example(folder: Path, public: set[str]) -> list[Finding]:
    """Return where an example reaches past the public names of ringfence."""
    findings = []
    for file in sorted(folder.rglob("*.py")):
        path = file.relative_to(folder.parent.parent).as_posix()
        for node in ast.walk(ast.parse(file.read_text("utf-8"), str(file))):
            what = reaches_inside(node, public)
            if what:
                findings.append(Finding(path, node.lineno, "public", what))
    return findings


def reaches_inside(node: ast.AST, public: set[str]) -> str:
    if isinstance(node, ast.Import):
        inside = [a.name for a in node.names if a.name.split(".")[0] == "ringfence"]
        return f"imports {', '.join(inside)} as a whole" if inside else ""
    if not isinstance(node, ast.ImportFrom):
        return ""
    if (node.module or "").startswith("ringfence.") and node.module not in PUBLIC:
        return f"imports from {node.module}"
    hidden = [a.name for a in node.names if a.name not in public]
    is_ours = node.module == "ringfence" and not node.level
    return f"imports {', '.join(hidden)}" if is_ours and hidden else ""


def public_names(root: Path) -> set[str]:
    tree = ast.parse((root / "__init__.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and "__all__" in names_in(node.targets[0]):
            return set(ast.literal_eval(node.value))
    return set()


def show(findings: list[Finding]) -> str:
    return "\n\n" + "\n\n".join(str(finding) for finding in findings) + "\n"


# What stands


def test_house_keeps_its_walls():
    """No file of the package breaks a rule of ARCHITECTURE.md."""
    findings = inspect(SOURCE)
    assert not findings, show(findings)


def test_every_unit_has_its_floor():
    """A new room is placed in LAYERS before anybody imports it."""
    units = {module.unit for module in read_package(SOURCE)}
    assert units <= set(LAYERS), f"place these in LAYERS: {units - set(LAYERS)}"


@pytest.mark.parametrize("example", ["shop"])
def test_examples_use_public_names_only(example):
    """What the shop can do, every user can do."""
    folder = PROJECT / "examples" / example
    findings = inspect_example(folder, public_names(SOURCE))
    assert not findings, show(findings)


# That the inspector sees: small houses with one broken wall each

BROKEN = {
    "a lower floor imports a higher one": (
        {"exchange.py": "from ringfence.guard import plan", "guard/plan.py": ""},
        "down",
    ),
    "a type-only import counts": (
        {
            "stores/sqlite.py": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from ringfence.identity import accounts",
            "identity/accounts.py": "",
        },
        "down",
    ),
    "neighbours on one floor": (
        {"settings/load.py": "import ringfence.frameworks.table"},
        "down",
    ),
    "a room imports another": (
        {"identity/sessions.py": "from ringfence.access.policy import Policy"},
        "rooms",
    ),
    "a room imports another, relatively": (
        {
            "identity/sessions.py": "from ..access import policy",
            "access/policy.py": "",
        },
        "rooms",
    ),
    "a room imports the front door": (
        {"access/policy.py": "from ringfence import Guard"},
        "down",
    ),
    "a backend without open": (
        {"identity/sessions.py": "from ringfence.stores.sqlite import Database"},
        "shelves",
    ),
    "exchange knows a vault": (
        {"exchange.py": "from ringfence.secrets.secret import Secret"},
        "down",
    ),
    "the foundation imports the foundation": (
        {"denial.py": "from ringfence.errors import RingfenceError"},
        "foundation",
    ),
    "the foundation imports a library": (
        {"clock.py": "import msgspec"},
        "foundation",
    ),
    "the burglar borrows": (
        {"attack/client.py": "from ringfence.traffic.host import parse"},
        "burglar",
    ),
    "a cycle inside one room": (
        {
            "browser/csp.py": "from ringfence.browser import headers",
            "browser/headers.py": "from ringfence.browser.csp import compile_policy",
        },
        "cycle",
    ),
    "a web framework in a room": (
        {"browser/headers.py": "from starlette.datastructures import Headers"},
        "library",
    ),
    "a library without a home": (
        {"traffic/host.py": "import leftpad"},
        "library",
    ),
    "a client library beside its backend": (
        {"cli/main.py": "import aiosqlite"},
        "library",
    ),
    "a hidden import": (
        {"guard/asgi.py": "def call():\n    from ringfence.access import stage"},
        "late",
    ),
    "a hidden import by name": (
        {
            "guard/asgi.py": "import importlib\ndef call():\n"
            "    return importlib.import_module('ringfence.access.stage')"
        },
        "late",
    ),
    "a file that says nothing": ({"traffic/utils.py": ""}, "name"),
    "an assertion": ({"traffic/host.py": "assert True"}, "assert"),
    "module state": (
        {"traffic/host.py": "seen = 0\ndef see():\n    global seen\n    seen = 1"},
        "state",
    ),
    "a slow middleware": (
        {"frameworks/x.py": "from starlette.middleware.base import BaseHTTPMiddleware"},
        "middleware",
    ),
}


def build(root: Path, files: dict[str, str]) -> Path:
    package = root / "ringfence"
    for path, text in {"__init__.py": "", **files}.items():
        file = package / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return package


@pytest.mark.parametrize(("files", "rule"), BROKEN.values(), ids=BROKEN)
def test_broken_wall_is_found(tmp_path, files, rule):
    """Each rule is broken once, and the finding names it and the way out."""
    findings = inspect(build(tmp_path, files))
    assert {finding.rule for finding in findings} == {rule}
    assert RULES[rule][1] in str(findings[0])


def test_sound_house_passes(tmp_path):
    """What the rules allow is allowed: down, late in open_, the written exceptions."""
    sound = {
        "__init__.py": "from ringfence.guard.asgi import Guard\n__all__ = ['Guard']",
        "errors.py": "import math",
        "denial.py": "from dataclasses import dataclass",
        "exchange.py": "from ringfence.denial import Denial",
        "current.py": "from ringfence.exchange import active",
        "secrets/secret.py": "",
        "audit/redact.py": "from ringfence.secrets.secret import Secret",
        "stores/contracts.py": "",
        "stores/sqlite.py": "import sqlalchemy",
        "stores/open.py": "def open_store():\n"
        "    from ringfence.stores.sqlite import Database",
        "access/marks.py": "def depends():\n    from fastapi.params import Depends",
        "identity/routes/desk.py": "from starlette.routing import Route",
        "identity/open.py": "from ringfence.stores.open import open_store\n"
        "def open_identity():\n    from ringfence.identity import routes",
        "guard/asgi.py": "from ringfence.access import marks",
    }
    findings = inspect(build(tmp_path, sound))
    assert not findings, show(findings)


@pytest.mark.parametrize(
    "line",
    [
        "import ringfence",
        "import ringfence.guard",
        "from ringfence.guard import Guard",
        "from ringfence import hidden",
    ],
)
def test_example_that_reaches_inside_is_found(tmp_path, line):
    """An example that needs more than the public names shows a gap in them."""
    folder = tmp_path / "examples" / "shop"
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(f"from ringfence import Guard\n{line}\n")
    found = inspect_example(folder, {"Guard"})
    assert [(finding.line, finding.rule) for finding in found] == [(2, "public")]
