/* The table: header, anchors, rows, and what is under way. Rows are kept from one drawing to the next. */

const WIDTHS = { noise: "258px", decrease: "82px", finetune: "154px", probe: "154px", retrieval: "154px", distillation: "134px", cost: "66px" };
const NOISE_SIGNS = { noise: "accuracy under noise", finetune: "finetune", probe: "linear probe", retrieval: "retrieval", distillation: "distillation gain", decrease: "relative decrease", cost: "cost" };

const table = find(".table");
const kept = { rows: new Map(), jobs: new Map(), openAnchors: new Set() };

function columnOf(key) {
  return view.columns.find((column) => column.key === key);
}

/* Ranks follow the order only where a score can rank. */
function rankingKey() {
  const column = columnOf(options.sort);
  return column && column.ranks ? options.sort : view.columns.find((one) => one.ranks).key;
}

function drawTable() {
  table.style.setProperty("--cols", "116px minmax(236px, 1fr) " + view.columns.map((column) => WIDTHS[column.key]).join(" "));
  table.setAttribute("aria-colcount", String(view.columns.length + 2));
  const parts = [headerRow(), ...anchorRows(), el("div", { class: "body", role: "rowgroup" }), el("div", { class: "body later", role: "rowgroup" })];
  const focus = focusedPlace();
  table.replaceChildren(...parts);
  const seen = new Map();
  for (const row of [...view.rows, ...view.incomplete]) {
    const text = JSON.stringify(row) + view.columns.map((c) => c.high).join();
    const known = kept.rows.get(row.id);
    if (known && known.text === text) seen.set(row.id, known);
    else seen.set(row.id, { text, row, node: rowNode(row, known) });
  }
  kept.rows = seen;
  arrange();
  drawLater();
  restoreFocus(focus);
}

function headerRow() {
  const ranking = rankingKey();
  const cells = [
    el("div", { class: "cell rank", role: "columnheader" }, el("span", { class: "head" }, "Rank"), el("span", { class: "sub" }, view.rows.length > 1 ? "interval, of " + view.rows.length : "needs two rows")),
    el("div", { class: "cell model", role: "columnheader" }, sortButton("model", "Model"),
      el("span", { class: "sub marks" }, familyMark("contrastive"), " contrastive ", familyMark("non-contrastive"), " non-contrastive")),
  ];
  for (const column of view.columns) {
    cells.push(el("div", { class: "cell value c-" + column.key + (column.key === ranking ? " ranking" : ""), role: "columnheader", "aria-sort": sortWords(column.key) },
      sortButton(column.key, column.title), el("span", { class: "sub" }, column.words), axis(column)));
  }
  return el("div", { class: "row header", role: "row" }, cells);
}

function sortWords(key) {
  return key === options.sort ? (descending() ? "descending" : "ascending") : "none";
}

function sortButton(key, title) {
  const arrow = key === options.sort ? el("span", { class: "arrow", "aria-hidden": "true" }, descending() ? " ↓" : " ↑") : null;
  return el("button", { type: "button", class: "head", "data-sort": key, onclick: () => sortBy(key) }, title, arrow);
}

function axis(column) {
  if (!column.ticks.length || column.kind === "plain") return null;
  const words = column.kind === "gain" ? (value) => (value > 0 ? "+" : "") + value : String;
  const ticks = [...new Set(column.ticks)].map((value) => el("i", { "--x": placed(column, value) }, words(value)));
  const levels = column.key === "noise" ? el("span", { class: "levels" }, el("i", {}, "1"), el("i", {}, "3"), el("i", {}, "5")) : null;
  return el("span", { class: "axis", "aria-hidden": "true" }, el("span", { class: "ticks" }, ticks), levels);
}

const ANCHOR_WORDS = { supervised: ["Supervised", "supervised"], random: ["Random initialisation", "random init."], chance: ["Chance", "chance"] };

function anchorName(kind) {
  const [long, short] = ANCHOR_WORDS[kind];
  return [el("span", { class: "long" }, long), el("span", { class: "short", "aria-hidden": "true" }, short)];
}

