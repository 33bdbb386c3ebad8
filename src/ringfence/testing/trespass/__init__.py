"""Proof by two identities: what one creates, the other never reaches.

``proof`` runs it and is read first; ``routes`` says what can be tried, ``intakes`` what
routes take, ``tries`` what is sent, ``answers`` how two answers are compared, and
``findings`` what got through.
"""

from ringfence.testing.trespass.findings import Finding, Proof, Unproven
from ringfence.testing.trespass.parties import Party
from ringfence.testing.trespass.proof import find_trespass, prove_no_trespass

__all__ = [
    "Finding",
    "Party",
    "Proof",
    "Unproven",
    "find_trespass",
    "prove_no_trespass",
]
