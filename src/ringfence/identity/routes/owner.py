"""Whose factors a request may change."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.entrance import SECOND
from ringfence.identity.factors.refusals import SECOND_FACTOR_MISSING
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.identity.routes.desk import (
    Desk,
    and_next,
    root_of,
    see_other,
    wants_page,
)
from ringfence.stores.contracts import AccountRecord


async def owner_of(
    accounts: Accounts, factors: SecondFactors
) -> AccountRecord | Denial:
    """Return the account whose factors may be changed by this request.

    A session from before a second factor was set up has shown none. It must not be able
    to take that factor away again, or to add a thief's: who has it and the password is
    whom the factor is to keep out (CWE-308).
    """
    principal = current.principal()
    account = await accounts.by_id(principal.id)
    if account is None:
        return SIGN_IN_FAILED
    held = await factors.held(account.id)
    if held.is_guarded and not principal.factors & SECOND:
        return SECOND_FACTOR_MISSING
    return account


def show_first(
    desk: Desk, request: Request, exchange: Exchange, refusal: Denial
) -> Response:
    """Refuse; lead a browser that owes a second proof to where it can show it, and back
    to the page that it wanted."""
    if refusal is not SECOND_FACTOR_MISSING or not wants_page(exchange):
        return desk.refuse(request, exchange, refusal)
    root = root_of(request)
    back = f"{root}/auth/two-step"
    if exchange.method == "GET":
        query = exchange.scope.get("query_string", b"").decode("latin-1")
        back = f"{exchange.path}?{query}" if query else exchange.path
    factors = ",".join(sorted(SECOND))
    return see_other(f"{root}/auth/confirm?factor={factors}{and_next(back)}")
