"""Pictures of anything but a lesion under a dermatoscope, drawn and seeded: what a worker must not answer with a bare
number. `picture(kind, seed)` for each of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

WIDTH_PX, HEIGHT_PX = 640, 480
WORDS = ("invoice", "lesion", "result", "Total 12.50", "hospital", "of the", "and", "2026-11-23", "report", "page 3")

Picture = np.ndarray[Any, np.dtype[np.float32]]
"""float32 (HEIGHT_PX, WIDTH_PX, 3), blue-green-red, about 0..255; or (HEIGHT_PX, WIDTH_PX), about -1..1."""


def picture(kind: str, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Returns uint8 (480, 640, 3), blue-green-red; the same for the same arguments.

    Args:
        kind: One of KINDS.
        seed: Another one gives another picture: other colours, other scale, other content.
    """
    rng = np.random.default_rng([seed, *kind.encode()])
    drawn = _DRAWERS[kind](rng)
    drawn = drawn + rng.normal(0, rng.uniform(0.5, 4), drawn.shape)  # a camera's grain
    return np.clip(drawn, 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, octaves: int = 6, stretch: tuple[float, float] = (1, 1)) -> Picture:
    """Returns smooth noise of several scales, -1..1: clouds, skin, marble, grain of wood where it is stretched."""
    total = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    for octave in range(octaves):
        rows, columns = (max(2, round(2 ** (octave + 1) * s)) for s in stretch)
        coarse = rng.standard_normal((rows, columns)).astype(np.float32)
        total += cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC) / 1.8**octave
    return np.asarray(total / np.abs(total).max(), np.float32)


def _mixed(rng: np.random.Generator, share: Picture, low: tuple[int, ...], high: tuple[int, ...]) -> Picture:
    """Returns a mixture of two colours, each varied a little; `share` 0..1 of the second."""
    first, second = (np.array(colour) + rng.normal(0, 12, 3) for colour in (low, high))
    share = np.clip(share, 0, 1)[..., None]
    return np.asarray(first * (1 - share) + second * share, np.float32)


def _ramp(rng: np.random.Generator) -> Picture:
    """Returns a plane or a bowl, 0..1."""
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    plane = np.cos(angle) * x / WIDTH_PX + np.sin(angle) * y / HEIGHT_PX
    if rng.random() < 0.3:
        plane = np.hypot(x / WIDTH_PX - rng.random(), y / HEIGHT_PX - rng.random())
    return np.asarray((plane - plane.min()) / np.ptp(plane), np.float32)


def plain_skin(rng: np.random.Generator) -> Picture:
    """Skin without a lesion: one of many tones, slow shades, pores."""
    tones = ((150, 175, 225), (110, 140, 200), (70, 100, 160), (40, 60, 105))
    tone = np.array(tones[int(rng.integers(len(tones)))]) + rng.normal(0, 8, 3)
    shade = 1 + 0.05 * _clouds(rng, 3) + 0.02 * _clouds(rng, 8)
    return np.asarray(tone * shade[..., None], np.float32)


def text_page(rng: np.random.Generator) -> Picture:
    """A printed or typed page, on white or yellowish paper, a little shaded."""
    paper = np.array((235, 245, 248)) - rng.uniform(0, 45) * np.array((1.0, 0.6, 0.4))
    page = np.full((HEIGHT_PX, WIDTH_PX, 3), paper).astype(np.uint8)
    size = rng.uniform(0.45, 1.1)
    for y in range(30, HEIGHT_PX - 10, int(34 * size) + 4):
        line = " ".join(rng.choice(WORDS, int(rng.integers(2, 12))))
        cv2.putText(page, line, (int(rng.uniform(10, 40)), y), cv2.FONT_HERSHEY_SIMPLEX, size, (40, 35, 35), 1)
    return np.asarray(page * (1 - 0.25 * _ramp(rng)[..., None]), np.float32)


