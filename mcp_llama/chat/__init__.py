"""Chat on top of plain completion: the model's own template."""
