"""What a picture of countless dots may cost."""

from __future__ import annotations

import numpy as np

from nevus_workers.imaging.otsu import OtsuSegmenter
from nevus_workers.imaging.regions import MAX_POINTS, MAX_REGIONS


def test_of_too_many_regions_the_largest_are_kept_in_order() -> None:
    """Of 1,600 squares 1,000 stay, all large ones among them, in the segmenter's order; the rest is counted."""
    image = np.full((1200, 1200, 3), 255, np.uint8)
    for row in range(40):
        for column in range(40):
            side = 20 if column % 2 else 14
            image[row * 30 : row * 30 + side, column * 30 : column * 30 + side] = 0
    found = OtsuSegmenter().segment(image)
    assert len(found.regions) == MAX_REGIONS
    assert found.left_out == 600
    assert sum(region.box.width >= 20 for region in found.regions) == 800
    order = [(region.box.y, region.box.x) for region in found.regions]
    assert order == sorted(order, reverse=True)
    assert sum(len(region.contour) for region in found.regions) <= 2 * MAX_POINTS