def noise(rng: np.random.Generator) -> Picture:
    """Noise of one pixel or of some, grey or coloured."""
    cell, channels = int(rng.integers(1, 7)), int(rng.choice((1, 3)))
    coarse = rng.uniform(0, 255, (HEIGHT_PX // cell + 1, WIDTH_PX // cell + 1, channels)).astype(np.float32)
    method = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
    large = cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=method).reshape(HEIGHT_PX, WIDTH_PX, -1)
    return np.broadcast_to(large, (HEIGHT_PX, WIDTH_PX, 3)).astype(np.float32)


def x_ray(rng: np.random.Generator) -> Picture:
    """A grey radiograph-like picture: dark ground, a bright body, ribs."""
    body = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    centre = (int(rng.uniform(270, 370)), int(rng.uniform(200, 280)))
    cv2.ellipse(body, centre, (int(rng.uniform(150, 260)), int(rng.uniform(150, 230))), 0, 0, 360, 110.0, -1)
    for side in (-1, 1):
        lung = (centre[0] + side * int(rng.uniform(70, 110)), centre[1])
        cv2.ellipse(body, lung, (55, 120), side * 8.0, 0, 360, 45.0, -1)
        for rib in range(7):
            where = (centre[0] + side * 60, centre[1] - 120 + rib * 42)
            cv2.ellipse(body, where, (90, 24), side * 12.0, 180, 360, 150.0, 6)
    cv2.line(body, (centre[0], 20), (centre[0], HEIGHT_PX - 20), 190.0, int(rng.uniform(14, 30)))
    body = cv2.GaussianBlur(body, (0, 0), rng.uniform(3, 7)) * (1 + 0.15 * _clouds(rng)) + 12
    return np.repeat(body[..., None], 3, axis=2).astype(np.float32)


def wood(rng: np.random.Generator) -> Picture:
    """Planks with a grain along or across."""
    bent = _clouds(rng, 3, (2, 1)) * rng.uniform(0.1, 0.5)
    y = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX][0] / HEIGHT_PX
    rings = 0.5 + 0.35 * np.sin(2 * np.pi * rng.uniform(6, 30) * (y + bent)) + 0.3 * _clouds(rng, 6, (6, 0.5))
    plank = _mixed(rng, np.asarray(rings, np.float32), (45, 85, 130), (110, 160, 205))
    for seam in range(int(rng.integers(60, 160)), HEIGHT_PX, int(rng.integers(90, 170))):
        plank[seam : seam + 3] *= 0.4
    return _turned(rng, plank)


def grass(rng: np.random.Generator) -> Picture:
    """Blades of many greens."""
    lawn = _mixed(rng, 0.5 + 0.5 * _clouds(rng), (15, 60, 35), (50, 120, 80))
    for _ in range(2500):
        x, y = rng.uniform(0, WIDTH_PX), rng.uniform(0, HEIGHT_PX)
        lean, length = rng.normal(0, 0.5), rng.uniform(12, 45)
        tip = (int(x + lean * length), int(y - length))
        green = tuple(float(v) for v in np.array((40, 130, 85)) * rng.uniform(0.4, 1.5))
        cv2.line(lawn, (int(x), int(y)), tip, green, int(rng.integers(1, 3)))
    return lawn


def sky(rng: np.random.Generator) -> Picture:
    """Clouds on blue, at times with a dark horizon."""
    view = _mixed(rng, 0.5 + rng.uniform(0.6, 1.4) * _clouds(rng, 7, (1, 1.5)), (215, 150, 90), (245, 242, 240))
    if rng.random() < 0.5:
        horizon = int(rng.uniform(300, 430))
        view[horizon:] = _mixed(rng, 0.5 + 0.5 * _clouds(rng), (30, 60, 40), (70, 110, 90))[horizon:]
    return view


