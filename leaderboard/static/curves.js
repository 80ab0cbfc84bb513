/* Severity curves: four noises on one axis. */

const PLOT = { width: 290, height: 176, left: 26, right: 6, top: 8, bottom: 22 };
const SERIES = {
  supervised: { line: "anchor-line", name: "supervised" },
  random: { line: "anchor-line dashed", name: "random init." },
  probe: { line: "second-line", band: "second-band", dot: "second-dot", name: "probe", words: "second-name" },
  finetuned: { line: "own-line", band: "own-band", dot: "own-dot", name: "finetuned", words: "own-name" },
};

function plotX(severity) {
  return PLOT.left + 4 + severity * (PLOT.width - PLOT.left - PLOT.right - 8) / 5;
}

function plotY(value, top) {
  return PLOT.top + (1 - clipped(value / top)) * (PLOT.height - PLOT.top - PLOT.bottom);
}

function path(places) {
  return places.map(([x, y], index) => (index ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");
}

function panel(about, top, chance, first) {
  const own = about.curves.find((curve) => curve.model === "finetuned") || about.curves.find((curve) => curve.model === "probe");
  const y = (value) => plotY(value, top), parts = [];
  const step = top > 40 ? 20 : 10;
  for (let value = 0; value <= top; value += step) {
    parts.push(svg("line", { class: "grid", x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: y(value), y2: y(value) }));
    parts.push(svg("text", { x: PLOT.left - 5, y: y(value) + 4, "text-anchor": "end", class: first ? "first-axis" : "other-axis" }, value));
  }
  for (let severity = 0; severity <= 5; severity += 1) parts.push(svg("text", { x: plotX(severity), y: PLOT.height - 6, "text-anchor": severity ? "middle" : "start", dx: severity ? 0 : -6 }, severity || "clean"));
  const flat = (value, name) => svg("line", { class: name, x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: y(value), y2: y(value) });
  if (chance !== null) parts.push(flat(chance, "chance-line"));
  if (own) parts.push(flat(own.points[0].value, "clean-line"));
  for (const model of Object.keys(SERIES)) {
    const curve = about.curves.find((one) => one.model === model), look = SERIES[model];
    if (!curve) continue;
    const at = curve.points.map((point) => [plotX(point.severity), y(point.value)]);
    const banded = curve.points.filter((point) => point.low !== null);
    if (look.band && banded.length) {
      parts.push(svg("path", { class: look.band, d: path([...banded.map((p) => [plotX(p.severity), y(p.high)]), ...banded.map((p) => [plotX(p.severity), y(p.low)]).reverse()]) + "Z" }));
    }
    parts.push(svg("path", { class: look.line, d: path(at) }));
    if (look.dot) {
      curve.points.forEach((point, index) => parts.push(svg("circle", { class: look.dot, cx: at[index][0], cy: at[index][1], r: 3 },
        svg("title", {}, look.name + ", " + (point.severity ? about.noise + " " + point.severity : "clean") + ": " + points(point.value) + (point.low === null ? "" : " (" + range(point.low, point.high) + ")")))));
    }
  }
  if (own && own.break_point !== null) {
    const x = plotX(own.break_point), before = Math.floor(own.break_point), value = between(own.points, own.break_point, before);
    parts.push(svg("line", { class: "break-line", x1: x, x2: x, y1: y(value), y2: y(0) }), svg("path", { class: "break-mark", d: "M" + x + " " + (y(0) - 7) + "l4.5 7h-9z" }));
  }
  const words = !own ? "" : own.break_point === null ? "no break point" : "break point " + own.break_point.toFixed(1);
  const label = about.noise + ": " + about.curves.map((curve) => SERIES[curve.model].name + " " + curve.points.map((point) => points(point.value)).join(", ")).join("; ") + "; " + words;
  return el("figure", { class: "panel", title: about.corruption },
    el("div", { class: "panel-head" }, el("b", {}, about.noise), el("span", { class: own && own.break_point !== null ? "broken" : "" }, words)),
    svg("svg", { viewBox: "0 0 " + PLOT.width + " " + PLOT.height, role: "img", "aria-label": label }, parts));
}

function between(curve, place, before) {
  const one = curve[before].value, other = curve[Math.min(before + 1, curve.length - 1)].value;
  return one + (other - one) * (place - before);
}

/* Names of the lines, once, at the right of the last panel, at least 14 apart. */
function lineNames(panels, top, chance) {
  const last = panels[panels.length - 1];
  const ends = last.curves.map((curve) => ({ words: SERIES[curve.model].name, look: SERIES[curve.model].words, y: plotY(curve.points[curve.points.length - 1].value, top) }));
  if (chance !== null) ends.push({ words: "chance", look: "", y: plotY(chance, top) });
  ends.sort((one, other) => one.y - other.y);
  ends.forEach((end, index) => { if (index) end.y = Math.max(end.y, ends[index - 1].y + 15); });
  const over = ends.length ? ends[ends.length - 1].y - (PLOT.height - PLOT.bottom + 6) : 0;
  if (over > 0) for (let index = ends.length - 1; index >= 0; index -= 1) ends[index].y = Math.min(ends[index].y - (index === ends.length - 1 ? over : 0), index === ends.length - 1 ? Infinity : ends[index + 1].y - 15);
  return el("div", { class: "line-names", "aria-hidden": "true" }, ends.map((end) => el("span", { class: end.look || "", "--y": (end.y / PLOT.height).toFixed(4) }, end.words)));
}

function drawCurves(row) {
  const section = find("section.curves");
  section.hidden = !row.panels.length;
  if (section.hidden) return;
  put(find(".panels"), row.panels.map((about, index) => panel(about, row.top, row.chance, index === 0)), lineNames(row.panels, row.top, row.chance));
}
