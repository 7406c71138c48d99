"""Where models come from, and loading them."""