def brick(rng: np.random.Generator) -> Picture:
    """A wall of bricks: reddish, brown, or pale, with mortar."""
    tone = np.array(((55, 70, 150), (60, 85, 125), (110, 150, 190))[int(rng.integers(3))])
    wall = np.full((HEIGHT_PX, WIDTH_PX, 3), (165, 175, 180), np.float32) * rng.uniform(0.6, 1.1)
    width, height = int(rng.uniform(50, 130)), int(rng.uniform(20, 55))
    for row, y in enumerate(range(0, HEIGHT_PX, height)):
        for x in range(-width * (row % 2) // 2, WIDTH_PX, width):
            colour = tuple(float(v) for v in tone * rng.uniform(0.75, 1.25))
            cv2.rectangle(wall, (x + 3, y + 3), (x + width - 3, y + height - 3), colour, -1)
    return np.asarray(wall * (1 + 0.15 * _clouds(rng, 8)[..., None]), np.float32)


def gradient(rng: np.random.Generator) -> Picture:
    """One colour into another."""
    low, high = (tuple(int(v) for v in rng.uniform(0, 255, 3)) for _ in range(2))
    return _mixed(rng, _ramp(rng), low, high)


def screenshot(rng: np.random.Generator) -> Picture:
    """Windows, buttons, lists and text, light or dark."""
    dark = bool(rng.random() < 0.4)
    ground, ink = ((40, 35, 32), (225, 225, 225)) if dark else ((245, 245, 245), (40, 40, 40))
    screen = np.full((HEIGHT_PX, WIDTH_PX, 3), ground, np.uint8)
    accent = tuple(float(v) for v in rng.uniform(40, 230, 3))
    cv2.rectangle(screen, (0, 0), (WIDTH_PX, 34), accent, -1)
    shade = 1.6 if dark else 0.92
    cv2.rectangle(screen, (0, 35), (int(rng.uniform(80, 200)), HEIGHT_PX), tuple(v * shade for v in ground), -1)
    for _ in range(int(rng.integers(2, 6))):
        x, y = int(rng.uniform(180, 500)), int(rng.uniform(60, 380))
        cv2.rectangle(screen, (x, y), (x + int(rng.uniform(60, 140)), y + int(rng.uniform(24, 90))), accent, -1)
    for y in range(60, HEIGHT_PX, int(rng.integers(18, 34))):
        line = " ".join(rng.choice(WORDS, int(rng.integers(1, 7))))
        cv2.putText(screen, line, (int(rng.uniform(8, 220)), y), cv2.FONT_HERSHEY_PLAIN, 0.9, ink, 1)
    return screen.astype(np.float32)


def stones(rng: np.random.Generator) -> Picture:
    """Pebbles: round things of many greys and browns."""
    ground = _mixed(rng, 0.5 + 0.5 * _clouds(rng), (60, 65, 70), (100, 110, 120))
    for _ in range(260):
        centre = (int(rng.uniform(0, WIDTH_PX)), int(rng.uniform(0, HEIGHT_PX)))
        axes = (int(rng.uniform(12, 45)), int(rng.uniform(10, 35)))
        colour = np.array((110, 120, 130)) * rng.uniform(0.5, 1.6) + rng.normal(0, 10, 3)
        turn = rng.uniform(0, 180)
        cv2.ellipse(ground, centre, axes, turn, 0, 360, tuple(float(v) * 0.5 for v in colour), -1)
        inner = (max(2, axes[0] - 4), max(2, axes[1] - 4))
        cv2.ellipse(ground, centre, inner, turn, 0, 360, tuple(float(v) for v in colour), -1)
    return np.asarray(cv2.GaussianBlur(ground, (0, 0), 1.2), np.float32)


def fabric(rng: np.random.Generator) -> Picture:
    """A weave, striped or checked, of two colours."""
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float32)
    period = rng.uniform(8, 60)
    across = np.sign(np.sin(2 * np.pi * x / period))
    along = np.sign(np.sin(2 * np.pi * y / period)) if rng.random() < 0.6 else 0 * y
    weave = 0.5 + 0.25 * (across + along) + 0.12 * np.sin(2 * np.pi * x / 5) * np.sin(2 * np.pi * y / 5)
    low, high = (tuple(int(v) for v in rng.uniform(10, 245, 3)) for _ in range(2))
    return _turned(rng, _mixed(rng, np.asarray(weave + 0.1 * _clouds(rng), np.float32), low, high))


