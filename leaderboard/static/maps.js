/* Layer maps and the heat of noise by severity. */

function similarityStep(value) {
  return Math.round(clipped(value) * 10);
}

function shortLayer(name) {
  return name.replace(/^stage/, "").replace(/^pooled$/, "pool");
}

/* The first layer stands bottom left; a cell below the floor loses its colour and gets a dot. */
function layerMap(about, similarity) {
  const size = similarity.layers.length, cell = 220 / size, left = 36, steps = new Map(), dots = [];
  about.values.forEach((row, up) => row.forEach((value, across) => {
    const x = left + across * cell, y = (size - 1 - up) * cell, gap = cell > 5 ? .5 : 0;
    if (value === null || !about.told_apart[up][across]) { dots.push(svg("circle", { class: "dot", cx: x + cell / 2, cy: y + cell / 2, r: Math.min(1, cell / 6) })); return; }
    const step = similarityStep(value), box = "M" + x.toFixed(2) + " " + y.toFixed(2) + "h" + (cell - gap).toFixed(2) + "v" + (cell - gap).toFixed(2) + "h-" + (cell - gap).toFixed(2) + "z";
    steps.set(step, (steps.get(step) || "") + box);
  }));
  const ticks = [];
  for (const [name, first, last] of similarity.groups) {
    const middle = (first + last + 1) / 2 * cell, words = shortLayer(name);
    if (first) ticks.push(svg("line", { class: "axis-tick", x1: left - 4, x2: left, y1: (size - first) * cell, y2: (size - first) * cell }), svg("line", { class: "axis-tick", x1: left + first * cell, x2: left + first * cell, y1: 220, y2: 224 }));
    ticks.push(svg("text", { x: left - 6, y: 220 - middle + 4, "text-anchor": "end" }, words));
    if (first) ticks.push(svg("text", { x: left + middle, y: 236, "text-anchor": "middle" }, words));
  }
  const kept = about.up !== about.across ? "; diagonal, before to after: " + about.values.map((row, index) => (row[index] === null ? "none" : row[index].toFixed(2))).join(", ") : "";
  return el("figure", { class: "map" }, el("h3", {}, about.title), el("p", { class: "quiet" }, about.words),
    svg("svg", { viewBox: "0 0 262 242", role: "img", "aria-label": about.title + ", " + about.words + ": similarity of " + size + " layers" + kept },
      [...steps].map(([step, box]) => svg("path", { class: "s" + step, d: box })), dots, svg("rect", { class: "frame", x: left, y: 0, width: 220, height: 220 }), ticks));
}

function drawMaps(row) {
  const section = find("section.layers"), similarity = row.similarity;
  section.hidden = !similarity;
  if (!similarity) return;
  const kept = similarity.kept_after_finetuning;
  setText(find(".layer-words"), "CKA, unbiased, " + count(similarity.videos, "video") + ", " + count(similarity.layers.length, "layer") + (kept ? "; finetuning keeps " + (kept.value / 100).toFixed(2) + (kept.low === null ? "" : " (" + (kept.low / 100).toFixed(2) + " to " + (kept.high / 100).toFixed(2) + ")") : ""));
  put(find(".maps"), similarity.maps.map((about) => layerMap(about, similarity)));
  const floor = clipped(similarity.floor), width = 198;
  put(find(".map-scale"), svg("svg", { viewBox: "0 0 " + width + " 26", width, height: 26, role: "img", "aria-label": "scale from 0 to 1, floor " + floor.toFixed(2) },
    Array.from({ length: 11 }, (_, step) => svg("rect", { class: "s" + step, x: step * 18, y: 0, width: 18, height: 9 })),
    svg("line", { class: "floor-mark", x1: floor * width, x2: floor * width, y1: -3, y2: 12 }),
    svg("text", { x: Math.max(0, floor * width - 6), y: 24 }, "floor " + floor.toFixed(2).replace(/^0/, "")), svg("text", { x: width / 2, y: 24, "text-anchor": "middle" }, floor < .2 ? ".5" : ""), svg("text", { x: width, y: 24, "text-anchor": "end" }, "1")),
  el("span", {}, "dot instead of colour: below the permutation floor, not told apart from chance"));
}

function drawHeat(row, chosen) {
  const section = find("section.noise");
  section.hidden = !row.heats.length;
  if (section.hidden) return;
  const heat = row.heats.find((one) => one.model === chosen) || row.heats[0];
  const again = (model) => { drawHeat(row, model); find("section.noise [aria-pressed='true']").focus(); };
  put(find(".models"), row.heats.map((one) => el("button", { type: "button", "aria-pressed": String(one === heat), onclick: () => again(one.model) }, one.model === "probe" ? "Probe" : "Finetuned")));
  const cell = (value) => (value === null ? DASH : points(value));
  put(find(".noise-heat"), el("table", { class: "heat-table" },
    el("caption", { class: "reader" }, "Accuracy by noise and severity; colour: share of clean accuracy kept"),
    el("thead", {}, el("tr", {}, el("th", { scope: "row" }), ["1", "2", "3", "4", "5"].map((level) => el("th", { scope: "col" }, level)), el("th", { scope: "col" }, "mean"))),
    el("tbody", {}, heat.rows.map((line) => el("tr", {}, el("th", { scope: "row", class: "noise-name" }, line.noise),
      line.values.map((value, index) => el("td", { class: line.kept[index] === null ? "" : "k" + Math.round(clipped(line.kept[index], 0, 100) / 10), title: line.kept[index] === null ? "" : Math.round(line.kept[index]) + " % of clean kept" }, cell(value))),
      el("td", {}, cell(line.mean)))),
    el("tr", {}, el("th", { scope: "row" }, "mean"), heat.means.map((value) => el("td", {}, cell(value))), el("td", { class: "total" }, cell(heat.means.includes(null) ? null : heat.means.reduce((sum, value) => sum + value, 0) / heat.means.length))))),
  el("div", { class: "scale", "aria-hidden": "true" }, el("div", { class: "steps" }, Array.from({ length: 11 }, (_, step) => el("i", { class: "k" + step }))), el("div", { class: "ends" }, el("span", {}, "0"), el("span", {}, "share of clean accuracy kept"), el("span", {}, "100 %"))));
  const lines = [["Clean", el("span", {}, el("b", {}, points(heat.clean)), " on the same videos")]];
  const levels = Object.entries(heat.decrease);
  if (levels.length) lines.push(["Relative decrease", levels.map(([level, score], index) => [index ? " · " : "", level === "1-5" ? el("b", {}, points(score.value)) : points(score.value), level === "1" ? " at level 1" : " over " + level.replace("-", DASH)])]);
  if (heat.area) lines.push(["Area under curve", (heat.area.value / 100).toFixed(2) + " of clean" + (heat.area.low === null ? "" : " (" + (heat.area.low / 100).toFixed(2) + " to " + (heat.area.high / 100).toFixed(2) + ")")]);
  lines.push(["Break point", heat.break_point === null ? heat.break_words || "none up to 5 (mean of noises)" : heat.break_point.toFixed(1) + " (mean of noises)"]);
  put(find(".derived"), lines.map(([name, words]) => el("div", {}, el("dt", {}, name), el("dd", {}, words))));
}
