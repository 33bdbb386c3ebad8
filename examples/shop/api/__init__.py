"""The shop for programs: JSON under /api."""

from fastapi import APIRouter

from examples.shop.api import (
    admin,
    exports,
    imports,
    orders,
    previews,
    products,
    transfers,
    users,
)

router = APIRouter(prefix="/api")
PARTS = (products, orders, exports, imports, previews, transfers, users, admin)
for part in PARTS:
    router.include_router(part.router)
