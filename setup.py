"""What setup.cfg cannot say: README as the page of the distribution, with absolute links."""

import configparser
import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent


def page(text, links):
    """README with ``links`` before its relative links and pictures; where it is "", without them."""
    picture, link = r"!\[([^\]]*)\]\((?!https?:)([^)]+)\)", r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)"
    if links:
        return re.sub(link, rf"[\1]({links}\2)", re.sub(picture, rf"![\1]({links}\2)", text))
    text = re.sub(r"(?m)^\| \| \|\n\|---\|---\|\n(?:\| !\[.*\n)+\n?", "", text)  # a table of pictures
    return re.sub(link, r"\1", re.sub(rf"(?m)^{picture}\n\n?", "", text))


if __name__ == "__main__":
    config = configparser.ConfigParser()
    config.read(HERE / "setup.cfg", encoding="utf-8")
    setup(long_description=page((HERE / "README.md").read_text(encoding="utf-8"), config["readme"]["links"]),
          long_description_content_type="text/markdown")
