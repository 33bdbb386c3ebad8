"""Can what a request has brought change what a command does?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ringfence.interpreters.callers import is_constant
from ringfence.interpreters.nosql.parts import Kind, Part, parts_of
from ringfence.interpreters.nosql.wire import Command
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Input, Inputs, Member, fold

# What can be carried out for nobody's harm, and what the driver sends on its own.
_HARMLESS = frozenset(
    {
        "abortTransaction",
        "authenticate",
        "buildInfo",
        "commitTransaction",
        "endSessions",
        "getMore",
        "hello",
        "isMaster",
        "ismaster",
        "killCursors",
        "ping",
        "saslContinue",
        "saslStart",
    }
)
# Documents to be stored: nothing in them is carried out.
_STORING = frozenset({"insert"})
# How extended JSON writes a pattern: parsed, the key is gone (bson.json_util).
_WRITTEN_PATTERNS = frozenset({"$regex", "$regularExpression"})
_LEAST_CODE = 2  # characters; fewer break out of nothing
_FLAT = frozenset({"query", "form"})  # places where ``$skip`` is but a name
_WORD = re.compile(r"\w*")
_PATTERN_SYNTAX = re.compile(r"[*+?^$|(){}\[\]\\]")


def judge(command: Command, whom: Here, sink: Sink) -> None:
    """Object to a command that does what a sender wants it to do.

    Refused is an operator that the request has written (the same key with the same
    value, or in a field of the same name), JavaScript and patterns in which input
    stands as syntax, paths to fields from input, and whole commands from input.

    Args:
        command: as the driver is about to send it.
        whom: for whom.
        sink: the driver.

    Raises:
        InjectionRefusedError: see above.

    Source: CWE-943; ASVS 5.0 V1.2.

    Not covered: an operator to which the application has given another field *and*
    another value; names of fields and collections, and operators that the application
    builds from values (``{"$" + name: ...}``): ``nosql.field`` is for these.
    """
    name = command.name
    if name in _HARMLESS:
        return
    inputs = whom.inputs
    if name in _STORING and not _commanded(inputs, name):
        return
    document = command.document()
    for member in _commanded(inputs, name):
        if _same(document[name], member.value):
            whom.refuse(sink, "a command that was sent", _input(member))
            return
    for part in parts_of(document):
        objection = _objection(part, inputs)
        if objection is not None:
            whom.refuse(sink, *objection)
            return


def texts_of(value: object) -> Iterator[str]:
    """Yield every text in a command, for the boundary map."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            pending.extend(one)
        elif isinstance(one, dict):
            pending.extend(one.values())


def _commanded(inputs: Inputs, name: str) -> list[Member]:
    return [member for member in inputs.members if member.key == name]


def _objection(part: Part, inputs: Inputs) -> tuple[str, Input | None] | None:
    if part.kind in (Kind.OPERATOR, Kind.UPDATE):
        return _of_operator(part, inputs)
    if part.kind is Kind.CODE:
        return _of_code(part, inputs)
    if part.kind is Kind.PATTERN:
        return _of_pattern(part, inputs)
    return _of_path(part, inputs)


def _of_operator(part: Part, inputs: Inputs) -> tuple[str, Input | None] | None:
    for member in inputs.members:
        if member.key == part.text and _is_brought(part, member):
            return f"the operator {part.text}", _input(member)
    if not inputs.complete and part.kind is Kind.OPERATOR:
        return f"{part.text}, while not all of the request is known", None
    return None


def _is_brought(part: Part, member: Member) -> bool:
    if _same(part.value, member.value):
        return True
    field = _field(member.name)
    if not field and member.place in _FLAT:
        return False  # ?$skip=10 is no operator, though a pipeline may have its own
    return field == part.field


def _field(name: str) -> str:
    """Return the last of a member's names that is no operator."""
    names = (each for each in reversed(name.split(".")) if not each.startswith("$"))
    return next(names, "")


def _of_code(part: Part, inputs: Inputs) -> tuple[str, Input | None] | None:
    if is_constant(part.text, beyond=_DRIVER):
        return None
    brought = inputs.brings(part.text)
    if brought is not None:
        return "JavaScript that was sent", brought
    for found in inputs.found_in(part.text, least=_LEAST_CODE):
        if not _WORD.fullmatch(found.input.text):
            return "input within JavaScript", found.input
    if not inputs.complete:
        return "JavaScript, while not all of the request is known", None
    return None


def _of_pattern(part: Part, inputs: Inputs) -> tuple[str, Input | None] | None:
    text = part.text
    if is_constant(text, beyond=_DRIVER):
        return None
    for member in inputs.members:
        if member.key in _WRITTEN_PATTERNS and _same(text, _pattern(member.value)):
            return "a pattern that was sent", _input(member)
    for found in inputs.found_in(text, least=2):
        # Behind a back-slash the first character stands for itself.
        escaped = (found.start - len(text[: found.start].rstrip("\\"))) % 2
        if _PATTERN_SYNTAX.search(text, found.start + escaped, found.end):
            return "input as syntax of a regular expression", found.input
    return None


def _pattern(written: object) -> object:
    """Return what stands behind ``$regularExpression``, and behind ``$regex``."""
    return written.get("pattern") if isinstance(written, Mapping) else written


def _of_path(part: Part, inputs: Inputs) -> tuple[str, Input | None] | None:
    for found in inputs.found_in(part.text, least=2):
        if found.start <= 1 and found.input.text.startswith("$"):
            return "input as a path to a field", found.input
    return None


def _same(sent: object, brought: object) -> bool:
    """Return whether a value is the one that was brought, read in whatever way."""
    if brought is ...:
        return True
    if isinstance(sent, str) and isinstance(brought, str):
        return fold(sent.strip()) == fold(brought.strip())
    if isinstance(sent, Mapping) and isinstance(brought, Mapping):
        return _same_members(sent, brought)
    if isinstance(sent, list) and isinstance(brought, list):
        pairs = zip(sent, brought, strict=False)
        return len(sent) == len(brought) and all(_same(*pair) for pair in pairs)
    return type(sent) is not str and type(brought) is not str and sent == brought


def _same_members(sent: Mapping[str, Any], brought: Mapping[str, Any]) -> bool:
    if sent.keys() != brought.keys():
        return False
    return all(_same(value, brought[key]) for key, value in sent.items())


def _input(member: Member) -> Input:
    return Input(member.key, member.place, member.name)


_DRIVER = ("pymongo", "bson")
