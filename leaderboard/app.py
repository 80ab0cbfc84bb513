"""The web server of the page: Gradio's Blocks, and the plain JSON behind them.

What a page shows comes from `/view/...` as JSON with an ETag, read by the page's own script every two seconds while
somebody looks at it: a poll that finds nothing new costs one query and no bytes, nothing on screen is drawn again unless
it changed, and no Gradio event queue stands between many visitors and a busy worker.
"""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime

import gradio as gr
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from gradio.components.navbar import Navbar

from bench.schema import Frozen, content_hash
from leaderboard.board import board_page
from leaderboard.model_page import row_page
from leaderboard.notes_page import notes_page
from leaderboard.pages import STATIC, gradio_css, theme
from leaderboard.progress import jobs, works
from leaderboard.queue_page import queue_page
from leaderboard.ranking import Ranks
from leaderboard.row_view import row_view
from leaderboard.source import Source
from leaderboard.tables import Asked, board
from leaderboard.views import BoardView, LiveView, RowView
from submissions.schema import Status

TITLE = "Reelproof"

REMEMBERED = 64
"""Boards and rows kept in memory; results never change, so only new ones make them stale."""


class Views:
    """Every view of a source, made when asked for. A board is remembered until its results or verdicts change."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ranks = Ranks()
        self._boards: dict[tuple[object, ...], BoardView] = {}
        self._rows: dict[tuple[object, ...], RowView | None] = {}

    def board(self, asked: Asked) -> BoardView:
        """The board."""
        results, entries, events = self._source.results(), self._source.entries(), self._source.events()
        key = (asked, tuple(stored.folder.name for stored in results), len(events), len(entries))
        if key not in self._boards:
            if len(self._boards) >= REMEMBERED:
                self._boards.clear()
            self._boards[key] = board(results, entries, events, asked, self._ranks)
        return self._boards[key]

    def live(self, asked: Asked) -> LiveView:
        """What goes on now."""
        now = datetime.now(UTC)
        results, entries = self._source.results(), self._source.entries()
        return LiveView(
            time=now,
            board=self.board(asked).state,
            jobs=jobs(entries, results, now),
            works=works(self._source.activities(), judging=any(entry.status == Status.RUNNING for entry in entries)),
        )

    def row(self, result_id: str, dataset: str) -> RowView | None:
        """One row; None where there is no such result."""
        results, events = self._source.results(), self._source.events()
        key = (result_id, dataset, tuple(stored.folder.name for stored in results), len(events))
        if key not in self._rows:
            if len(self._rows) >= REMEMBERED:
                self._rows.clear()
            self._rows[key] = row_view(results, events, result_id, dataset, self._ranks)
        return self._rows[key]


def build_app(source: Source, *, mount: Callable[[FastAPI], None] | None = None) -> FastAPI:
    """The whole site.

    Args:
        source: Where results, queue and ledger are read.
        mount: Adds further routes beside the page, before the page takes every other address: the service's API.
    """
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None)  # FastAPI's own pages load scripts from elsewhere
    views = Views(source)

    @app.get("/view/board")
    def _board(request: Request, suite: str = "", dataset: str = "", track: str = "") -> Response:
        return _answer(request, views.board(Asked(suite, dataset, track)))

    @app.get("/view/live")
    def _live(suite: str = "", dataset: str = "", track: str = "") -> Response:
        return Response(views.live(Asked(suite, dataset, track)).model_dump_json(), media_type="application/json")

    @app.get("/view/row")
    def _row(request: Request, id: str = "", dataset: str = "") -> Response:
        view = views.row(id, dataset)
        if view is None:
            return JSONResponse({"error": "There is no result of this id here."}, status_code=404)
        return _answer(request, view)

    @app.exception_handler(ValueError)
    def _unreadable(_request: Request, error: Exception) -> Response:
        """A result that cannot be read is said, never skipped."""
        return JSONResponse({"error": str(error)}, status_code=500)

    if mount is not None:
        mount(app)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SSR mode is not supported")  # said even where it is switched off
        return _mounted(app)


def _mounted(app: FastAPI) -> FastAPI:
    """The page at every address that nothing else answers."""
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        _blocks(),
        path="/",
        theme=theme(),
        css=gradio_css(),
        favicon_path=str(STATIC / "favicon.png"),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        max_file_size="1kb",
    )
    return mounted


def _blocks() -> gr.Blocks:
    """Every page is one component that draws itself."""
    blocks: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        Navbar(visible=False)
        board_page()
    for name, address, page in (
        ("Row", "row", row_page),
        ("Queue", "queue", queue_page),
        ("How to read this", "notes", notes_page),
    ):
        with blocks.route(name, address, show_in_navbar=False):
            Navbar(visible=False)
            page()
    return blocks


def _answer(request: Request, view: Frozen) -> Response:
    """A view as JSON; 304 where the visitor has it already."""
    tag = f'"{content_hash(view)[:20]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(
        view.model_dump_json(), media_type="application/json", headers={"ETag": tag, "Cache-Control": "no-cache"}
    )
