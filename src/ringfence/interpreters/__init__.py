"""The tools: where text reaches an interpreter, and must not become code there."""
