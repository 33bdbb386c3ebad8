"""Every exception that ringfence raises, in one tree.

    RingfenceError
    ├── SettingsError            the developer's or the operator's mistake
    │   ├── PlanError            a route table that cannot be guarded as it stands
    │   ├── DeclarationError     what is said of a model's rows cannot be enforced
    │   └── MissingExtraError    an optional library that is not installed
    ├── StoreError               the world's failure: a store is down, slow or full
    │   └── StoreBusyError       a bounded queue is full; come again later
    ├── FetchError               the world's failure: nothing usable at an address
    ├── DeliveryError            the world's failure: a letter was not taken
    ├── CommandError             a program could not be started, or has failed
    ├── OutsideRequestError      the caller's misuse: no guarded request is running
    ├── BodyRefusedError         a request body was refused while it was read
    │   └── BodyTooLargeError    it passed its cap
    ├── InjectionRefusedError    text was about to become code at an interpreter
    ├── OwnershipRefusedError    rows that are not the principal's were reached for
    └── WrongPasswordError       a password does not fit its hash; never leaves identity
        └── UnusableHashError    the hash is damaged, unknown or costs too much

A refusal is not an error: it is a ``Denial``. Misused arguments raise the built-in
``TypeError`` and ``ValueError``.
"""

from __future__ import annotations


class RingfenceError(Exception):
    """Base of every exception raised by ringfence."""


class SettingsError(RingfenceError):
    """A setting, or a combination of settings, that must stop the start-up."""


class PlanError(SettingsError):
    """A route table that cannot be guarded: a route without a policy, an unknown kind
    of route, a shadowed route, an overlap that loosens a policy."""


class DeclarationError(SettingsError):
    """What is said of the rows or fields of a model that cannot be enforced: an unknown
    column, a circle, a table of which nobody has said whose its rows are."""


class MissingExtraError(SettingsError):
    """An optional library is missing.

    Args:
        library: the distribution that could not be imported.
        extra: the extra of ringfence that brings it.
        purpose: what it is needed for, as the end of "is needed to ...".
    """

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{library} is needed to {purpose}; install it with: "
            f"pip install 'ringfence[{extra}]'"
        )


class StoreError(RingfenceError):
    """A store could not answer. Identity and access refuse with 503."""


class StoreBusyError(StoreError):
    """A bounded queue is full.

    Args:
        message: what is full.
        retry_after: seconds after which trying again makes sense, at least 1.
    """

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeliveryError(RingfenceError):
    """A letter could not be handed over. Never leaves ``identity``.

    Args:
        message: why, without what was sent.
        lasting: trying again makes no sense.
    """

    def __init__(self, message: str, *, lasting: bool) -> None:
        super().__init__(message)
        self.lasting = lasting


class CommandError(RingfenceError):
    """A program could not be started, has failed, took too long or said too much."""


class InjectionRefusedError(RingfenceError):
    """Text that a request has brought was about to become code at an interpreter. The
    guard answers with the denial, whatever becomes of the exception.

    Not an ``OSError``: libraries swallow these, and try again.

    Args:
        denial: how the request is refused.
    """

    def __init__(self, denial: object) -> None:
        super().__init__(getattr(denial, "private", "") or str(denial))
        self.denial = denial


class OwnershipRefusedError(RingfenceError):
    """Rows were reached for that are not the principal's, or by a statement that does
    not say whose it wants. The guard answers with the denial, whatever becomes of the
    exception.

    Args:
        denial: how the request is refused.
    """

    def __init__(self, denial: object) -> None:
        super().__init__(getattr(denial, "private", "") or str(denial))
        self.denial = denial


class FetchError(RingfenceError):
    """At an address from outside there was no answer, or one too slow or too large."""


class OutsideRequestError(RingfenceError):
    """Something that only a guarded request has was asked for outside one, or a marked
    handler was reached that no guard has permitted."""


class WrongPasswordError(RingfenceError):
    """A password does not fit the hash. ``identity`` turns it into a ``Denial``."""


class UnusableHashError(WrongPasswordError):
    """A stored hash that nothing can be verified against: damaged, of an unknown kind,
    or asking for more memory or time than is allowed. Its text is for the ledger."""


class BodyRefusedError(RingfenceError):
    """A request body is slower, or a form more finely divided, than is allowed. Raised
    where the application reads; the guard answers with the denial behind it."""


class BodyTooLargeError(BodyRefusedError):
    """A request body passed its cap while it was being read. The guard answers 413.

    Args:
        limit: the cap, in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body is larger than {limit} bytes")
        self.limit = limit
