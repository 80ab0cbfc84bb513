/* Keyboard and tooltip: one tab stop for the table, arrows inside it. */

function focusedPlace() {
  const at = document.activeElement;
  const row = at && at.closest && at.closest(".data");
  return row && table.contains(row) ? { id: row.dataset.id, cell: [...row.children].indexOf(at) } : null;
}

function restoreFocus(place) {
  const row = place && [...table.querySelectorAll(".data")].find((one) => one.dataset.id === place.id);
  if (row) focusOn(place.cell >= 0 ? row.children[place.cell] : row);
}

function focusOn(node) {
  for (const other of table.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
  node.tabIndex = 0;
  node.focus();
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

table.addEventListener("keydown", (event) => {
  const row = event.target.closest(".data");
  if (!row || event.target.closest("a, button, input") && event.key !== "Escape") return;
  if (event.key === "Enter") { row.querySelector(".name a").click(); return; }
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const rows = [...table.querySelectorAll(".data:not([hidden])")];
  const cells = [...row.children].filter((cell) => cell.classList.contains("cell") && cell.hasAttribute("tabindex"));
  const column = cells.indexOf(event.target);
  if (step[0]) {
    const next = rows[rows.indexOf(row) + step[0]];
    if (next) focusOn(column < 0 ? next : [...next.children].filter((cell) => cell.classList.contains("cell") && cell.hasAttribute("tabindex"))[column]);
  } else {
    const next = column + step[1];
    focusOn(next < 0 ? row : cells[Math.min(next, cells.length - 1)]);
  }
});

document.addEventListener("keydown", (event) => {
  if (!element.isConnected) return;
  if (event.key === "/" && !event.target.closest("input, select, textarea")) { event.preventDefault(); find(".search input").focus(); }
  if (event.key === "Escape") {
    hideTip();
    for (const menu of element.querySelectorAll("details[open]")) menu.open = false;
    if (event.target === find(".search input") && event.target.value) { event.target.value = ""; change("q", ""); }
  }
});

document.addEventListener("click", (event) => {
  for (const menu of element.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

/* Score, interval, n, anchors and hashes of a cell: after 300 ms under the mouse, at once in focus. */

function tipLines(row, column) {
  const score = row.cells[column.key], bed = row.beds[column.key];
  const words = column.kind === "gain" ? signed : points;
  const lines = [];
  if (score.low !== null) lines.push(["95 % interval", range(score.low, score.high, words)]);
  if (column.key !== "cost") lines.push(["n", count(score.n, "video") + ", " + count(score.clusters, "source") + (score.seeds ? ", " + count(score.seeds, "seed") : "")]);
  if (score.seeds === 1) lines.push(["seeds", "one: training spread not included"]);
  if (bed) lines.push(["anchors", [bed.random === null ? "random not there yet" : "random " + points(bed.random), bed.supervised === null ? "supervised not there yet" : "supervised " + points(bed.supervised)].join(", ")]);
  if (column.chance !== null && column.kind === "whisker") lines.push(["chance", points(column.chance)]);
  if (score.note) lines.push(["note", score.note]);
  if (column.stage_hash) lines.push(["suite", view.suite.name + " " + view.suite.status + ", stage " + column.stage_hash.slice(0, 8)]);
  return lines;
}

function showTip(cell) {
  const row = kept.rows.get(cell.closest(".data").dataset.id)?.row;
  const column = columnOf(cell.dataset.column);
  if (!row || !row.cells[column.key] || matchMedia("(max-width: 639px)").matches) return;
  const tip = find(".tip"), score = row.cells[column.key];
  put(tip, el("div", { class: "tip-head" }, el("b", {}, column.title + ", " + column.words), el("b", {}, shown(column, score))),
    el("dl", {}, tipLines(row, column).map(([name, words]) => el("div", {}, el("dt", {}, name), el("dd", {}, words)))));
  tip.hidden = false;
  const at = cell.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const below = at.bottom + 4 + size.height < innerHeight;
  tip.style.left = Math.max(8, Math.min(at.left, innerWidth - size.width - 8)) + "px";
  tip.style.top = (below ? at.bottom + 4 : at.top - size.height - 4) + "px";
}

function hideTip() {
  clearTimeout(hideTip.timer);
  const tip = find(".tip");
  if (tip) tip.hidden = true;
}

table.addEventListener("mouseover", (event) => {
  const cell = event.target.closest(".data .value");
  if (!cell || cell === hideTip.cell) return;
  hideTip();
  hideTip.cell = cell;
  hideTip.timer = setTimeout(() => showTip(cell), 300);
});
table.addEventListener("mouseleave", () => { hideTip.cell = null; hideTip(); });
table.addEventListener("focusin", (event) => { hideTip(); if (event.target.matches(".data .value") && event.target.matches(":focus-visible")) showTip(event.target); });
table.addEventListener("focusout", hideTip);
document.addEventListener("scroll", hideTip, { passive: true, capture: true });
