"""The queue: `static/queue.*`, filled from `/view/live`."""

import gradio as gr

from leaderboard.pages import component


def queue_page() -> gr.HTML:
    """Who is judged, who waits, what became of the others."""
    return component("queue", scripts=("queue.js",), styles=("queue.css",))
