"""The page as a visitor uses it, in Chromium."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine, delete

from bench.home import Home
from bench.results import StoredResult
from submissions.database import PROGRESS, SUBMISSIONS, connect
from submissions.queue import Queue
from submissions.schema import Status, Submission
from tests.leaderboard.invented import Skill, invent

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)

HOSTILE = '<img src="x" onerror="window.owned = 1">'
WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


@dataclass
class Service:
    """A page that is served by a process of its own, and what it reads."""

    home: Home
    address: str
    engine: Engine
    stored: list[StoredResult]

    @property
    def queue(self) -> Queue:
        return Queue(self.engine)

    def add(self, number: int) -> int:
        submission = Submission(
            name=f"model {number}", architecture="c3d", suite="mini-v1", checkpoint="x", encoder_hash=f"{number:064x}"
        )
        return self.queue.add(submission)[0].id

    def named(self, name: str) -> str:
        return next(one.result.result_id for one in self.stored if one.result.card.name == name)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = Home(tmp_path_factory.mktemp("home"))
    folder = home.results
    hostile = {"architecture": HOSTILE, "pretext": HOSTILE, "owner": HOSTILE, "licence": HOSTILE, "recipe": HOSTILE}
    stored = [
        invent(folder, "Random initialisation", skill=Skill(0.3, 0.2, 0.2), anchor="random", number=1),
        invent(folder, "Supervised", skill=Skill(0.9, 0.8, 0.7), anchor="supervised", number=2),
        invent(folder, "Random initialisation", architecture="c3d", anchor="random", number=3),
        invent(folder, "strong", skill=Skill(0.8, 0.3, 0.3), number=4, grams=True),
        invent(folder, "probing", skill=Skill(0.6, 0.7, 0.3), number=5, card={"pretext": "RSPNet"}),
        invent(folder, "weak", skill=Skill(0.35, 0.25, 0.25), number=6, card={"owner": "somebody"}),
        invent(folder, "odd", skill=Skill(0.5), number=7, card=hostile),
    ]
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", f"from leaderboard.cli import serve; serve(port={port})"],
        env={**os.environ, "REELPROOF_HOME": str(home.root)},
        stderr=subprocess.DEVNULL,
    )
    engine = connect(home.database_url)
    try:
        _wait_until_it_answers(port, process)
        yield Service(home, f"http://127.0.0.1:{port}", engine, stored)
    finally:
        engine.dispose()
        process.terminate()
        process.wait()


@pytest.fixture
def service(served: Service) -> Iterator[Service]:
    """The service, with an empty queue before and after."""
    yield served
    with served.engine.begin() as db:
        db.execute(delete(PROGRESS))
        db.execute(delete(SUBMISSIONS))


def _wait_until_it_answers(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail("the page did not come up")


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


class Visitor:
    """A page, with all that it asked for and complained about."""

    def __init__(self, context: "sync_api.BrowserContext", address: str) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.address = address
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))

    def open(self, path: str, wait_for: str = ".row.data:visible, .ready") -> "sync_api.Page":
        self.page.goto(self.address + path)
        self.page.wait_for_selector(wait_for)
        return self.page

    def names(self) -> list[str]:
        return self.page.locator(".row.data:visible .name b").all_text_contents()

    def chosen(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.page.url).query).items()}


@pytest.fixture
def visitor(browser: "sync_api.Browser", served: Service) -> Iterator[Visitor]:
    context = browser.new_context(viewport=WIDE)
    made = Visitor(context, served.address)
    yield made
    context.close()
    assert made.complaints == []
    assert [url for url in made.asked if urlsplit(url).hostname not in ("127.0.0.1", None)] == []


@pytest.fixture
def phone(browser: "sync_api.Browser", served: Service) -> Iterator[Visitor]:
    context = browser.new_context(viewport=PHONE, has_touch=True, color_scheme="dark")
    made = Visitor(context, served.address)
    yield made
    context.close()
    assert made.complaints == []


def test_the_board_stands_in_order_with_anchors_above_and_never_ranked(visitor: Visitor) -> None:
    page = visitor.open("/")
    assert visitor.names() == ["strong", "probing", "odd", "weak"]
    assert page.locator(".row.anchor").all_inner_texts()[0].startswith("anchor")
    assert page.locator(".row.anchor").count() == 3
    assert page.locator(".row.data .rank .reader").first.inner_text() == "rank 1 of 4, best"
    assert "mini-v1 is a draft." in page.locator(".banner.draft").inner_text()


def test_a_click_on_a_row_opens_its_curves_its_layer_maps_and_its_provenance(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.locator(".row.data", has_text="strong").locator(".c-finetune").click()
    page.wait_for_selector(".panel")
    assert urlsplit(page.url).path == "/row"
    assert page.locator("h1").inner_text().startswith("strong")
    assert page.locator(".panel").count() == 4
    assert page.locator(".map").count() == 3
    assert page.locator(".heat-table tbody td").count() == 4 * 6 + 6
    assert "Suite hash" in page.locator(".origin").inner_text()
    assert page.locator(".command-line code").inner_text().startswith("reelproof verify ")
    page.get_by_role("button", name="Probe").click()
    assert page.get_by_role("button", name="Probe").get_attribute("aria-pressed") == "true"


def test_a_header_sorts_the_ranks_follow_and_the_address_remembers(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.locator("[data-sort='probe']").click()
    assert visitor.names()[0] == "probing"
    assert visitor.chosen() == {"sort": "probe"}
    assert page.locator(".row.data .rank .reader").first.inner_text().startswith("rank 1")
    page.locator("[data-sort='probe']").click()
    assert visitor.names()[-1] == "probing"
    assert page.locator(".header .c-probe").get_attribute("aria-sort") == "ascending"
    page.reload()
    page.wait_for_selector(".row.data")
    assert visitor.names()[-1] == "probing"


def test_search_and_filters_hide_rows_and_never_rank_anew(visitor: Visitor) -> None:
    page = visitor.open("/")
    ranks = dict(zip(visitor.names(), page.locator(".row.data .rank .reader").all_inner_texts(), strict=True))
    page.locator(".search input").fill("somebody")
    assert visitor.names() == ["weak"]
    assert page.locator(".row.data:visible .rank .reader").inner_text() == ranks["weak"]
    page.locator(".search input").fill("")
    page.locator(".chips summary", has_text="Pretext").click()
    page.locator(".choice", has_text="RSPNet").locator("input").check()
    assert visitor.names() == ["probing"]
    assert visitor.chosen() == {"pretext": "RSPNet"}
    page.locator(".search input").fill("zzz")
    assert page.locator(".nothing").inner_text().startswith("No row matches")
    assert page.locator(".nothing .chip").count() == 2


def test_another_data_set_is_another_board_of_the_same_rows(visitor: Visitor) -> None:
    page = visitor.open("/")
    before = page.locator(".row.data .c-finetune .number").all_inner_texts()
    page.locator("[data-name='dataset'] button", has_text="motion").click()
    page.wait_for_selector("[data-name='dataset'] [aria-pressed='true']:has-text('motion')")
    assert visitor.chosen() == {"dataset": "motion"}
    assert page.locator(".row.data .c-finetune .number").all_inner_texts() != before
    assert len(visitor.names()) == 4


def test_words_of_strangers_are_text_wherever_they_stand(visitor: Visitor, service: Service) -> None:
    service.queue.move(service.add(1), Status.REJECTED, note=HOSTILE)
    service.queue.move(service.add(2), Status.REJECTED, note=HOSTILE)
    pages = {
        "/": 3,
        f"/?arch={HOSTILE.replace('=', '%3D')}": 3,
        "/queue": 2,
        f"/row?id={service.named('odd')}": 4,
        f"/?suite={HOSTILE}": 1,
    }
    for path, times in pages.items():
        page = visitor.open(path, ".row.data:visible, .ready, .nothing")
        page.wait_for_timeout(200)
        assert page.locator(".content").inner_text().count("onerror") >= times, path
        assert page.locator(".content img").count() == 0
        assert page.evaluate("window.owned") is None


def test_running_work_is_told_without_drawing_anything_else_anew(visitor: Visitor, service: Service) -> None:
    page = visitor.open("/")
    page.locator(".anchor button", has_text="Random").click()
    assert page.locator(".row.anchor").count() == 5
    page.evaluate("document.querySelector('.row.data').kept = 1")
    top = page.locator(".row.data").first.bounding_box()
    number = service.add(7)
    service.queue.claim("worker")
    service.queue.tell(number, "finetune", "running", 0.5, "motion: epoch 7")
    page.wait_for_selector(".underway:has-text('finetune: motion: epoch 7')")
    page.evaluate("document.querySelector('.underway').kept = 1")
    service.queue.tell(number, "finetune", "running", 0.75, "motion: epoch 8")
    page.wait_for_selector(".underway:has-text('epoch 8')")
    assert page.evaluate("document.querySelector('.underway').kept")
    assert page.evaluate("document.querySelector('.row.data').kept")
    assert page.locator(".row.data").first.bounding_box() == top
    assert page.locator(".row.anchor").count() == 5
    assert page.locator(".now").inner_text() == "1 running"


def test_a_new_result_appears_by_itself(visitor: Visitor, service: Service) -> None:
    page = visitor.open("/")
    fresh = invent(service.home.results, "fresh", skill=Skill(0.75), number=50)
    try:
        page.wait_for_selector(".row.data:has-text('fresh')")
        assert len(visitor.names()) == 5
    finally:
        shutil.rmtree(fresh.folder)


def test_a_server_that_does_not_answer_leaves_the_numbers_and_says_so(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.route("**/view/**", lambda route: route.abort())
    page.wait_for_selector(".banner.stale:visible")
    words = page.locator(".banner.stale").inner_text()
    assert re.match(r"The server does not answer\. Showing results from .* Next try in \d+ s\.", words)
    assert len(visitor.names()) == 4
    visitor.complaints.clear()  # the browser's own lines about the requests that were broken off


def test_the_keyboard_reaches_search_rows_cells_and_the_row_s_page(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.press("Escape")
    page.locator(".row.data").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.id") == page.locator(".row.data").nth(1).get_attribute(
        "data-id"
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".tip:visible")
    assert "95 % interval" in page.locator(".tip").inner_text()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector(".panel")
    assert page.locator("h1").inner_text().startswith("strong")


@pytest.mark.parametrize("path", ["/", "/queue", "/notes", "/row"])
def test_no_page_is_wider_than_a_phone(phone: Visitor, served: Service, path: str) -> None:
    page = phone.open(f"/row?id={served.named('strong')}" if path == "/row" else path)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_on_a_phone_a_row_opens_in_place_and_the_dark_colours_follow_the_system(phone: Visitor) -> None:
    page = phone.open("/")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.content').parentElement).backgroundColor")
        == "rgb(17, 21, 26)"
    )
    row = page.locator(".row.data", has_text="weak")
    assert not row.locator(".c-probe").is_visible()
    row.locator(".under").click()
    assert row.locator(".c-probe").is_visible()
    assert urlsplit(page.url).path == "/"
    row.locator(".card-open").click()
    page.wait_for_selector(".panel")
