"""Data that brings code along: pickles, YAML tags, marshalled code, text for ``eval``.

There is no safe way to read these from strangers, so there is none here: read JSON
(``ringfence.accepts``, msgspec). The guards stop what somebody reads all the same.
"""
