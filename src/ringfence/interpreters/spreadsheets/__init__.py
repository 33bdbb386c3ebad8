"""Cells that a spreadsheet would calculate, and how to write them as text.

from ringfence import spreadsheets

    rows = spreadsheets.writer(file)
    rows.writerow([user.name, user.balance])
"""

from ringfence.interpreters.spreadsheets.cells import as_text, writer

__all__ = ["as_text", "writer"]
