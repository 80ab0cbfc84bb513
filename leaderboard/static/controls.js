/* What the visitor chose: in the address, so that the address shows the same again. */

const CHOICES = ["suite", "dataset", "track", "sort", "dir", "q", "arch", "pretext", "verified", "row"];
const UPWARD = new Set(["decrease", "cost", "model"]);

let view = null, live = null;
const options = readOptions();

function readOptions() {
  const asked = new URLSearchParams(location.search);
  const found = Object.fromEntries(CHOICES.map((name) => [name, asked.get(name) || ""]));
  found.sort = found.sort || "noise";
  return found;
}

function writeOptions() {
  const asked = new URLSearchParams();
  for (const name of CHOICES) if (options[name] && !(name === "sort" && options.sort === "noise")) asked.set(name, options[name]);
  const text = asked.toString();
  history.replaceState(history.state, "", location.pathname + (text ? "?" + text : ""));
}

function boardAddress(path) {
  const asked = new URLSearchParams();
  for (const name of ["suite", "dataset", "track"]) if (options[name]) asked.set(name, options[name]);
  const text = asked.toString();
  return path + (text ? "?" + text : "");
}

function descending() {
  return options.dir ? options.dir === "down" : !UPWARD.has(options.sort);
}

function listed(name) {
  return options[name] ? options[name].split("|") : [];
}

function matches(row) {
  return matchesBut(row, "");
}

/* Whether a row passes every filter but one. */
function matchesBut(row, spared) {
  const words = options.q.trim().toLowerCase();
  const text = [row.name, row.owner, row.architecture, row.pretext].join(" ").toLowerCase();
  return (spared === "q" || !words || text.includes(words))
    && (spared === "arch" || !options.arch || listed("arch").includes(row.architecture))
    && (spared === "pretext" || !options.pretext || listed("pretext").includes(row.pretext))
    && (spared === "verified" || !options.verified || row.verified);
}

function sorted(rows) {
  const sign = descending() ? -1 : 1;
  const value = (row) => (options.sort === "model" ? row.name.toLowerCase() : row.cells[options.sort] ? row.cells[options.sort].value : null);
  return [...rows].sort((one, other) => {
    const a = value(one), b = value(other);
    if (a === b) return one.name.localeCompare(other.name) || one.id.localeCompare(other.id);
    if (a === null || b === null) return a === null ? 1 : -1;
    return (a < b ? -1 : 1) * sign;
  });
}

function sortBy(key) {
  const down = descending();
  if (key === options.sort) options.dir = (down ? "up" : "down");
  else { options.sort = key; options.dir = ""; }
  if (options.dir === (UPWARD.has(key) ? "up" : "down")) options.dir = "";
  redraw();
  const button = table.querySelector("[data-sort='" + key + "']");
  if (button && document.activeElement === document.body) button.focus();
}

function change(name, value) {
  options[name] = value;
  redraw();
}

/* The switches at the top right: buttons on a wide screen, lists on a phone. */
function drawSwitches() {
  const groups = [];
  const suites = view.suites.length ? view.suites : [{ key: view.asked, name: view.asked, status: "", local: false }];
  const label = (suite) => (suite.key === suite.name ? suite.name : suite.name + " before " + suite.key.split("@")[1].slice(0, 4));
  groups.push(oneSwitch("Suite", "suite", suites.map((suite) => [suite.key, label(suite), suite.status === "draft" ? "draft" : ""]), view.suite ? view.suite.key : view.asked));
  if (view.datasets.length) groups.push(oneSwitch("Data set", "dataset", view.datasets.map((name) => [name, name, ""]), view.dataset));
  if (view.tracks.length > 1) groups.push(oneSwitch("Track", "track", view.tracks.map((name) => [name, name === "full" ? "Full" : "Features only", ""]), view.track));
  put(find(".switches"), groups);
}

