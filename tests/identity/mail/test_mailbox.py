"""Letters wait in a bounded queue, are tried again, and are never waited for."""

import asyncio
from email.headerregistry import Address

import pytest
from tests.identity.gatehouse import Ledger

from ringfence.audit.events import LetterLost
from ringfence.errors import DeliveryError, StoreError
from ringfence.exchange import own_work
from ringfence.identity.mail.letter import Letter
from ringfence.identity.mail.mailbox import Mailbox

pytestmark = pytest.mark.anyio

SENDER = Address(username="shop", domain="example.com")


def letter(to="ann@example.com"):
    return Letter("notice", "id-ann", to, "Hello", "text", "<p>page</p>")


class Carrier:
    """Takes letters, unless it is told to fail."""

    def __init__(self, *failures, gate=None):
        self.failures = list(failures)
        self.gate = gate
        self.carried = []
        self.was_own_work = None

    async def carry(self, message):
        self.was_own_work = own_work.get()
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.carried.append(message["to"])


@pytest.fixture
async def opened(anyio_backend):
    """Make a mailbox that is started, and stopped at the end."""
    made = []

    async def make(carrier, **options):
        ledger = Ledger()
        options.setdefault("waits", (0.0, 0.0))
        mailbox = Mailbox(carrier, SENDER, record=ledger.record, **options)
        await mailbox.start()
        made.append(mailbox)
        return mailbox, ledger

    yield make
    for mailbox in made:
        await mailbox.stop()


async def at_rest(mailbox):
    async with asyncio.timeout(10):
        while mailbox.waiting:
            await asyncio.sleep(0)
            await mailbox.settle()
    await mailbox.settle()


async def test_a_letter_is_carried_beside(opened):
    """Sending returns at once; it is nobody's request that is at work."""
    carrier = Carrier()
    mailbox, ledger = await opened(carrier)
    assert mailbox.send(letter())
    assert carrier.carried == []
    await mailbox.settle()
    assert carrier.carried == ["ann@example.com"]
    assert carrier.was_own_work
    assert not own_work.get()
    assert ledger.events == []


async def test_a_failure_that_may_pass_is_tried_again(opened):
    fault = DeliveryError("the server answered 451", lasting=False)
    carrier = Carrier(fault, fault)
    mailbox, ledger = await opened(carrier)
    mailbox.send(letter())
    await at_rest(mailbox)
    assert carrier.carried == ["ann@example.com"]
    assert ledger.events == []


@pytest.mark.parametrize(
    ("faults", "lasting"), [(3, False), (1, True)], ids=["too often", "for good"]
)
async def test_a_letter_that_is_lost_is_told(opened, faults, lasting):
    """Once, without the address."""
    fault = DeliveryError("the server answered 550", lasting=lasting)
    carrier = Carrier(*[fault] * faults)
    mailbox, ledger = await opened(carrier)
    mailbox.send(letter())
    await at_rest(mailbox)
    assert carrier.carried == []
    assert ledger.events == [
        LetterLost(account="id-ann", kind="notice", reason="the server answered 550")
    ]


async def test_what_does_not_fit_is_dropped_and_told(opened):
    """Those that are to be tried again take up room too."""
    gate = asyncio.Event()
    mailbox, ledger = await opened(Carrier(gate=gate), size=3)
    sent = []
    for _ in range(12):
        sent.append(mailbox.send(letter()))
        await asyncio.sleep(0)
    assert sent.count(False) == len(ledger.named(LetterLost)) == 12 - 4 - 3
    assert mailbox.waiting == 3
    gate.set()


async def test_an_errand_may_find_nothing_to_write(opened):
    """And one whose store is down is told, and stops nobody."""

    async def nothing():
        return None

    async def fails():
        raise StoreError("the database is away")

    carrier = Carrier()
    mailbox, ledger = await opened(carrier)
    for errand in (nothing, fails):
        assert mailbox.write(errand, kind="notice")
    mailbox.send(letter())
    await mailbox.settle()
    assert carrier.carried == ["ann@example.com"]
    assert [lost.reason for lost in ledger.events] == ["the database is away"]


async def test_what_nobody_has_foreseen_stops_no_letter(opened, caplog):
    """Even if each carrier has met it."""

    async def broken():
        raise ZeroDivisionError

    carrier = Carrier()
    mailbox, ledger = await opened(carrier)
    for _ in range(6):
        mailbox.write(broken, kind="notice")
    await mailbox.settle()
    mailbox.send(letter())
    async with asyncio.timeout(10):
        while not carrier.carried:  # noqa: ASYNC110 - who failed begins anew by itself
            await asyncio.sleep(0)
    assert len(ledger.named(LetterLost)) == 6
    assert "could not be written" in caplog.text


async def test_an_address_that_is_none_is_told(opened):
    mailbox, ledger = await opened(Carrier())
    mailbox.send(letter("ann@example.com\r\nBcc: eve@example.com"))
    await mailbox.settle()
    assert [lost.reason for lost in ledger.events] == [
        "nothing can be sent to such an address"
    ]


async def test_the_end_carries_what_is_ready(opened):
    carrier = Carrier()
    mailbox, _ = await opened(carrier)
    for _ in range(20):
        mailbox.send(letter())
    await mailbox.stop()
    await mailbox.stop()
    assert len(carrier.carried) == 20
    assert not mailbox.send(letter())


async def test_the_end_tells_what_it_could_not_wait_for(opened):
    """Those that were to be tried again much later."""
    fault = DeliveryError("the server answered 451", lasting=False)
    mailbox, ledger = await opened(Carrier(fault), waits=(3600.0,))
    mailbox.send(letter())
    await mailbox.settle()
    assert mailbox.waiting == 1
    await mailbox.stop()
    assert [lost.reason for lost in ledger.events] == [
        "the server ended before 1 could be sent"
    ]
