"""Sizes at which a client that does not read is felt."""

import socket

TINY_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
BIG_TOKENS = tuple(f"{number:04}".ljust(2000, ".") for number in range(800))
BIG_TEXT = "".join(BIG_TOKENS)
BUFFERED_TOKENS = 400
"""More than what the sockets, the server and the client hold of big tokens when nobody reads; far less than all."""