function oneSwitch(title, name, choices, chosen) {
  const choose = (key) => { options[name] = key; if (name === "suite") { options.dataset = ""; options.track = ""; } options.row = ""; writeOptions(); loadBoard(); };
  const buttons = choices.map(([key, words, badge]) => el("button", { type: "button", "aria-pressed": String(key === chosen), "data-key": key, onclick: () => choose(key) },
    words, badge && key === chosen ? el("span", { class: "note" }, " " + badge) : null));
  const list = el("select", { "aria-label": title, onchange: (event) => choose(event.target.value) },
    choices.map(([key, words, badge]) => el("option", { value: key, selected: key === chosen }, words + (badge ? ", " + badge : ""))));
  return el("div", { class: "switch", "data-name": name }, el("span", { class: "switch-title" }, title), el("div", { class: "segments", role: "group", "aria-label": title }, buttons), list);
}

function drawChips() {
  const chips = [], rows = [...view.rows, ...view.incomplete];
  const openNow = [...element.querySelectorAll(".chips details[open]")].map((one) => one.dataset.name);
  for (const [name, title, read] of [["arch", "Architecture", (row) => row.architecture], ["pretext", "Pretext", (row) => row.pretext]]) {
    const values = [...new Set(rows.map(read))].filter(Boolean).sort();
    if (values.length > 1 || options[name]) chips.push(filterMenu(name, title, values, rows, read, openNow.includes(name)));
  }
  if (rows.some((row) => row.verified) || options.verified) {
    chips.push(el("button", { type: "button", class: "chip" + (options.verified ? " chosen" : ""), "aria-pressed": String(Boolean(options.verified)), onclick: () => change("verified", options.verified ? "" : "1") },
      "Verified only", options.verified ? " ×" : ""));
  }
  put(find(".chips"), chips);
  find(".filters-button").hidden = !chips.length;
}

function filterMenu(name, title, values, rows, read, open) {
  const chosen = listed(name);
  const flip = (value) => change(name, (chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value]).join("|"));
  const lines = values.map((value) => {
    const number = rows.filter((row) => read(row) === value && matchesBut(row, name)).length;
    return el("label", { class: "choice" }, el("input", { type: "checkbox", checked: chosen.includes(value), onchange: () => flip(value) }), el("span", {}, value), el("span", { class: "quiet" }, number));
  });
  return el("details", { class: "menu", "data-name": name, open },
    el("summary", { class: "chip" + (chosen.length ? " chosen" : "") }, title + (chosen.length ? ": " + chosen.join(", ") : ""), chosen.length
      ? el("button", { type: "button", class: "clear", "aria-label": "Clear " + title, onclick: (event) => { event.preventDefault(); change(name, ""); } }, "×")
      : el("span", { class: "more" }, "▾")),
    el("div", { class: "menu-list" }, el("div", { class: "menu-head" }, el("b", {}, title), chosen.length ? el("button", { type: "button", class: "quiet-link", onclick: () => change(name, "") }, "Clear") : null), lines,
      el("p", { class: "quiet" }, "counts follow the other filters")));
}

function noMatchRow() {
  const back = [["q", "“" + options.q + "”"], ["arch", "Architecture: " + listed("arch").join(", ")], ["pretext", "Pretext: " + listed("pretext").join(", ")], ["verified", "Verified only"]]
    .filter(([name]) => options[name])
    .map(([name, words]) => el("p", {}, el("button", { type: "button", class: "chip chosen", onclick: () => { if (name === "q") find(".search input").value = ""; change(name, ""); } }, words + " ×"), " ",
      el("span", { class: "quiet" }, "brings back " + count(view.rows.filter((row) => matchesBut(row, name)).length, "row"))));
  return el("div", { class: "nothing", role: "row" }, el("div", { role: "gridcell" }, el("h3", {}, "No row matches"), el("p", {}, count(view.rows.length, "row is", "rows are") + " on this board."), back));
}

function drawOrder() {
  const choices = view.columns.filter((column) => column.ranks).map((column) => el("option", { value: column.key, selected: column.key === rankingKey() }, NOISE_SIGNS[column.key]));
  const list = find(".by select");
  put(list, choices);
  list.style.width = 18 + 6.6 * NOISE_SIGNS[rankingKey()].length + "px";
  put(find(".score-chips"), view.columns.filter((column) => column.ranks).map((column) => el("button", { type: "button", class: "chip" + (column.key === rankingKey() ? " chosen" : ""), "aria-pressed": String(column.key === rankingKey()), onclick: () => sortBy(column.key) }, column.title)));
}
