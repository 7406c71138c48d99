"""HttpProtocol: HTTP/1.1 as httptools reads it, with headers as the standard has them."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol; blanks behind the value of a header are no part of it, as those before it."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; httptools cuts off only the blanks before its value."""
        super().on_header(name, value.rstrip(b" \t"))