function anchorRows() {
  const made = [];
  for (const anchor of view.anchors) {
    const one = anchor.lines.length === 1 ? anchor.lines[0] : null;
    const open = kept.openAnchors.has(anchor.kind);
    const words = anchor.lines.length > 1 ? count(anchor.lines.length, "architecture") : one ? one.architecture : anchorState(anchor.kind);
    const name = one
      ? el("a", { class: "quiet-link", href: "/row?id=" + encodeURIComponent(one.id) }, anchorName(anchor.kind))
      : anchor.lines.length > 1
        ? el("button", { type: "button", class: "quiet-link", "aria-expanded": String(open), onclick: () => { open ? kept.openAnchors.delete(anchor.kind) : kept.openAnchors.add(anchor.kind); drawTable(); } }, anchorName(anchor.kind))
        : anchorName(anchor.kind);
    made.push(anchorRow("anchor", [name, " ", el("span", { class: "quiet" }, words)], anchor.lines, anchor.kind));
    if (open && anchor.lines.length > 1) {
      for (const line of anchor.lines) {
        made.push(anchorRow("", [el("a", { class: "quiet-link inset", href: "/row?id=" + encodeURIComponent(line.id) }, line.architecture)], [line], anchor.kind + " one"));
      }
    }
  }
  const chances = view.columns.filter((column) => column.chance !== null && column.kind === "whisker");
  if (chances.length) {
    const line = { cells: Object.fromEntries(chances.map((column) => [column.key, { value: column.chance, low: null, high: null }])) };
    made.push(anchorRow("anchor", [anchorName("chance"), " ", el("span", { class: "quiet" }, view.facts ? "1 in " + view.facts.classes : "")], [line], "chance"));
  }
  return made;
}

function anchorState(kind) {
  const job = live && live.jobs.find((one) => one.anchor === kind && one.suite === (view.suite ? view.suite.name : view.asked) && one.status !== "done");
  return job ? job.status : "not there yet";
}

function anchorRow(word, name, lines, kind) {
  const cells = [
    el("div", { class: "cell rank", role: "gridcell" }, word),
    el("div", { class: "cell model", role: "gridcell" }, name),
  ];
  for (const column of view.columns) {
    const values = column.kind === "plain" ? [] : lines.map((line) => line.cells[column.key]).filter(Boolean).map((score) => score.value);
    const low = Math.min(...values), high = Math.max(...values);
    const words = !values.length ? "" : lines.length > 1 && shown(column, { value: low }) !== shown(column, { value: high })
      ? Math.round(low) + DASH + Math.round(high) : shown(column, { value: low });
    const hasTrack = column.kind !== "plain";
    cells.push(el("div", { class: "cell value c-" + column.key + (column.key === rankingKey() ? " ranking" : ""), role: "gridcell" },
      el("span", { class: "n" }, words), hasTrack && values.length ? anchorRange(column, low, high) : whisker(column, null)));
  }
  return el("div", { class: "row anchor " + kind, role: "row" }, cells);
}

function rowNode(row, known) {
  const href = "/row?id=" + encodeURIComponent(row.id) + "&dataset=" + encodeURIComponent(view.dataset);
  const trained = [row.pretext, row.pretrained_on.join(", "), millions(row.parameters), row.owner].filter(Boolean).join(" · ");
  const missing = view.columns.filter((column) => column.ranks && !row.cells[column.key]).map((column) => column.title.toLowerCase());
  const node = el("div", { class: "row data" + (missing.length ? " incomplete pale" : ""), role: "row", "data-id": row.id, tabindex: -1 },
    el("div", { class: "cell rank", role: "gridcell" }),
    el("div", { class: "cell model", role: "rowheader", tabindex: -1 },
      el("span", { class: "name" },
        el("a", { href, tabindex: -1 }, el("b", {}, row.name), el("span", { class: "arch" }, " · " + row.architecture)), standing(row)),
      el("span", { class: "under" }, familyMark(row.family), el("span", {}, missing.length ? "no score for " + missing.join(", ") + " · " + trained : trained)),
      el("button", { type: "button", class: "opener", tabindex: -1, "aria-label": "Show all scores of " + row.name, "aria-expanded": "false", onclick: (event) => { event.stopPropagation(); toggleCard(row.id); } },
        svg("svg", { viewBox: "0 0 12 8", width: 12, height: 8, "aria-hidden": "true" }, svg("path", { d: "m1.5 1.5 4.5 4.5 4.5-4.5", fill: "none", stroke: "currentColor", "stroke-width": 1.8 })))),
    view.columns.map((column) => valueCell(row, column)),
    el("a", { class: "button main card-open", href, tabindex: -1 }, "Open row"));
  node.addEventListener("click", (event) => openRow(event, row.id, href));
  if (known && known.node.classList.contains("open")) node.classList.add("open");
  return node;
}

function valueCell(row, column) {
  const score = row.cells[column.key];
  const rank = row.ranks[column.key];
  const best = rank && bestOf(column.key) === row.id ? " best" : rank && rank.low === 1 ? " tied" : "";
  const interval = score && score.low !== null && column.kind !== "plain" ? el("span", { class: "reader" }, ", " + range(score.low, score.high, column.kind === "gain" ? signed : points)) : null;
  return el("div", { class: "cell value c-" + column.key, role: "gridcell", tabindex: -1, "data-column": column.key, "data-label": column.title },
    el("span", { class: "n" }, el("span", { class: "number" + best }, shown(column, score)), interval),
    whisker(column, score, row.beds[column.key]),
    column.key === "noise" ? miniHeat(row.kept, view.noises) : null,
    el("span", { class: "card-words" }, column.kind === "whisker" ? null : column.words + (score && score.low !== null ? ", " + range(score.low, score.high, column.kind === "gain" ? signed : points) : "")));
}

