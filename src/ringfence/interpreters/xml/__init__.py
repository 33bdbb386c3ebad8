"""XML without document types, entities or network, and XPath with bound values.

from ringfence import xml

    order = xml.parse(await request.body())
    people = xml.xpath(tree, "//user[name=$name]", name=q)
"""

from ringfence.interpreters.xml.parse import parse
from ringfence.interpreters.xml.path import xpath

__all__ = ["parse", "xpath"]
