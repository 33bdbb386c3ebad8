"""The shop for programs: JSON under /api."""

from fastapi import APIRouter

from examples.shop.api import admin, orders, products, transfers, users

router = APIRouter(prefix="/api")
for part in (products, orders, transfers, users, admin):
    router.include_router(part.router)
