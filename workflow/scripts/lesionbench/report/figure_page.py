"""The page on which the report shows a figure."""

import html
from base64 import b64encode

_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:1.5rem;color:#222}h1{font-size:1.2rem;margin:0 0 .8rem}"
    "figure{margin:0}img{display:block;width:100%;height:auto}figcaption{max-width:60rem;margin-top:.8rem}"
    "a{display:inline-block;margin-top:.8rem}"
)


def figure_page(image: bytes, width: int, name: str, title: str, caption: str) -> str:
    """Return a page with an image (SVG) under its title, as wide as the page and `width` pixels at most.

    Under it are the caption and a link that saves the image as `name`.svg.
    """
    address = f"data:image/svg+xml;base64,{b64encode(image).decode()}"
    title, caption = html.escape(title), html.escape(caption)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}img{{max-width:{width}px}}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<figure>\n"
        f'<img src="{address}" alt="{title}">\n<figcaption>{caption}</figcaption>\n</figure>\n'
        f'<a download="{html.escape(name)}.svg">Download as SVG</a>\n'
        # The image is in the page once.
        '<script>document.querySelector("a").href = document.querySelector("img").src</script>\n</body>\n</html>\n'
    )
