/* The board: reads, draws, keeps looking. */

function redraw() {
  writeOptions();
  find(".header") && drawHeaderOnly();
  const matching = arrange();
  drawChips();
  drawOrder();
  drawCount(matching);
}

/* After another order the header's arrows change; the rows stay. */
function drawHeaderOnly() {
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.sort : null;
  table.querySelector(".header").replaceWith(headerRow());
  if (focused) table.querySelector("[data-sort='" + focused + "']").focus();
}

function drawCount(matching) {
  const all = view.rows.length;
  const words = (matching === all ? (all ? count(all, "row") : "no rows yet") : matching + " of " + count(all, "row")) + (later() ? ", " + later() + " incomplete" : "");
  const line = find(".count");
  if (line.textContent !== words) line.textContent = words;
}

function later() {
  return view.incomplete.length + boardJobs().length;
}

function boardJobs() {
  const suite = view.suite ? view.suite.name : view.asked;
  const done = new Set(view.rows.concat(view.incomplete).map((row) => row.id));
  return (live ? live.jobs : []).filter((job) => job.suite === suite && ["running", "queued", "failed"].includes(job.status) && !done.has(job.result_id));
}

/* What has no complete row: work that goes on, what waits, results that lack a score. Lines are kept and rewritten in place. */
function drawLater() {
  const place = table.querySelector(".later");
  if (!place) return;
  const works = live ? live.works : [], jobs = boardJobs();
  const wanted = [...works.map((work) => ["work " + work.title, work]), ...jobs.map((job) => ["job " + job.id, job])];
  const nodes = wanted.map(([key, about]) => {
    if (!kept.jobs.has(key)) kept.jobs.set(key, laterNode(about));
    const node = kept.jobs.get(key);
    fillLater(node, about);
    return node;
  });
  for (const key of kept.jobs.keys()) if (!wanted.some(([name]) => name === key)) kept.jobs.delete(key);
  nodes.push(...view.incomplete.map((row) => kept.rows.get(row.id).node));
  if (nodes.length) nodes.unshift(place.querySelector(".later-head") || el("div", { class: "later-head", role: "row" }, el("div", { role: "gridcell" }, el("b", {}), " ", el("span", {}))));
  const rows = jobs.length + view.incomplete.length;
  if (nodes.length) {
    setText(nodes[0].querySelector("b"), rows ? "Incomplete" : "Under way");
    setText(nodes[0].querySelector("span"), rows ? count(rows, "row") + ", not ranked until every stage of the suite has run" : "");
  }
  const same = nodes.length === place.children.length && nodes.every((node, index) => node === place.children[index]);
  if (!same) place.replaceChildren(...nodes);
}

function laterNode() {
  return el("div", { class: "row underway pale", role: "row" },
    el("div", { class: "cell rank", role: "gridcell" }, DASH),
    el("div", { class: "cell model", role: "gridcell" }, el("span", { class: "name" }, el("span", { class: "title-words" }, el("b", {}), el("span", { class: "arch" }))), el("span", { class: "under" }, el("span", {}))),
    el("div", { class: "cell going", role: "gridcell" }, el("span", { class: "bar", "aria-hidden": "true" }, el("i", {})), el("span", { class: "words" }), el("span", { class: "quiet left" })));
}

function fillLater(node, about) {
  const job = about.status !== undefined;
  const running = !job || about.status === "running";
  setText(node.querySelector("b"), job ? about.name : about.title);
  setText(node.querySelector(".arch"), job ? " · " + about.architecture : "");
  setText(node.querySelector(".under span"), job ? [about.anchor ? "anchor" : about.owner, about.status, about.attempt > 1 ? "attempt " + about.attempt + " of " + about.attempts : ""].filter(Boolean).join(" · ") : "before the queue");
  node.querySelector(".bar").hidden = !running;
  node.querySelector(".bar i").style.setProperty("--share", clipped(about.share).toFixed(4));
  setText(node.querySelector(".words"), about.words);
  setText(node.querySelector(".left"), running ? left(about.left_s) : "");
}

function drawBanner() {
  const banner = find(".banner.draft"), suite = view.suite;
  const words = !suite ? null : suite.local
    ? ["Your own videos.", " " + suite.name + " uses the settings of mini-v1 on a folder of yours. Its rows are local and never stand on a public board."]
    : suite.status === "draft"
      ? [suite.name + " is a draft.", " Its protocol may still change; when it does, every row is judged again under a new hash and the old scores stay readable."]
      : null;
  banner.hidden = !words;
  if (words) put(banner, svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, svg("circle", { cx: 8, cy: 8, r: 6.6, fill: "none", stroke: "currentColor", "stroke-width": 1.4 }), svg("path", { d: "M8 7.2v4M8 4.6v1.2", stroke: "currentColor", "stroke-width": 1.6 })),
    el("span", {}, el("b", {}, words[0]), words[1]));
}