def portrait(rng: np.random.Generator) -> Picture:
    """A face seen from afar, before a ground of any colour: skin, but no dermatoscope."""
    colour = tuple(int(v) for v in rng.uniform(30, 220, 3))
    view = _mixed(rng, 0.5 + 0.5 * _clouds(rng, 3), colour, colour)
    skin = np.array((130, 160, 210)) * rng.uniform(0.5, 1.05)
    x, y = int(rng.uniform(270, 370)), int(rng.uniform(210, 260))
    shirt = tuple(float(v) for v in rng.uniform(20, 230, 3))
    cv2.ellipse(view, (x, HEIGHT_PX + 40), (210, 150), 0, 0, 360, shirt, -1)
    hair = tuple(float(v) for v in np.array((30, 40, 60)) * rng.uniform(0.4, 2.5))
    cv2.ellipse(view, (x, y - 35), (118, 150), 0, 0, 360, hair, -1)
    cv2.ellipse(view, (x, y), (98, 135), 0, 0, 360, tuple(float(v) for v in skin), -1)
    for side in (-1, 1):
        cv2.ellipse(view, (x + side * 40, y - 25), (16, 8), 0, 0, 360, (240.0, 240.0, 240.0), -1)
        cv2.circle(view, (x + side * 40, y - 25), 7, (30.0, 35.0, 45.0), -1)
    cv2.ellipse(view, (x, y + 65), (36, 12), 0, 0, 360, tuple(float(v) for v in skin * (0.7, 0.6, 0.85)), -1)
    return np.asarray(cv2.GaussianBlur(view, (0, 0), 2), np.float32)


def histology(rng: np.random.Generator) -> Picture:
    """A stained section: pink and violet, full of nuclei."""
    slide = _mixed(rng, 0.5 + 0.8 * _clouds(rng, 7), (195, 150, 225), (225, 205, 240))
    for _ in range(int(rng.integers(300, 1200))):
        centre = (int(rng.uniform(0, WIDTH_PX)), int(rng.uniform(0, HEIGHT_PX)))
        axes = (int(rng.uniform(3, 9)), int(rng.uniform(3, 7)))
        colour = tuple(float(v) for v in np.array((150, 70, 110)) * rng.uniform(0.7, 1.2))
        cv2.ellipse(slide, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1)
    return np.asarray(cv2.GaussianBlur(slide, (0, 0), 1), np.float32)


def one_colour(rng: np.random.Generator) -> Picture:
    """A lens cap, a white wall, or any colour between."""
    level = float(rng.choice((0, 255, 128)))
    colour = np.full(3, level) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    return np.full((HEIGHT_PX, WIDTH_PX, 3), colour, np.float32)


def _turned(rng: np.random.Generator, drawn: Picture) -> Picture:
    """Returns the picture turned by any angle or none, its corners filled by enlarging it."""
    angle = 0.0 if rng.random() < 0.5 else float(rng.uniform(-90, 90))
    matrix = cv2.getRotationMatrix2D((WIDTH_PX / 2, HEIGHT_PX / 2), angle, 1.7 if angle else 1.0)
    return np.asarray(cv2.warpAffine(drawn, matrix, (WIDTH_PX, HEIGHT_PX)), np.float32)


_DRAWERS: dict[str, Callable[[np.random.Generator], Picture]] = {
    drawer.__name__: drawer
    for drawer in (
        plain_skin, text_page, noise, x_ray, wood, grass, sky, brick,
        gradient, screenshot, stones, fabric, portrait, histology, one_colour,
    )
}  # fmt: skip
KINDS = tuple(_DRAWERS)
"""What there is, from skin that has no lesion to things that are no skin."""
