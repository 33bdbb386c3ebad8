"""Redis and Valkey: single servers, Sentinel, Cluster.

From the URL to the wire: ``url`` and ``address`` read it; ``server`` opens what
``single``, ``sentinel`` or ``cluster`` (with ``slots``) offer alike; ``dial`` makes a
connection, on which ``inspection`` looks at who answers; ``connection`` shares it
between all calls, with ``packing`` and ``replies`` for the protocol and ``failures``
for what can go wrong.

On top of that, what the guard keeps: ``shared`` puts together ``counters``,
``blocks``, ``copies`` and ``question`` (all of them at once); ``names`` says under
which keys; ``composed`` makes scripts of the parts in ``scripts/*.lua``, and
``scripts`` calls them.
"""
