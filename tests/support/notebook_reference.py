"""The notebook's segmentation, written down from its steps alone: the yardstick of the parity tests."""

import sys
from typing import Any

import cv2


def boxes(image_bgr: Any) -> list[tuple[int, ...]]:
    """Boxes (x, y, width, height) as the notebook's cells find them on an image read by cv2.imread."""
    gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    blur = cv2.GaussianBlur(gray, (5, 5), 0)
    _, thresh = cv2.threshold(blur, 50, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(thresh, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [tuple(cv2.boundingRect(contour)) for contour in contours if cv2.contourArea(contour) > 100]


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(path, boxes(cv2.imread(path)))  # noqa: T201
