"""What a training image goes through, so that the network does not learn how one collection took its pictures.

The collections differ in framing (whole photographs, central crops), resolution, compression, white balance, and in
what else is seen: hair, ruler marks, the dark corners of a dermatoscope. All of it is drawn at random here; the mask
follows the geometry and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VISIBLE_SHARE = (0.68, 1.08)
"""Side of the square seen, as a share of the image's side; above 1 the border is mirrored."""
MAX_ASPECT = 0.2
"""Largest absolute logarithm of the stretch of one side against the other."""
MAX_TILT = 25.0
"""Degrees, beside quarter turns and mirroring."""
BLUR_SHARE, COARSE_SHARE, JPEG_SHARE, NOISE_SHARE = 0.12, 0.12, 0.15, 0.1
HAIR_SHARE, RULER_SHARE, VIGNETTE_SHARE = 0.15, 0.05, 0.12
"""How many images in all get each of these."""


def augment(
    image_rgb: NDArray[np.uint8], mask: NDArray[np.uint8], side_px: int, mask_side_px: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns one random view of an image and its mask.

    Args:
        image_rgb: uint8 (side, side, 3), red-green-blue, 0..255, not modified.
        mask: uint8 (side, side), 0..255, not modified.
        side_px: Of the image returned.
        mask_side_px: Of the mask returned.
        rng: Decides everything.

    Returns:
        uint8 (side_px, side_px, 3) and uint8 (mask_side_px, mask_side_px).
    """
    view = _draw_view(image_rgb.shape[0], rng)
    moved = _warp(image_rgb, view, side_px)
    moved_mask = _warp(mask, view, mask_side_px)
    coloured = change_colours(moved, rng)
    dirtied = add_foreign_matter(coloured, rng)
    return degrade(dirtied, rng), moved_mask


def _draw_view(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns a 3x3 matrix from the unit square to the pixels of a source image with this side."""
    share = rng.uniform(*VISIBLE_SHARE)
    stretch = np.exp(rng.uniform(-MAX_ASPECT, MAX_ASPECT) / 2)
    tilt = np.deg2rad(rng.uniform(-MAX_TILT, MAX_TILT) + 90 * int(rng.integers(4)))
    mirror = 1 if rng.random() < 0.5 else -1
    room = max(0.0, 1 - share) * 0.4 + 0.03
    centre = 0.5 + rng.uniform(-room, room, 2)
    cosine, sine = np.cos(tilt), np.sin(tilt)
    turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([mirror * share * stretch, share / stretch])
    matrix = np.eye(3)
    matrix[:2, :2] = turn * side
    matrix[:2, 2] = (centre - turn @ [0.5, 0.5]) * side
    return matrix


def _warp(picture: NDArray[np.uint8], view: NDArray[np.float64], side_px: int) -> NDArray[np.uint8]:
    """Returns what the view shows of a picture, mirrored where it looks beyond the border."""
    # Pixel centres lie at half-integers: pixel k of n stands for (k + 0.5) / n of the unit square.
    to_unit = np.array([[1 / side_px, 0, 0.5 / side_px], [0, 1 / side_px, 0.5 / side_px], [0, 0, 1]])
    matrix = view @ to_unit
    matrix[:2, 2] -= 0.5
    warped = cv2.warpAffine(
        picture,
        matrix[:2],
        (side_px, side_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(warped, np.uint8)


def change_colours(image_rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns the image under another light: brightness, contrast, gamma, white balance, saturation."""
    steps = np.arange(256) / 255
    gamma = np.exp(rng.uniform(-0.25, 0.25))
    contrast = rng.uniform(0.8, 1.2)
    gains = rng.uniform(0.85, 1.15) * rng.uniform(0.92, 1.08, 3)
    tables = ((steps[:, None] ** gamma - 0.5) * contrast + 0.5) * gains
    table = np.clip(tables * 255, 0, 255).astype(np.uint8)[None]
    lit = cv2.LUT(image_rgb, table)
    saturation = rng.uniform(0.7, 1.25)
    grey = cv2.cvtColor(cv2.cvtColor(lit, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(lit, saturation, grey, 1 - saturation, 0), np.uint8)


def add_foreign_matter(image_rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns the image, now and then with hairs, a ruler's marks or dark corners drawn into it."""
    hairy, ruled, dark = rng.random(3) < (HAIR_SHARE, RULER_SHARE, VIGNETTE_SHARE)
    if not (hairy or ruled or dark):
        return image_rgb
    drawn = image_rgb.copy()
    if hairy:
        _draw_hairs(drawn, rng)
    if ruled:
        _draw_ruler(drawn, rng)
    if dark:
        _draw_vignette(drawn, rng)
    return drawn


def degrade(image_rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns the image, now and then blurred, coarsened, noisy or compressed."""
    blurred, coarse, noisy, compressed = rng.random(4) < (BLUR_SHARE, COARSE_SHARE, NOISE_SHARE, JPEG_SHARE)
    current: Any = image_rgb
    side = image_rgb.shape[0]
    if blurred:
        current = cv2.GaussianBlur(current, (0, 0), rng.uniform(0.4, 1.6))
    if coarse:
        small = int(side * rng.uniform(0.4, 0.8))
        current = cv2.resize(cv2.resize(current, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if noisy:
        noise = rng.normal(0, rng.uniform(2, 10), current.shape)
        current = np.clip(current + noise, 0, 255).astype(np.uint8)
    if compressed:
        _, encoded = cv2.imencode(".jpg", current, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 92))))
        current = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.asarray(current, np.uint8)


def _draw_hairs(image_rgb: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Draws thin bent lines, mostly dark, into the image."""
    side = image_rgb.shape[0]
    shade = rng.integers(10, 90) if rng.random() < 0.85 else rng.integers(170, 240)
    for _ in range(int(rng.integers(3, 22))):
        start, end = rng.uniform(-0.1, 1.1, (2, 2)) * side
        bend = (start + end) / 2 + rng.normal(0, 0.12 * side, 2)
        at = np.linspace(0, 1, 16)[:, None]
        curve = (1 - at) ** 2 * start + 2 * at * (1 - at) * bend + at**2 * end
        colour = [int(value) for value in np.clip(shade * np.array([1.1, 0.95, 0.85]) + rng.normal(0, 8, 3), 0, 255)]
        points = np.round(curve * 16).astype(np.int32)[:, None]
        cv2.polylines(image_rgb, [points], False, colour, 1 + int(rng.random() < 0.3), cv2.LINE_AA, 4)


def _draw_ruler(image_rgb: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Draws a row of ticks near one edge into the image."""
    side = image_rgb.shape[0]
    step, length, line = side * rng.uniform(0.03, 0.08), side * rng.uniform(0.03, 0.08), side * rng.uniform(0.02, 0.12)
    upright, far = rng.random(2) < 0.5
    shade = int(rng.integers(0, 70)) if rng.random() < 0.8 else int(rng.integers(200, 255))
    for index, position in enumerate(np.arange(rng.uniform(0, step), side, step)):
        reach = length * (1.8 if index % 5 == 0 else 1)
        near, tip = (side - line, side - line - reach) if far else (line, line + reach)
        ends = ((near, position), (tip, position)) if upright else ((position, near), (position, tip))
        first, second = (tuple(int(value) for value in end) for end in ends)
        cv2.line(image_rgb, first, second, (shade, shade, shade), 1, cv2.LINE_AA)


def _draw_vignette(image_rgb: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Darkens what lies outside a circle, as a dermatoscope's tube does."""
    side = image_rgb.shape[0]
    inside = np.zeros((side, side), np.uint8)
    centre = tuple(int(value) for value in side * rng.uniform(0.45, 0.55, 2))
    cv2.circle(inside, centre, int(side * rng.uniform(0.5, 0.68)), 255, cv2.FILLED)
    soft = cv2.GaussianBlur(inside, (0, 0), side * rng.uniform(0.004, 0.03)).astype(np.float32)[..., None] / 255
    floor = rng.uniform(0, 30)
    image_rgb[...] = (image_rgb * soft + floor * (1 - soft)).astype(np.uint8)
