"""JSON schemas: what of them can be enforced, and where one that cannot be is at fault."""
