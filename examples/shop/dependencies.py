"""What handlers ask FastAPI for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop.exports import Exports
from examples.shop.people import Accounts
from ringfence import current


async def _writing(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.database.writing() as session:
        yield session


def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


def _shelf(request: Request) -> Exports:
    exports: Exports = request.app.state.exports
    return exports


# The guard opens it for whoever has sent the request, and closes it afterwards.
Reading = Annotated[AsyncSession, Depends(current.database)]

# scope="function": committed before the answer leaves. The default commits afterwards,
# and a customer could hold a receipt for an order that was never written.
Writing = Annotated[AsyncSession, Depends(_writing, scope="function")]
Shelf = Annotated[Exports, Depends(_shelf)]
People = Annotated[Accounts, Depends(_accounts)]
