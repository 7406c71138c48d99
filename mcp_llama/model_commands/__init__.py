"""The commands `models list`, `models info`, `models default` and `models rm`."""
