"""Which fields of a row somebody may read and set: declared once on the model, applied
to the models of requests and responses.

``rules`` says it; ``verdict`` decides for who asks; ``shapes`` ties requests and
responses to it, of pydantic (``pydantic``) and of msgspec (``structs``).
"""
