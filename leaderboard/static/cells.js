/* The small pictures of a row. Only numbers, clipped to the track, go into a style. */

function placed(column, value) {
  return clipped((value - column.low) / (column.high - column.low)).toFixed(4);
}

function chancePlace(column) {
  return placed(column, column.kind === "gain" ? 0 : column.chance === null ? column.low : column.chance);
}

/* One score: its interval as a box between its anchors; a gain as a bar about zero. */
function whisker(column, score, bed) {
  if (column.kind === "plain") return null;
  if (!score) return el("span", { class: "w blank", "aria-hidden": "true", "--ch": chancePlace(column) });
  const low = score.low === null ? score.value : score.low;
  const high = score.high === null ? score.value : score.high;
  const places = { "--a": placed(column, low), "--b": placed(column, high), "--ch": chancePlace(column) };
  if (column.kind === "gain") return el("span", { class: "w gain", "aria-hidden": "true", ...places, "--v": placed(column, score.value) });
  const has = (value) => bed && value !== null;
  let kind = "whisker no-bed";
  if (has(bed?.supervised)) {
    kind = "whisker half-bed";
    places["--s"] = placed(column, bed.supervised);
    places["--r"] = 0;
    if (has(bed.random)) {
      kind = "whisker";
      places["--r"] = placed(column, Math.min(bed.random, bed.supervised));
    }
  }
  return el("span", { class: "w " + kind, "aria-hidden": "true", ...places });
}

/* A range of an anchor over the architectures. */
function anchorRange(column, low, high) {
  const places = { "--a": placed(column, low), "--b": placed(column, high), "--ch": chancePlace(column) };
  return el("span", { class: low === high ? "w range point" : "w range", "aria-hidden": "true", ...places });
}

function heatStep(kept) {
  return Math.round(clipped(kept, 0, 100) / 10);
}

/* Share of clean accuracy kept, noises by severities: one path a step in use. */
function miniHeat(kept, noises) {
  if (!kept.length) return null;
  const paths = new Map();
  kept.forEach((row, y) => row.forEach((value, x) => {
    if (value === null) return;
    const step = heatStep(value);
    paths.set(step, (paths.get(step) || "") + "M" + 13 * x + " " + 7 * y + "h12v6h-12z");
  }));
  const means = noises.map((noise, y) => noise + " " + Math.round(kept[y].reduce((sum, value) => sum + (value || 0), 0) / kept[y].length));
  const label = "Share of clean accuracy kept, percent, mean of five severities: " + means.join(", ");
  return svg("svg", { class: "heat", viewBox: "0 0 64 27", width: 64, height: 27, role: "img", "aria-label": label },
    [...paths].map(([step, path]) => svg("path", { class: "h" + step, d: path })));
}

function rankStrip(rank, of) {
  const width = 60, step = width / Math.max(of, 1);
  return svg("svg", { class: "strip", viewBox: "0 0 60 4", width: 60, height: 4, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: 0, y: 1.5, width: 60, height: 1, class: "strip-line" }),
    svg("rect", { x: (rank.low - 1) * step, y: 0, width: Math.max(3, (rank.high - rank.low + 1) * step), height: 4, rx: 1, class: "strip-span" }));
}

function familyMark(family) {
  if (!family) return null;
  const shape = family === "contrastive"
    ? svg("circle", { cx: 4, cy: 4, r: 3.2, fill: "currentColor" })
    : svg("path", { d: "M4 .8 7.2 4 4 7.2.8 4z", fill: "none", stroke: "currentColor", "stroke-width": 1.3 });
  return svg("svg", { class: "family", viewBox: "0 0 8 8", role: "img", "aria-label": family }, shape);
}

function tickDisc(words) {
  return el("span", { class: "tick-disc", role: "img", "aria-label": words, title: words },
    svg("svg", { viewBox: "0 0 10 10", width: 9, height: 9, "aria-hidden": "true" },
      svg("path", { d: "M1.5 5.4 4 7.8 8.6 2.4", fill: "none", stroke: "currentColor", "stroke-width": 1.8 })));
}

function standing(row) {
  if (row.verified) return tickDisc("verified: " + row.verdict);
  if (row.verdict) return el("span", { class: "badge draft" }, row.verdict);
  return row.self_run ? el("span", { class: "badge self", title: "computed by its author, not by this service" }, "self-run") : null;
}

function millions(parameters) {
  return parameters >= 1e5 ? (parameters / 1e6).toFixed(parameters < 1e6 ? 2 : 1) + " M" : (parameters / 1e3).toFixed(1) + " k";
}

function shown(column, score) {
  if (!score) return DASH;
  if (column.kind === "gain") return signed(score.value);
  return column.key === "cost" && score.value < 10 ? score.value.toFixed(score.value < 1 ? 2 : 1) : points(score.value);
}
