"""What all pages share: their files, and a theme that keeps out of the way."""

from pathlib import Path

import gradio as gr

STATIC = Path(__file__).parent / "static"

FONTS = (
    "-apple-system",
    "BlinkMacSystemFont",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Noto Sans",
    "Liberation Sans",
    "Arial",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")


def gradio_css() -> str:
    """What keeps Gradio's own frame out of the way."""
    return _read("gradio.css")


def component(name: str, *, scripts: tuple[str, ...], styles: tuple[str, ...]) -> gr.HTML:
    """One page: a template without any value in it, its styles, and the script that fills it through textContent.

    The template never changes, so Gradio never draws over what the script has made.

    Args:
        name: Of `static/<name>.html`.
        scripts: Files in `static/` that run one after the other as one function body.
        styles: Files in `static/`; Gradio confines them to the component.
    """
    return gr.HTML(
        value="",
        html_template=_read("header.html") + _read(f"{name}.html"),
        css_template="\n".join(_read(style) for style in ("page.css", *styles)),
        js_on_load="\n".join(_read(script) for script in ("dom.js", "live.js", *scripts)),
        apply_default_css=False,
        elem_classes=["page", f"page-{name}"],
    )


def theme() -> gr.themes.Base:
    """Gradio's barest theme, without fonts to fetch, on our grounds."""
    return gr.themes.Base(font=FONTS, font_mono=MONO).set(
        body_background_fill="#ffffff",
        body_background_fill_dark="#11151a",
        body_text_color="#15191e",
        body_text_color_dark="#e9ecf0",
    )


def _read(name: str) -> str:
    return (STATIC / name).read_text()
