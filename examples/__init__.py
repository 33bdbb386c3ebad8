"""Backends that show how ringfence is used, and how it fails to be broken."""
