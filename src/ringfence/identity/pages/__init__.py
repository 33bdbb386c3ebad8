"""The pages that people see when they sign in."""