function bestOf(key) {
  const ranked = view.rows.filter((row) => row.ranks[key]);
  return ranked.length ? ranked.reduce((best, row) => (row.cells[key].value > best.cells[key].value ? row : best)).id : null;
}

/* Order, ranks, tint and filters: everything that needs no new row. */
function arrange() {
  const ranking = rankingKey(), complete = table.querySelector(".body");
  const rows = sorted(view.rows), matching = new Set(rows.filter(matches).map((row) => row.id));
  const nodes = [];
  const bound = (words, number) => el("div", { class: "bound", role: "row" }, el("span", { role: "gridcell" }, el("b", {}, words), " ", number));
  const first = rows.filter((row) => matching.has(row.id) && row.ranks[ranking] && row.ranks[ranking].low === 1);
  rows.forEach((row, index) => {
    const known = kept.rows.get(row.id), node = known.node;
    const rank = row.ranks[ranking];
    node.hidden = !matching.has(row.id);
    node.setAttribute("aria-rowindex", String(index + 2));
    const standing = [ranking, rank && rank.low, rank && rank.high, view.rows.length].join();
    if (known.standing !== standing) {
      known.standing = standing;
      node.classList.toggle("first", Boolean(rank && rank.low === 1));
      put(node.firstChild, rankWords(rank));
      for (const cell of node.querySelectorAll(".value")) cell.classList.toggle("ranking", cell.dataset.column === ranking);
    }
    if (options.sort === ranking && first.length > 1 && first.length < matching.size) {
      if (row.id === first[0].id) nodes.push(bound("Best, tied", first.length + " rows that cannot be told apart"));
      if (nodes.length && !nodes.some((one) => one.dataset.then) && matching.has(row.id) && rank && rank.low > 1) {
        const then = bound("Then", count(matching.size - first.length, "row"));
        then.dataset.then = "1";
        nodes.push(then);
      }
    }
    nodes.push(node);
  });
  if (!view.rows.length) nodes.push(emptyRow());
  else if (!matching.size) nodes.push(noMatchRow());
  complete.replaceChildren(...nodes);
  for (const row of view.incomplete) {
    const { node } = kept.rows.get(row.id);
    put(node.firstChild, DASH);
    node.hidden = !matches(row);
    for (const cell of node.querySelectorAll(".value")) cell.classList.toggle("ranking", cell.dataset.column === ranking);
  }
  for (const cell of table.querySelectorAll(".header .value, .anchor .value")) cell.classList.toggle("ranking", cell.classList.contains("c-" + ranking));
  const visible = [...table.querySelectorAll(".data:not([hidden])")];
  if (!visible.some((node) => node.tabIndex === 0 || node.querySelector(".cell[tabindex='0']")) && visible.length) visible[0].tabIndex = 0;
  table.setAttribute("aria-rowcount", String(view.rows.length + 1));
  return matching.size;
}

function rankWords(rank) {
  if (!rank) return DASH;
  const best = rank.low === 1;
  const words = "rank " + (rank.low === rank.high ? rank.low : rank.low + " to " + rank.high) + " of " + view.rows.length + (best ? (rank.high > 1 ? ", best, tied" : ", best") : "");
  return [
    el("span", { class: "reader" }, words),
    el("span", { class: "place", "aria-hidden": "true" }, el("b", {}, span(rank.low, rank.high)), best ? el("span", { class: "tie" }, rank.high > 1 ? " best, tied" : " best") : null),
    rankStrip(rank, view.rows.length),
  ];
}

function emptyRow() {
  const busy = live && (live.works.length || live.jobs.some((job) => ["running", "queued"].includes(job.status)));
  const only = view.incomplete.length || view.anchors.some((anchor) => anchor.lines.length);
  const words = busy ? "The first row stands here as soon as its last stage has run. What goes on now is shown below."
    : only ? "Only anchors so far. Submit a checkpoint, start a worker, and its row stands here."
      : "Nobody has posted a row here yet. Submit a checkpoint and start a worker:";
  return el("div", { class: "nothing", role: "row" }, el("div", { role: "gridcell" },
    el("h3", {}, view.rows.length + view.incomplete.length ? "No complete row yet" : "No row under " + (view.suite ? view.suite.name : view.asked) + " yet"),
    el("p", {}, words),
    busy ? null : el("code", { class: "command" }, "reelproof submit CHECKPOINT --suite " + (view.suite ? view.suite.name : view.asked) + "\nreelproof worker --until-idle")));
}
