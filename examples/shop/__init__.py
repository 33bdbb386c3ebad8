"""The reference backend: a small shop with something to lose.

``ringfence dev examples.shop:app`` serves it.
"""

from examples.shop.application import create, load_settings

app = create(load_settings())
