"""The history of the schema. Alembic runs it from the installed package."""
