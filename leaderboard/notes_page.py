"""How to read the board: `static/notes.html`, plain words."""

import gradio as gr

from leaderboard.pages import component


def notes_page() -> gr.HTML:
    """What the numbers mean, and how a checkpoint gets here."""
    return component("notes", scripts=("notes.js",), styles=("notes.css",))
