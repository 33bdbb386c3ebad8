"""SQL: values are bound, identifiers come from an allow-list, and a statement into
which somebody has written input as code does not reach its database."""
