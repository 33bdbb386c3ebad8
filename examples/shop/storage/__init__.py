"""The shop's own database: tables, sessions, migrations and the first stock."""
