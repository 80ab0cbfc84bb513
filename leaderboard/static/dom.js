/* Making elements. Whatever comes from a result is set as text, never as HTML. */

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  return filled(node, attributes, children);
}

function svg(tag, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.setAttribute("class", value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) node.style.setProperty(name, String(Number(value)));
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

function put(node, ...children) {
  node.replaceChildren();
  return filled(node, {}, children);
}

/* Text changes only where it differs, so that a selection or a screen reader is not disturbed. */
function setText(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

function find(selector) {
  return element.querySelector(selector);
}

/* A number in words. */

const MINUS = "−", DASH = "–";

function points(value) {
  return value.toFixed(1).replace(/^-(0\.0)$/, "$1").replace("-", MINUS);
}

function signed(value) {
  return (value >= 0.05 ? "+" : "") + points(value);
}

function range(low, high, words = points) {
  return low === null || high === null ? "" : words(low) + " to " + words(high);
}

function span(low, high) {
  return low === high ? String(low) : low + DASH + high;
}

function duration(seconds) {
  if (seconds < 90) return Math.max(1, Math.round(seconds)) + " s";
  if (seconds < 5400) return Math.round(seconds / 60) + " min";
  return (seconds / 3600).toFixed(1) + " h";
}

function left(seconds) {
  if (seconds === null) return "";
  if (seconds < 10) return "a few seconds left";
  if (seconds < 90) return "about " + 10 * Math.ceil(seconds / 10) + " s left";
  return "about " + duration(seconds) + " left";
}

function moment(time) {
  return time.slice(0, 16).replace("T", " ") + " UTC";
}

function count(number, one, many) {
  return number.toLocaleString("en") + " " + (number === 1 ? one : many || one + "s");
}

function digits(hash) {
  return hash.length < 24 ? hash : hash.slice(0, 4) + " " + hash.slice(4, 8) + " … " + hash.slice(-4);
}

function clipped(value, low = 0, high = 1) {
  return Math.min(Math.max(Number(value), low), high);
}

function say(words) {
  const toast = find(".toast");
  if (!toast) return;
  put(toast, words);
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { toast.hidden = true; }, 2500);
}

function copied(text, words) {
  const done = () => say(words);
  if (navigator.clipboard && window.isSecureContext) navigator.clipboard.writeText(text).then(done, () => {});
  else say(text);
}
