"""The board: `static/board.*`, filled from `/view/board` and `/view/live`."""

import gradio as gr

from leaderboard.pages import component


def board_page() -> gr.HTML:
    """The first page."""
    return component(
        "board",
        scripts=("cells.js", "controls.js", "table.js", "keys.js", "board.js"),
        styles=("cells.css", "board.css", "phone.css"),
    )
