"""A row's page: `static/row.*`, filled from `/view/row`."""

import gradio as gr

from leaderboard.pages import component


def row_page() -> gr.HTML:
    """`/row?id=...`."""
    return component("row", scripts=("cells.js", "curves.js", "maps.js", "row.js"), styles=("cells.css", "row.css"))
