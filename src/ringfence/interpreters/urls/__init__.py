"""Outgoing addresses: where a request may lead the connections of this process."""
