"""Pictures as octets or base64, opened by Pillow, and made what classifiers of ImageNet were trained with."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

from predictor.runtimes.mar.toolbox import PredictionException

_SHORT_SIDE, _SIDE = 256, 224
"""Pixels: what the classifiers that ImageNet's are were trained with."""
_MOST_PIXELS = 89_478_485
"""Pillow's own measure of sanity, where somebody has taken it away."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def as_imagenet(picture: Any) -> Any:
    """Return the middle of a picture as a tensor: short side 256, 224 by 224 of it, its colours standardised.

    As torchvision's Resize, CenterCrop, ToTensor and Normalize do it to Pillow's pictures, to the last bit.
    """
    import numpy as np
    import torch
    from PIL import Image

    width, height = picture.size
    short = min(width, height)
    long = int(_SHORT_SIDE * max(width, height) / short)
    size = (_SHORT_SIDE, long) if width <= height else (long, _SHORT_SIDE)
    scaled = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - _SIDE) / 2.0), round((size[1] - _SIDE) / 2.0)
    cropped = scaled.crop((left, top, left + _SIDE, top + _SIDE))
    tensor = torch.from_numpy(np.array(cropped, np.uint8)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, deviation = torch.tensor(_MEAN).view(3, 1, 1), torch.tensor(_DEVIATION).view(3, 1, 1)
    return tensor.sub_(mean).div_(deviation)


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PredictionException("a picture that comes as text is base64; this is not", 400) from error


def opened(octets: bytes | bytearray | memoryview) -> Any:
    """Return the picture in RGB; one of more pixels than Pillow finds sane is refused before they are made."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(octets))
        most = Image.MAX_IMAGE_PIXELS or _MOST_PIXELS
        if picture.width * picture.height > most:
            raise PredictionException(
                f"the picture has {picture.width} by {picture.height} pixels; {most} are the most", 413
            )
        return picture.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PredictionException(f"the picture has too many pixels: {error}", 413) from error
    except (OSError, SyntaxError, ValueError, TypeError) as error:  # what Pillow raises for pictures that are none
        raise PredictionException(f"it is no picture that can be read: {error}", 400) from error
