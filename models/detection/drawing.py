"""Boxes on images."""

import numpy as np

_WIDTH = 1 / 250  # of a line, as a share of the image's longer side


def outline(pixels: np.ndarray, boxes: np.ndarray, colour: tuple[int, int, int], inset: int = 0) -> None:
    """Draws frames of boxes into an image.

    Args:
        pixels: uint8 [height, width, 3]; changed.
        boxes: float [k, 4], xyxy in pixels.
        colour: Red, green, blue.
        inset: Line widths that the frame lies further inside, so that one shows beside another.
    """
    height, width = pixels.shape[:2]
    line = max(1, round(max(height, width) * _WIDTH))
    for box in boxes:
        left, top, right, bottom = (round(float(side)) for side in box)
        left, top = max(left, 0) + inset * line, max(top, 0) + inset * line
        right, bottom = min(right, width) - inset * line, min(bottom, height) - inset * line
        if right <= left or bottom <= top:
            continue
        pixels[top : top + line, left:right] = colour
        pixels[max(bottom - line, top) : bottom, left:right] = colour
        pixels[top:bottom, left : left + line] = colour
        pixels[top:bottom, max(right - line, left) : right] = colour
