"""The shop for people: pages without scripts, forms that redirect after they post."""

from fastapi import APIRouter

from examples.shop.web import admin, exports, orders, products, profile, transfers

router = APIRouter(include_in_schema=False)
for part in (products, orders, exports, transfers, profile, admin):
    router.include_router(part.router)
