"""JSON that every parser reads alike, or none at all."""
