"""Content that the suite's tools and prompts show."""

import base64
import struct
import wave
import zlib
from io import BytesIO

from mcp_types import AudioContent, CallToolResult, ContentBlock, EmbeddedResource, ImageContent, TextContent
from mcp_types import TextResourceContents as Text


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def said(words: str) -> CallToolResult:
    """A result of one text."""
    return shown(text(words))


def shown(*blocks: ContentBlock) -> CallToolResult:
    return CallToolResult(content=list(blocks))


def image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(png()).decode(), mime_type="image/png")


def audio() -> AudioContent:
    """A sample of silence."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80")
    return AudioContent(type="audio", data=base64.b64encode(file.getvalue()).decode(), mime_type="audio/wav")


def embedded(uri: str, words: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=Text(uri=uri, text=words, mime_type=mime_type))


def png() -> bytes:
    """A picture of one red pixel."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\x00\x00")
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
