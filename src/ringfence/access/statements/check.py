"""Judges statements, and remembers what it said of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TypeVar

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ringfence.access.ownership.conditions import (
    NEVER,
    All,
    Any,
    Condition,
    Has,
    Is,
    Linked,
    TableRule,
)
from ringfence.access.ownership.views import View
from ringfence.access.statements.admitted import check_functions, passes
from ringfence.access.statements.catalogue import Catalogue
from ringfence.access.statements.lexer import STRING, Lexed, Token, lex
from ringfence.access.statements.objection import WAY_ROUND, ObjectionError
from ringfence.access.statements.proof import Demands, Material, Prover, merged
from ringfence.access.statements.scopes import Change, Reader, Touch
from ringfence.access.statements.tight import tight
from ringfence.access.statements.verdicts import FINE, Verdict
from ringfence.access.statements.writing import Writer

_MOST_VERDICTS = 8192  # a service has hundreds; lists of other lengths make more
_MOST_READ = 1024
_LONGEST_KEPT = 200_000  # characters of one text; longer ones are read each time

_TOO_DEEP = Verdict(
    objection=f"The statement has too many brackets in one another: write it more "
    f"plainly, {WAY_ROUND}."
)

Name = TypeVar("Name")
Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class _Read:
    """A statement that was read, or why it cannot be."""

    material: Material | None = None
    touches: Sequence[Touch] = ()
    changes: Sequence[Change] = ()
    objection: str = ""


class StatementCheck:
    """Proves of statements that they ask for nothing that is another's, whoever wrote
    them: the ORM, Core, a text.

    Args:
        rules: of all tables.
        dialect: ``sqlite``, ``postgres`` or ``mysql``.

    Raises:
        ValueError: an unknown dialect.

    Source: ASVS 5.0 V8.2.2; CWE-639; OWASP API1:2023.

    Not covered: functions, triggers and views inside the database; what goes round the
    engine, on a connection of the driver's own.
    """

    def __init__(self, rules: Sequence[TableRule], dialect: str) -> None:
        if dialect not in ("sqlite", "postgres", "mysql"):
            raise ValueError(f"there is no check of statements for {dialect!r}")
        self._dialect = dialect
        self._catalogue = Catalogue(rules, dialect)
        self._verdicts: dict[tuple[str, View], Verdict] = {}
        self._read: dict[str, _Read] = {}
        self._lock = Lock()

    def verdict(self, text: str, view: View) -> Verdict:
        """Return what is to be said of a statement.

        Args:
            text: as it is sent to the driver.
            view: of who sends it.
        """
        said = self._verdicts.get((text, view))
        if said is None:
            try:
                said = self._judged(text, view)
            except RecursionError:
                # How deep it may be depends on who calls: not kept.
                return _TOO_DEEP
            self._keep(self._verdicts, (text, view), said, _MOST_VERDICTS, text)
        return said

    def _keep(
        self, kept: dict[Name, Kept], name: Name, value: Kept, most: int, text: str
    ) -> None:
        if len(text) > _LONGEST_KEPT:
            return
        with self._lock:
            kept[name] = value
            if len(kept) > most:
                # An eighth at once: what is used comes back with the next statement.
                for old in list(islice(kept, most // 8)):
                    del kept[old]

    def _judged(self, text: str, view: View) -> Verdict:
        read = self._read.get(text)
        if read is None:
            read = self._parsed(text)
            self._keep(self._read, text, read, _MOST_READ, text)
        if read.objection:
            return Verdict(objection=read.objection)
        if read.material is None:
            return FINE
        prover = Prover(read.material, self._catalogue, view)
        try:
            return Verdict(
                merged(
                    (
                        *(self._touched(prover, one, view) for one in read.touches),
                        *(self._changed(prover, one, view) for one in read.changes),
                    )
                )
            )
        except ObjectionError as objection:
            return Verdict(objection=str(objection))

    # Reading

    def _parsed(self, text: str) -> _Read:
        try:
            lexed = lex(text, self._dialect)
            check_functions(lexed.tokens)
            tokens = _explained(lexed.tokens)
            if passes(tokens, self._dialect):
                self._check_created(tokens)
                return _Read()
            return self._understood(Lexed(tokens, lexed.keys, lexed.strings))
        except ObjectionError as objection:
            return _Read(objection=str(objection))
        except SqlglotError as error:
            said = str(error).partition("\n")[0]
            return _Read(
                objection=f"The statement cannot be read ({said}): write it more "
                f"plainly, {WAY_ROUND}."
            )

    def _check_created(self, tokens: Sequence[Token]) -> None:
        """Refuse to make a table that hides one with a rule: ``temp.orders``, with
        whatever rows, would be looked into from then on."""
        words = [token.text.upper() for token in tokens]
        if words[:2] != ["CREATE", "TABLE"]:
            return
        skipped = 5 if words[2:5] == ["IF", "NOT", "EXISTS"] else 2
        if words[skipped + 1 : skipped + 2] != ["."]:
            return
        named = exp.Table(
            this=_identifier(tokens[skipped + 2]), db=_identifier(tokens[skipped])
        )
        if self._catalogue.is_bare(self._catalogue.folded(named.this)):
            self._catalogue.find(named)

    def _understood(self, lexed: Lexed) -> _Read:
        _check_words(lexed.tokens, self._dialect)
        statement = sqlglot.parse_one(lexed.plain, dialect=self._dialect)
        reader = Reader(self._catalogue)
        reader.read(statement)
        self._compare(lexed.tokens, statement)
        material = Material(reader, lexed.keys, lexed.strings, tight(lexed.tokens))
        return _Read(material, reader.touches, reader.changes)

    def _compare(self, tokens: Sequence[Token], statement: exp.Expr) -> None:
        """Refuse a statement in which a table's name stands more often than it was
        read: the parser has taken it for something else."""
        names: dict[str, int] = {}
        for token in tokens:
            if token.kind in ("word", "quoted"):
                name = (token.value or token.text).lower()
                names[name] = names.get(name, 0) + 1
        for node in statement.find_all(exp.Identifier):
            name = node.this.lower()
            if name in names:
                names[name] -= 1
            if STRING.fullmatch(name) and names.get(name, -1) < 0:
                # `owner_id AS 'x', note AS 's0'`: the first is s0 to the parser.
                raise ObjectionError("A name is written as a string: leave quotes out.")
        for name, left in names.items():
            if left > 0 and self._catalogue.is_bare(name):
                raise ObjectionError(
                    f"{name} stands where it cannot be read: write the statement more "
                    f"plainly, {WAY_ROUND}."
                )

    # Judging

    def _touched(self, prover: Prover, touch: Touch, view: View) -> Demands:
        source, rule = touch.source, touch.source.rule
        if rule is None:
            return ()
        conditions = view.write if touch.changed else view.read
        condition = conditions.get(rule.table, NEVER)
        facts = prover.facts(source, touch.scope)
        for known in (False, True):
            # Rows that are known come last: by what is said, more can be shown.
            if known and not rule.is_link:
                found = prover.own_key(source, facts, write=touch.changed)
                if found is not None:
                    return found
            for one in (condition, *self._stand_ins(rule, touch, view)):
                found = prover.implied(one, source, facts, known=known)
                if found is not None:
                    return found
        raise ObjectionError(_missing(touch, rule, condition))

    def _stand_ins(
        self, rule: TableRule, touch: Touch, view: View
    ) -> Iterator[Condition]:
        """Yield conditions that do as well: of a row that continues one of one's
        own."""
        parent = self._catalogue.rule(rule.parent) if rule.parent else None
        if parent is not None and len(parent.key) == len(rule.key):
            pairs = tuple(zip(rule.key, parent.key, strict=True))
            conditions = view.write if touch.changed else view.read
            yield Linked(parent.table, pairs, conditions.get(parent.table, NEVER))

    def _changed(self, prover: Prover, change: Change, view: View) -> Demands:
        rule = change.target.rule
        if rule is None:
            return ()
        leave = view.leave.get(rule.table, NEVER)
        writer = Writer(prover, self._catalogue, change)
        after = writer.left(leave)
        if after is None:
            raise ObjectionError(_left(change, rule, leave))
        before = writer.replaced(view.write.get(rule.table, NEVER), leave)
        if before is None:
            raise ObjectionError(
                f"The row of {rule.table} that is in the way may be another's: let "
                f"the WHERE of ON CONFLICT say that {_compared(rule, leave)}, "
                f"{WAY_ROUND}."
            )
        return merged((after, before))


def _identifier(token: Token) -> exp.Identifier:
    return exp.Identifier(this=token.value or token.text, quoted=token.kind == "quoted")


def _explained(tokens: list[Token]) -> list[Token]:
    """Return the statement that EXPLAIN explains: with ANALYZE it is carried out."""
    if not tokens or tokens[0].text.upper() != "EXPLAIN":
        return tokens
    rest = tokens[1:]
    while rest and rest[0].text.upper() in ("QUERY", "PLAN", "ANALYZE", "VERBOSE"):
        rest = rest[1:]
    return rest


def _check_words(tokens: Sequence[Token], dialect: str) -> None:
    words = {token.text.upper() for token in tokens if token.kind == "word"}
    if dialect == "mysql" and "XOR" in words:
        raise ObjectionError("XOR binds in more than one way: write AND, OR and NOT.")
    if dialect != "postgres" and "TABLE" in words:
        # MySQL: `SELECT 1 UNION TABLE orders`.
        raise ObjectionError("TABLE cannot be read: write SELECT * FROM.")
    if "INTO" in words and tokens[0].text.upper() in ("SELECT", "("):
        raise ObjectionError(
            f"SELECT ... INTO writes where nobody looks: use INSERT, {WAY_ROUND}."
        )


def _missing(touch: Touch, rule: TableRule, condition: Condition) -> str:
    does = "changes" if touch.changed else "reads"
    if condition == NEVER:
        return (
            f"The statement {does} rows of {rule.table}, where this principal has none "
            f"to {'change' if touch.changed else 'see'}: ask for nothing, {WAY_ROUND}."
        )
    return (
        f"The statement {does} rows of {rule.table} without saying whose: let WHERE "
        f"say, joined by AND, that {_compared(rule, condition)}, {WAY_ROUND}."
    )


def _left(change: Change, rule: TableRule, leave: Condition) -> str:
    does = "adds" if change.added else "changes"
    if leave == NEVER:
        return (
            f"The statement {does} rows of {rule.table}, where this principal may "
            f"leave none: leave it out, {WAY_ROUND}."
        )
    return (
        f"The statement {does} rows of {rule.table} so that it is not plain whose they "
        f"are: bind a parameter by which {_compared(rule, leave)}, {WAY_ROUND}."
    )


def _compared(rule: TableRule, condition: Condition) -> str:
    """Say what has to be compared with what."""
    match condition:
        case Is(column, subject):
            return f"{rule.table}.{column} equals the principal's {subject.value}"
        case Has(column, value):
            said = "null" if value is None else repr(value)
            return f"{rule.table}.{column} is {said}"
        case Linked(table, pairs, _):
            on = " and ".join(
                f"{rule.table}.{here} equals {table}.{there}" for here, there in pairs
            )
            return f"{on} of a row of {table} that is the principal's"
        case All(parts):
            return " and ".join(_compared(rule, part) for part in parts)
        case Any(parts):
            return " or ".join(_compared(rule, part) for part in parts)
        case _:
            return f"{condition}"
