"""The reference backend: a small shop with something to lose.

``ringfence dev examples.shop:app`` serves it.
"""

from examples.shop.application import create
from ringfence import Settings

app = create(Settings.load(identity={"site_name": "Walled Garden"}))
