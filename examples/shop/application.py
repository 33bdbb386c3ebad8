"""Puts the shop together: routes, errors, storage, and the guard around it all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from examples.shop import api, web
from examples.shop.exports import Exports
from examples.shop.openapi import describe
from examples.shop.refusals import install_refusals
from examples.shop.storage.database import Database
from ringfence import Guard, Rule, Settings, access, headers

FOLDER = Path(__file__).parent
NAME = "Walled Garden"

# The stylesheet and the pictures are the same for everybody: caches may keep them.
KEPT = headers(cache="public, max-age=600")

# What FastAPI adds by itself cannot carry a decorator.
RULES = (
    Rule("GET", "/docs", access.public),
    Rule("GET", "/openapi.json", access.public),
)


def load_settings() -> Settings:
    """Return the settings of this machine, with the shop's name and frame on the
    library's sign-in pages."""
    clothes = {"site_name": NAME, "templates": FOLDER / "templates" / "auth"}
    return Settings.load(identity=clothes)


def create(settings: Settings) -> Guard:
    """Build the shop. No file is opened before the start-up."""
    database = Database(settings.data / "shop.db")
    shop = build(database)
    describe(shop, development=settings.development)
    guard = Guard(shop, settings, rules=RULES, data=database.owned)
    shop.state.accounts = guard.accounts
    shop.state.exports = Exports(settings.data / "exports")
    return guard


def build(database: Database) -> FastAPI:
    shop = FastAPI(
        title=NAME,
        summary="Seeds, tools and pots, behind a wall that holds.",
        version="1.0.0",
        lifespan=_lifespan,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    shop.state.database = database
    shop.include_router(api.router)
    shop.include_router(web.router)
    static = Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    shop.router.routes.extend(access.routes([static], access.public, KEPT))
    install_refusals(shop)
    return shop


@asynccontextmanager
async def _lifespan(shop: FastAPI) -> AsyncIterator[None]:
    database: Database = shop.state.database
    await database.prepare()
    yield
