/* Asking the server every two seconds while somebody looks. Nothing is drawn unless something changed. */

const EVERY_MS = 2000;

async function ask(address) {
  const answer = await fetch(address, { headers: { accept: "application/json" } }).catch(() => { throw new Error("The server does not answer."); });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok && answer.status !== 404) throw new Error(body.error || "The server answered " + answer.status + ".");
  return { ok: answer.ok, body };
}

/* Calls `look` now and then every two seconds; after a failure less often. Stops with the page. */
function keepLooking(look, failed) {
  let wait = EVERY_MS;
  const again = async () => {
    if (!element.isConnected) return;
    if (!document.hidden) {
      try { await look(); wait = EVERY_MS; if (failed) failed(null); }
      catch (error) { wait = Math.min(2 * wait, 30000); if (failed) failed(error, wait / 1000); }
    }
    setTimeout(again, wait);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look().catch(() => {}); });
  return again();
}

/* What to do when a look fails: the numbers stay, and the page says what happened and how old they are. */
function showFailure(words) {
  return (error, seconds) => {
    const banner = find(".banner.stale");
    if (!banner) return;
    banner.hidden = !error;
    if (error) setText(banner, [error.message, words, "Next try in " + Math.round(seconds) + " s."].filter(Boolean).join(" "));
  };
}

/* The line at the right of the header: what the service does. */
function showNow(live) {
  const line = find(".now");
  const running = live.jobs.filter((job) => job.status === "running").length + live.works.length;
  const queued = live.jobs.filter((job) => job.status === "queued").length;
  const words = [running && running + " running", queued && queued + " queued"].filter(Boolean).join(", ") || "nothing running";
  line.hidden = false;
  line.classList.toggle("idle", !running);
  const text = line.querySelector("span");
  if (text.textContent !== words) text.textContent = words;
}

for (const link of element.querySelectorAll(".top nav a")) {
  if (link.getAttribute("href") === location.pathname) link.setAttribute("aria-current", "page");
}
