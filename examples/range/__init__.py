"""The shooting range: the guide's vulnerable snippets, in Python, on loopback.

Everything below ``targets`` is vulnerable on purpose. Read README.md before running it.
"""
