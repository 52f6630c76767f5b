"""Pictures as they come in requests: opened by their bytes, bounded before they are unpacked."""

from __future__ import annotations

import io
import struct
from typing import Any

from torpor.errors import InvalidInputError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")
MAX_PIXELS = 50_000_000
"""150 MB once unpacked; a file of some kB may claim any number."""


def opened(field: str, raw: bytes) -> Any:
    """Return the picture as Pillow's, in red, green and blue; raises InvalidInputError."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(raw), formats=FORMATS)
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise _too_large(field, f"{width} x {height} pixels")
        return picture.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # it counts before we can
        raise _too_large(field, str(error)) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        allowed = f"a whole picture is needed: {', '.join(FORMATS)}"
        raise InvalidInputError(field, f"{len(raw)} bytes", allowed) from error


def _too_large(field: str, what: str) -> InvalidInputError:
    return InvalidInputError(field, what, f"at most {MAX_PIXELS} pixels are unpacked")
