"""The `bench` command: how fast this machine runs the model, raw and through every door."""
