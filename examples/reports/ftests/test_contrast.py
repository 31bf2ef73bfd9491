"""Whether the colours of the style sheet can be read by people who see less well."""

import re
import unittest
from pathlib import Path

import reports

#: What stands on what.
PAIRS = (
    ("text", "ground"),
    ("text", "card"),
    ("text", "wait-ground"),
    ("faint", "ground"),
    ("faint", "card"),
    ("accent", "ground"),
    ("accent", "card"),
    ("accent", "good-ground"),
    ("on-accent", "accent"),
    ("bad", "bad-ground"),
)


def schemes() -> list[dict[str, str]]:
    """The colours by name, of the light scheme and of the dark one."""
    style = Path(reports.__file__).parent / "browser" / "static" / "style.css"
    light, dark = re.findall(r":root \{(.*?)\}", style.read_text("utf-8"), re.S)
    return [dict(re.findall(r"--([\w-]+): #(\w{6});", part)) for part in (light, dark)]


def luminance(colour: str) -> float:
    """The relative luminance of a colour, as WCAG 2 defines it."""
    parts = (int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class TestContrast(unittest.TestCase):
    """Of 4.5 to 1, what WCAG 2 demands of texts."""

    def test_each_text_has_contrast_enough_in_both_schemes(self) -> None:
        for colours in schemes():
            for front, back in PAIRS:
                low, high = sorted((luminance(colours[front]), luminance(colours[back])))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back, colours[front])
