/* A row's page: reads, draws, looks again for new verdicts. */

const asked = new URLSearchParams(location.search);
let drawn = "";

function drawHead(row) {
  const board = "/?" + new URLSearchParams({ suite: row.suite.key, dataset: row.dataset });
  put(find(".path"), el("a", { href: "/" }, "Board"), "  /  ", el("a", { href: board }, row.suite.key + ", " + row.dataset), "  /  ", row.row.name);
  put(find("h1"), row.row.name, el("span", { class: "arch" }, " · " + row.row.architecture));
  document.title = row.row.name + " · Reelproof";
  const verdict = [...row.history].reverse().find((one) => VERDICT_SIGNS[one.title]);
  put(find(".marks"),
    verdict ? el("span", { class: row.row.verified ? "badge good" : "badge draft" }, row.row.verified ? "✓ verified, last " : "last verdict ", verdict.title + " " + verdict.time.slice(0, 10)) : null,
    row.row.self_run ? el("span", { class: "badge self" }, "self-run") : null,
    row.row.anchor ? el("span", { class: "badge self" }, "anchor, never ranked") : null,
    row.suite.local ? el("span", { class: "badge draft" }, "local, your own videos") : row.suite.status === "draft" ? el("span", { class: "badge draft" }, "suite is a draft") : null);
  put(find(".row-words"), familyMark(row.row.family), el("span", {}, about(row)));
  put(find(".row-head .switches"), row.datasets.length > 1 ? [el("span", { class: "switch-title" }, "Data set"),
    el("div", { class: "segments", role: "group", "aria-label": "Data set" }, row.datasets.map((name) => el("button", { type: "button", "aria-pressed": String(name === row.dataset), onclick: () => choose(name) }, name)))] : null);
  find(".json").setAttribute("href", "/view/row?" + new URLSearchParams({ id: row.row.id, dataset: row.dataset }));
  put(find(".remarks"), row.remarks.map((remark) => el("div", { class: "banner" }, remark)));
}

function about(row) {
  const words = [];
  if (row.row.family) words.push(row.row.family[0].toUpperCase() + row.row.family.slice(1));
  if (row.row.pretext) words.push(row.row.pretext);
  words.push(row.row.anchor === "random" ? "never trained" : row.row.pretrained_on.length ? "pretrained on " + row.row.pretrained_on.join(", ") : "pretraining not declared", millions(row.row.parameters) + " parameters");
  return words.join(", ") + ". " + place(row);
}

function place(row) {
  const first = row.headlines.find((one) => one.rank);
  if (!first) return row.headlines.some((one) => one.of === 1) && !row.row.anchor ? "One row only: ranks need two." : "";
  const keeps = row.heats.length && row.heats[0].means.every((mean) => mean !== null) ? "; keeps " + Math.round(100 * first.score.value / row.heats[0].clean) + " % of its clean accuracy" : "";
  return "Rank " + span(first.rank.low, first.rank.high) + " of " + first.of + " " + (first.column.key === "noise" ? "under noise" : "by " + first.column.title.toLowerCase()) + (first.rank.low === 1 ? (first.rank.high > 1 ? ", best, tied" : ", best") : "") + keeps + ".";
}

const HEADLINES = { noise: "Accuracy under noise", finetune: "Finetune, clean", probe: "Probe", retrieval: "Retrieval R@1", distillation: "Distillation gain" };

function headline(one) {
  const score = one.score, words = one.column.kind === "gain" ? signed : points;
  const bed = one.column.kind === "gain" ? [] : [one.bed.random === null ? null : "random " + Math.round(one.bed.random), one.bed.supervised === null ? null : "supervised " + Math.round(one.bed.supervised), one.column.chance === null ? null : "chance " + Math.round(one.column.chance)].filter(Boolean);
  return el("div", { class: "headline" }, el("div", { class: "what", title: one.column.words }, HEADLINES[one.column.key]),
    el("div", {}, el("span", { class: "big" }, score ? words(score.value) : DASH), el("span", { class: "between" }, score ? range(score.low, score.high, words) : "no score")),
    whisker(one.column, score, one.bed),
    el("span", { class: "quiet" }, bed.join(" · ") || (score ? "line: no gain" : "")),
    el("span", { class: "quiet" }, one.rank ? ["rank ", el("b", {}, span(one.rank.low, one.rank.high) + " of " + one.of)] : "not ranked"),
    el("span", { class: "quiet" }, score ? "n " + count(score.n, "video") + ", " + count(score.clusters, "source") + (score.seeds > 1 ? ", " + score.seeds + " seeds" : score.seeds === 1 ? ", one seed: training spread not included" : "") : ""));
}

function list(section, lines) {
  put(find(section + " dl"), lines.map(([name, words]) => el("div", {}, el("dt", {}, name), el("dd", /^[0-9a-f]{12}--/.test(words) ? { class: "hash" } : /^[0-9a-f]{64}$/.test(words) ? { class: "hash", title: words } : {}, /^[0-9a-f]{64}$/.test(words) ? digits(words) : words))));
}

