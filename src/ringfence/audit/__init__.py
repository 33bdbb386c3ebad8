"""The ledger: what happened, who did it, and nothing that must stay secret."""
