/* The queue: cards for what runs, lines for the rest. A card is kept while it lasts and rewritten in place. */

const cards = new Map();

function newCard() {
  return el("section", { class: "card job" },
    el("div", { class: "job-head" }, el("b", {}), el("span", { class: "arch" }), el("span", { class: "badge running" }, "running"), el("span", { class: "left" })),
    el("span", { class: "bar whole", "aria-hidden": "true" }, el("i", {})), el("div", { class: "steps" }), el("p", { class: "words" }), el("span", { class: "quiet beat" }));
}

const SIGNS = {
  done: () => svg("path", { d: "M2.5 7.4 5.5 10.4 11.5 3.8", fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
  running: () => svg("path", { d: "M7 2.2a4.8 4.8 0 1 1-4.6 3.4", fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
  waiting: () => svg("circle", { cx: 7, cy: 7, r: 3.6, fill: "none", stroke: "currentColor", "stroke-width": 1.2 }),
};

function fillSteps(place, steps) {
  const key = steps.map((step) => step.name + step.state).join();
  if (place.dataset.key !== key) {
    place.dataset.key = key;
    put(place, steps.map((step) => el("div", { class: "step " + step.state },
      svg("svg", { class: "sign", viewBox: "0 0 14 14", role: "img", "aria-label": step.state }, SIGNS[step.state]()),
      el("span", { class: "step-name" }, step.name), el("span", { class: "step-words" }), step.state === "running" ? el("span", { class: "bar", "aria-hidden": "true" }, el("i", {})) : el("span", {}), el("span", { class: "when" }))));
  }
  steps.forEach((step, index) => {
    const line = place.children[index];
    setText(line.querySelector(".step-words"), step.words);
    const wait = step.seconds === null ? "" : step.state === "done" ? duration(step.seconds) : step.state === "waiting" ? "about " + duration(step.seconds) : duration(step.seconds) + " so far";
    setText(line.querySelector(".when"), step.seconds !== null && step.state === "done" && step.seconds < 1 ? "from cache" : wait);
    const bar = line.querySelector(".bar i");
    if (bar) bar.style.setProperty("--share", clipped(step.share).toFixed(4));
  });
}

function fillCard(card, job) {
  setText(card.querySelector("b"), job.name || job.title);
  setText(card.querySelector(".arch"), job.architecture ? job.architecture + " under " + job.suite + (job.anchor ? ", anchor" : "") : "");
  setText(card.querySelector(".left"), left(job.left_s));
  card.querySelector(".whole i").style.setProperty("--share", clipped(job.share).toFixed(4));
  fillSteps(card.querySelector(".steps"), job.steps || []);
  setText(card.querySelector(".words"), job.steps && job.steps.length ? "" : job.words);
  setText(card.querySelector(".beat"), job.heartbeat_s === undefined || job.heartbeat_s === null ? "" : "last sign of life " + duration(job.heartbeat_s) + " ago · attempt " + job.attempt + " of " + job.attempts);
}

function lineOf(job) {
  const name = el("span", {}, job.result_id ? el("a", { href: "/row?id=" + encodeURIComponent(job.result_id) }, job.name) : el("b", {}, job.name), el("span", { class: "quiet" }, " " + job.architecture + (job.anchor ? ", anchor" : "")));
  return el("div", { class: "line" }, el("span", { class: "badge " + job.status }, job.status), name, el("span", { class: "words" }, job.status === "done" ? "under " + job.suite : job.words), el("span", { class: "when" }, moment(job.changed)));
}

let before = "";

function drawQueue(live) {
  const running = [...live.works.map((work) => ["work " + work.title, work]), ...live.jobs.filter((job) => job.status === "running").map((job) => ["job " + job.id, job])];
  const others = live.jobs.filter((job) => job.status !== "running");
  const state = JSON.stringify([running.map(([key]) => key), others]);
  for (const [key, about] of running) {
    if (!cards.has(key)) cards.set(key, newCard());
    fillCard(cards.get(key), about);
  }
  for (const key of cards.keys()) if (!running.some(([name]) => name === key)) cards.delete(key);
  if (state === before) return;
  before = state;
  const parts = running.map(([key]) => cards.get(key));
  for (const [title, status] of [["Waiting", ["queued"]], ["Judged, failed, rejected", ["done", "failed", "rejected"]]]) {
    const lines = others.filter((job) => status.includes(job.status)).map(lineOf);
    if (lines.length) parts.push(el("section", {}, el("h2", {}, title), lines));
  }
  if (!parts.length) parts.push(el("div", { class: "empty" }, el("h3", {}, "Nothing is queued"), el("p", {}, "Submit a checkpoint and start a worker:"), el("code", { class: "command" }, "reelproof submit CHECKPOINT --suite mini-v1\nreelproof worker --until-idle")));
  find(".jobs").replaceChildren(...parts);
  find(".content").classList.add("ready");
}

keepLooking(async () => {
  const { body } = await ask("/view/live");
  showNow(body);
  drawQueue(body);
}, showFailure(""));
