"""The addresses under ``/auth``, for programs (JSON) and for people (forms and pages).

The only files of this room that know a web framework. Each subject has a file with its
addresses; ``desk`` is what they share, ``gatehouse`` puts them together.
"""