/* Four arms on one axis. */
function drawArms(row) {
  const section = find("section.arms");
  section.hidden = !row.arms.length;
  if (section.hidden) return;
  const ends = row.arms.flatMap(({ score }) => [score.low ?? score.value, score.high ?? score.value]);
  const step = Math.max(...ends) - Math.min(...ends) > 25 ? 10 : 5;
  const low = step * Math.floor(Math.min(...ends) / step), high = Math.max(low + step, step * Math.ceil(Math.max(...ends) / step));
  const x = (value) => 150 + 190 * (value - low) / (high - low), height = 26 * row.arms.length, parts = [];
  for (let value = low; value <= high; value += step) parts.push(svg("line", { class: "grid", x1: x(value), x2: x(value), y1: 0, y2: height }), svg("text", { class: "small", x: x(value), y: height + 16, "text-anchor": "middle" }, value));
  row.arms.forEach((arm, index) => {
    const y = 13 + 26 * index, from = x(arm.score.low ?? arm.score.value), to = x(arm.score.high ?? arm.score.value);
    parts.push(svg("text", { x: 138, y: y + 4, "text-anchor": "end" }, arm.title), svg("rect", { class: arm.own ? "arm-own" : "arm-other", x: from, y: y - 3, width: Math.max(3, to - from), height: 6 }),
      svg("rect", { class: "arm-mark", x: x(arm.score.value) - 1, y: y - 8, width: 2, height: 16 }), svg("text", { class: "score", x: 388, y: y + 4, "text-anchor": "end" }, points(arm.score.value)));
  });
  const label = row.arms.map((arm) => arm.title + " " + points(arm.score.value)).join(", ");
  put(find(".arm-lines"), svg("svg", { viewBox: "0 0 390 " + (height + 20), role: "img", "aria-label": label }, parts));
  setText(find(".arm-words"), row.distillation_words);
}

function drawStages(row) {
  const longest = Math.max(...row.durations.map(([, seconds]) => seconds), 1e-9);
  put(find(".stage-lines"), row.durations.map(([name, seconds, hash]) => el("div", { class: "stage-line" }, el("span", {}, name[0].toUpperCase() + name.slice(1)), el("span", { class: "when" }, seconds < 1 ? "from cache" : duration(seconds)),
    el("span", { class: "bar", "aria-hidden": "true" }, el("i", { "--share": (seconds / longest).toFixed(4) })), el("code", { class: "quiet", title: hash }, digits(hash)))));
}

const VERDICT_SIGNS = { MATCH: "✓", "WITHIN NOISE": "≈", DRIFT: "△", MISMATCH: "✕" };

function drawHistory(row) {
  put(find(".events"), row.history.map((one) => {
    const sign = VERDICT_SIGNS[one.title], warned = ["DRIFT", "MISMATCH"].includes(one.title);
    return el("li", {}, el("span", { class: "sign" + (sign ? (warned ? " warned" : "") : " plain"), "aria-hidden": "true" }, sign || "•"), el("time", { datetime: one.time }, moment(one.time)), el("b", { class: warned ? "warned" : "" }, one.title), one.words);
  }));
}

function draw(row) {
  drawHead(row);
  put(find(".headlines"), row.headlines.map(headline));
  drawCurves(row);
  const model = find("section.noise [aria-pressed='true']");
  drawHeat(row, model && model.textContent === "Probe" ? "probe" : "finetuned");
  drawMaps(row);
  drawArms(row);
  list("section.load", row.load_report);
  list("section.noted", row.noted);
  find("section.noted").hidden = !row.noted.length;
  list("section.origin", row.provenance);
  list("section.environment", row.environment);
  drawStages(row);
  setText(find(".command-line code"), row.command);
  setText(find(".again-words"), "took " + duration(row.durations.reduce((sum, [, seconds]) => sum + seconds, 0)) + " the first time");
  drawHistory(row);
  find(".content").classList.add("ready");
}

function choose(dataset) {
  asked.set("dataset", dataset);
  history.replaceState(history.state, "", location.pathname + "?" + asked);
  lookAtRow();
}

async function lookAtRow() {
  const { ok, body } = await ask("/view/row?" + new URLSearchParams({ id: asked.get("id") || "", dataset: asked.get("dataset") || "" }));
  if (!ok) {
    put(find(".content"), el("div", { class: "empty ready" }, el("h1", {}, "No such row"), el("p", {}, body.error), el("p", {}, el("a", { href: "/" }, "To the board"))));
    return;
  }
  if (body.state === drawn || body.dataset !== (asked.get("dataset") || body.dataset)) return;
  drawn = body.state;
  draw(body);
}

find(".copy").addEventListener("click", () => copied(find(".command-line code").textContent, "Command copied"));
let beats = 0;
keepLooking(async () => {
  showNow((await ask("/view/live")).body);
  if (beats++ % 5 === 0 && find(".path")) await lookAtRow();  // a row changes only by a new verdict or a new neighbour
}, showFailure("What stands here was right when it was read."));
