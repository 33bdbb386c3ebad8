"""The shop for people: pages without scripts, forms that redirect after they post."""

from fastapi import APIRouter

from examples.shop.web import admin, orders, products, profile, transfers

router = APIRouter(include_in_schema=False)
for part in (products, orders, transfers, profile, admin):
    router.include_router(part.router)