function drawFacts() {
  const lines = [];
  if (view.facts) lines.push(["Videos", view.facts.test.toLocaleString("en") + " in " + view.facts.clusters.toLocaleString("en") + " sources, " + view.facts.name + (view.facts.clusters < 30 ? " (few: intervals are wide)" : "")], ["Classes", view.facts.classes + ", chance " + points(100 / view.facts.classes) + " %"]);
  if (view.suite) lines.push(["Suite hash", el("code", { title: view.suite.hash }, digits(view.suite.hash))]);
  lines.push(["Refreshed", el("span", { class: "refreshed" }, live ? moment(live.time) + ", from " + count(view.results, "result") : "")]);
  put(find(".facts"), lines.map(([name, words]) => el("div", {}, el("dt", {}, name), el("dd", {}, words))));
  const json = () => el("a", { href: boardAddress("/view/board") }, "JSON");
  const csv = () => el("a", { href: "#", onclick: (event) => { event.preventDefault(); saveCsv(); } }, "CSV");
  put(find(".files"), el("div", {}, el("dt", {}, "This view"), el("dd", {}, csv(), " · ", json())), el("div", {}, el("dt", {}, "Per video"), el("dd", {}, el("code", {}, "predictions.parquet"), " in every result folder")));
  put(find(".download .menu-list"), csv(), json());
}

function saveCsv() {
  const head = ["rank_low", "rank_high", "name", "architecture", "pretext", "owner", "encoder_result", ...view.columns.flatMap((c) => (c.kind === "plain" ? [c.key] : [c.key, c.key + "_low", c.key + "_high"]))];
  const quote = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) || /^[=+@-]/.test(text) && Number.isNaN(Number(text)) ? "\"" + text.replace(/^[=+@-]/, "'$&").replaceAll("\"", "\"\"") + "\"" : text;
  };
  const lines = sorted(view.rows).filter(matches).map((row) => {
    const rank = row.ranks[rankingKey()] || {};
    return [rank.low, rank.high, row.name, row.architecture, row.pretext, row.owner, row.id, ...view.columns.flatMap((c) => { const s = row.cells[c.key] || {}; return c.kind === "plain" ? [s.value] : [s.value, s.low, s.high]; })].map(quote).join(",");
  });
  const file = new Blob([head.join(",") + "\n" + lines.join("\n") + "\n"], { type: "text/csv" });
  const link = el("a", { href: URL.createObjectURL(file), download: [view.asked, view.dataset].join("-").replace(/[^\w.-]+/g, "_") + ".csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/* A row opens its page on a wide screen; on a phone it opens in place first. */
function openRow(event, id, href) {
  if (event.target.closest("a, button") || String(getSelection())) return;
  if (matchMedia("(max-width: 639px)").matches) toggleCard(id);
  else if (event.metaKey || event.ctrlKey) open(href);
  else location.href = href;
}

function toggleCard(id) {
  options.row = options.row === id ? "" : id;
  writeOptions();
  showCard();
}

function showCard() {
  for (const node of table.querySelectorAll(".data")) {
    const isOpen = node.dataset.id === options.row;
    node.classList.toggle("open", isOpen);
    node.querySelector(".opener").setAttribute("aria-expanded", String(isOpen));
  }
}

function drawAll() {
  drawSwitches();
  drawBanner();
  drawTable();
  drawChips();
  drawOrder();
  drawCount(view.rows.filter(matches).length);
  drawFacts();
  showCard();
}

async function loadBoard() {
  const asked = boardAddress("/view/board");
  const { body } = await ask(asked);
  if (asked !== boardAddress("/view/board")) return;  // the visitor chose another meanwhile
  const changed = !view || view.state !== body.state;
  view = body;
  if (changed) drawAll();
}

async function look() {
  if (!view) await Promise.all([loadBoard(), lookLive()]);
  else await lookLive();
}

async function lookLive() {
  const asked = boardAddress("/view/live");
  const { body } = await ask(asked);
  if (asked !== boardAddress("/view/live")) return;
  const before = live && JSON.stringify(live.jobs.map((job) => job.status));
  live = body;
  showNow(live);
  if (!view) return;
  if (live.board !== view.state) await loadBoard();
  if (before !== JSON.stringify(live.jobs.map((job) => job.status))) drawTable();
  else drawLater();
  drawCount(view.rows.filter(matches).length);
  setText(find(".refreshed"), moment(live.time) + ", from " + count(view.results, "result"));
}

/* First view: the real header and grey rows, so that nothing moves when the rows arrive. */
function drawSkeleton() {
  put(table, el("div", { class: "row header", role: "row" }), Array.from({ length: 6 }, () => el("div", { class: "row ghost", role: "row" }, el("i", {}), el("i", {}), el("i", {}))));
}

find(".search input").value = options.q;
find(".search input").addEventListener("input", (event) => { options.q = event.target.value; redraw(); });
find(".by select").addEventListener("change", (event) => { options.dir = ""; options.sort = event.target.value; redraw(); });
find(".link-button").addEventListener("click", () => copied(location.href, "Link to this view copied"));
find(".filters-button").addEventListener("click", (event) => {
  const isOpen = find(".controls").classList.toggle("filtering");
  event.currentTarget.setAttribute("aria-expanded", String(isOpen));
});
drawSkeleton();
keepLooking(look, (error, seconds) => showFailure(live ? "Showing results from " + moment(live.time) + "." : "")(error, seconds));
