"""Visitors of an application, who remember what they were told and ask for it later."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.faults.visitors import UNANSWERED, Answer, Line, Visitor

DEADLINE = 3.0
"""Seconds that any request may take, on a machine that does other things too. What the
store may take of it is far less."""
_SLACK = 1.0  # seconds more, for the same reason
_PATIENCE = 20.0  # seconds for a condition of a test to hold
_TICK = 0.01
_BETWEEN = 0.01  # seconds between two requests of one visitor
_AGAIN = 0.05  # seconds until a visitor who was refused insists


@dataclass(frozen=True, slots=True)
class Paths:
    """Where an application has what visitors ask for.

    Args:
        open: for everybody.
        mine: for who is signed in.
        orders: where to order.
        goods: what.
    """

    open: str = "/open"
    mine: str = "/mine"
    orders: str = "/orders"
    goods: object = None


YARD = Paths()


class Place(Protocol):
    """An application that is served."""

    @property
    def port(self) -> int: ...

    def orders(self) -> list[str]:
        """Return the numbers of all that were kept."""


@dataclass(slots=True)
class Traffic:
    """Everybody who visits one application, and all that they were told.

    Args:
        yard: where they go.
        title: of the case, for the line that is printed.
        cut: whether connections may end without an answer (a worker is killed).
        forgets: whether sessions may end by themselves (a clock is set back).
        deadline: seconds that any answer may take.
        paths: of the application.
    """

    yard: Place
    title: str
    cut: bool = False
    forgets: bool = False
    deadline: float = DEADLINE
    paths: Paths = YARD
    answers: list[Answer] = field(default_factory=list)
    joined: list[Visitor] = field(default_factory=list)
    ended: list[Visitor] = field(default_factory=list)
    residents: list[Visitor] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    recovery: float = 0.0
    ordinary: float = 0.0  # seconds that the same takes while nothing is wrong
    _names: itertools.count[int] = field(default_factory=itertools.count)
    _stopping: bool = False

    # One visit each.

    async def ask(
        self, line: Line, method: str, path: str, visitor: Visitor, body: object = None
    ) -> Answer:
        """Ask once; keep the answer and judge what no answer may be."""
        answer = await line.ask(method, path, visitor, body)
        self.answers.append(answer)
        if answer.status == UNANSWERED:
            if not self.cut:
                self.wrong.append(f"{answer.what} was cut")
        elif not (answer.is_refusal or answer.status < 300 or answer.status == 401):
            self.wrong.append(f"{answer.what}: {answer.status} {answer.body!r}")
        return answer

    async def join(self, line: Line) -> Visitor | None:
        """Make an account and sign in, both only if accepted."""
        visitor = Visitor(f"{self.title.replace(' ', '-')}-{next(self._names)}")
        answer = await self._insist(line, "/auth/register", visitor, visitor.account)
        if answer.status != 202:
            return None
        self.joined.append(visitor)
        return await self.sign_in(line, visitor.name)

    async def sign_in(self, line: Line, name: str) -> Visitor | None:
        """Return who was let in."""
        visitor = Visitor(name)
        answer = await self._insist(line, "/auth/login", visitor, visitor.account)
        if answer.status == 401:
            self.wrong.append(f"{name} is not known")
        if answer.status != 200:
            return None
        visitor.cookies = answer.cookies
        visitor.token = answer.json["csrf_token"]
        return visitor

    async def sign_out(self, line: Line, visitor: Visitor) -> None:
        """Sign out; whoever was told so must not be let in by that cookie again."""
        answer = await self._insist(line, "/auth/logout", visitor)
        if answer.status == 204:
            self.ended.append(visitor)

    async def _insist(
        self, line: Line, path: str, visitor: Visitor, body: object = None
    ) -> Answer:
        """Ask until there is an answer that is no refusal, or everybody goes."""
        end = time.monotonic() + _PATIENCE
        while True:
            answer = await self.ask(line, "POST", path, visitor, body)
            is_late = time.monotonic() > end
            if answer.kind == "answered" or self._stopping or is_late:
                return answer
            await asyncio.sleep(_AGAIN)

    async def order(self, line: Line, visitor: Visitor) -> None:
        answer = await self.ask(
            line, "POST", self.paths.orders, visitor, self.paths.goods
        )
        if answer.status == 201:
            self.orders.append(answer.json["id"])
        else:
            self._judge(answer, visitor)

    async def look(self, line: Line, visitor: Visitor) -> int:
        """Ask for what is one's own."""
        answer = await self.ask(line, "GET", self.paths.mine, visitor)
        self._judge(answer, visitor)
        return answer.status

    async def look_all(self) -> list[int]:
        """Return what each of the residents is answered now."""
        line = Line(self.yard.port)
        statuses = [await self.look(line, one) for one in self.residents]
        line.close()
        return statuses

    async def leave(self) -> None:
        """Have one of the residents ask to be signed out, once: unless that is
        accepted nobody knows what holds."""
        line = Line(self.yard.port)
        visitor = self.residents.pop()
        visitor.is_leaving = True
        answer = await self.ask(line, "POST", "/auth/logout", visitor)
        if answer.status == 204:
            self.ended.append(visitor)
        line.close()

    async def sign_out_all(self, visitors: list[Visitor]) -> None:
        """Let these leave."""
        line = Line(self.yard.port)
        for visitor in visitors:
            await self.sign_out(line, visitor)
        line.close()

    def _judge(self, answer: Answer, visitor: Visitor) -> None:
        if answer.status == 401 and not (self.forgets or visitor.is_leaving):
            self.wrong.append(f"{visitor.name} is no longer signed in")

    # All at once.

    async def settle(self, residents: int = 2) -> None:
        """Have some visitors who stay signed in, while nothing is wrong yet."""
        line = Line(self.yard.port)
        for _ in range(residents):
            visitor = await self.join(line)
            if visitor is None:
                raise RuntimeError(f"nobody can sign in: {self.answers[-1]}")
            self.residents.append(visitor)
        line.close()

    @asynccontextmanager
    async def flowing(self, joiners: int = 1) -> AsyncIterator[None]:
        """Let everybody go on until the block ends.

        Args:
            joiners: who make accounts, sign in and out again, without end: dear, as
                passwords are hashed.
        """
        self._stopping = False
        visits = [self._joining] * joiners + [self._haunting, self._passing]
        tasks = [asyncio.create_task(self._repeat(visit)) for visit in visits]
        tasks += [asyncio.create_task(self._living(one)) for one in self.residents]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    async def _repeat(self, visit: Callable[[Line], Coroutine[Any, Any, None]]) -> None:
        line = Line(self.yard.port)
        while not self._stopping:
            await visit(line)
            await asyncio.sleep(_BETWEEN)
        line.close()

    async def _living(self, resident: Visitor) -> None:
        async def visit(line: Line) -> None:
            if not resident.is_leaving:
                await self.look(line, resident)
                await self.order(line, resident)

        await self._repeat(visit)

    async def _joining(self, line: Line) -> None:
        visitor = await self.join(line)
        if visitor is not None:
            await self.look(line, visitor)
            await self.sign_out(line, visitor)

    async def _haunting(self, line: Line) -> None:
        """Come back with a cookie whose session has ended."""
        for ghost in self.ended[-3:]:
            await self._haunt(line, ghost)

    async def _haunt(self, line: Line, ghost: Visitor) -> int:
        answer = await self.ask(line, "GET", self.paths.mine, ghost)
        if answer.status == 200:
            self.wrong.append(f"the session of {ghost.name} has come back")
        return answer.status

    async def _passing(self, line: Line) -> None:
        """Ask for what is open to all: nothing but limits stands before it."""
        answer = await self.ask(line, "GET", self.paths.open, Visitor())
        # A clock that is set back makes one charge too many look as if it were.
        is_allowed = answer.status in {200, UNANSWERED} or self.forgets
        if not is_allowed:
            self.wrong.append(f"a stranger was refused: {answer.status}")

    # What tests wait for.

    def count(self) -> Counter[str]:
        """Return how many requests were answered, refused and cut so far."""
        return Counter(answer.kind for answer in self.answers)

    async def until(self, kind: str, more: int) -> None:
        """Return when so many more answers are of this kind."""
        wanted = self.count()[kind] + more
        async with asyncio.timeout(_PATIENCE):
            while self.count()[kind] < wanted:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(_TICK)

    async def go_on(self, seconds: float) -> None:
        """Return when there has been traffic for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.until("refused", 1)

    async def recovered(self, within: float = 1.0) -> None:
        """Return when each of the residents is let in again, and can sign in anew;
        note if that is later than the machine, busy as it is, lets it be."""
        self.recovery = await self._all_are_let_in()
        self.ordinary = await self._all_are_let_in()
        if self.recovery > within + self.ordinary + _SLACK:
            self.wrong.append(
                f"recovered after {self.recovery:.2f} s only, "
                f"{self.ordinary:.2f} s of them needed anyhow"
            )

    async def _all_are_let_in(self) -> float:
        started = time.monotonic()
        line = Line(self.yard.port)
        async with asyncio.timeout(_PATIENCE):
            for resident in self.residents:
                while await self.look(line, resident) != 200:  # noqa: ASYNC110 - of a process
                    await asyncio.sleep(_TICK)
            await self.sign_in(line, self.residents[0].name)
        line.close()
        return time.monotonic() - started

    async def audit(self) -> None:
        """Ask for everything that was accepted, and print what came of it."""
        line = Line(self.yard.port)
        tally = self.count()
        book = Counter(self.yard.orders())
        lost = [f"order {number}" for number in self.orders if book[number] != 1]
        lost += [what async for what in self._lost(line)]
        line.close()
        slow = max(self.answers, key=lambda answer: answer.took)
        if slow.took > self.deadline + self.ordinary:
            self.wrong.append(f"{slow.what} took {slow.took:.1f} s")
        print(  # noqa: T201 - what the test is asked to show
            f"{self.title}: sent {tally.total()}, answered {tally['answered']}, "
            f"refused {tally['refused']}, cut {tally['cut']}, lost {len(lost)}; "
            f"slowest {slow.took:.2f} s, recovered in {self.recovery:.2f} s, "
            f"{len(self.joined)} accounts, {len(self.ended)} sign-outs, "
            f"{len(self.orders)} orders"
        )
        assert not lost, lost
        assert not self.wrong, self.wrong
        assert self.orders
        assert self.joined

    async def _lost(self, line: Line) -> AsyncIterator[str]:
        for visitor in self.joined:
            if await self.sign_in(line, visitor.name) is None:
                yield f"account {visitor.name}: {self.answers[-1]}"
        for resident in () if self.forgets else self.residents:
            if await self.look(line, resident) != 200:
                yield f"session {resident.name}"
        for ghost in self.ended:
            if (status := await self._haunt(line, ghost)) != 401:
                yield f"end of a session, {ghost.name}: {status}"


async def hit(port: int, path: str, times: int, *, at_once: int = 50) -> Counter[int]:
    """Ask so often in parallel; return how many answers had which status."""
    left = itertools.repeat(None, times)
    statuses: Counter[int] = Counter()

    async def ask() -> None:
        line = Line(port)
        for _ in left:
            answer = await line.ask("GET", path, Visitor())
            statuses[answer.status] += 1
        line.close()

    await asyncio.gather(*(ask() for _ in range(at_once)))
    return statuses
