// Conveniences of the console: keys, copying, and whether what is shown is live.
// Every page works without them, by links and forms.

const SILENCE = 8000; // milliseconds without a message, which comes every two seconds

// Buttons that need a script are hidden without it.
document.documentElement.classList.add("scripted");

function isTyping(element) {
  return element.closest("input, textarea, select") !== null;
}

const go = { pressed: false };

function rows() {
  return [...document.querySelectorAll("[data-row]")];
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
  (next.querySelector("a, button:not(.copy-id)") ?? next).focus();
  next.scrollIntoView({ block: "nearest" });
}

function current() {
  return document.activeElement?.closest("[data-row]");
}

const keys = {
  "/": () => document.querySelector("input[type=search]")?.focus(),
  "?": () => document.getElementById("keys")?.showModal(),
  g: () => { go.pressed = true; setTimeout(() => { go.pressed = false; }, 1500); },
  j: () => move(1),
  k: () => move(-1),
  e: () => current()?.querySelector("[data-resolve]")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const tab = go.pressed && document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
  const act = tab ? () => tab.click() : keys[event.key];
  if (!act) return;
  event.preventDefault();
  if (tab) go.pressed = false;
  act();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy-id");
  if (!button) return;
  await navigator.clipboard.writeText(button.previousElementSibling.textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

const liveness = document.getElementById("liveness");
let heardAt = Date.now();
let lostSince = null;

function showLive() {
  heardAt = Date.now();
  lostSince = null;
  const stale = document.querySelector("#live [data-as-of]");
  liveness.hidden = false;
  liveness.className = stale ? "tag bad" : "tag good";
  liveness.textContent = stale ? `not live since ${stale.dataset.asOf}, trying again` : "live";
  document.getElementById("live").classList.toggle("old", stale !== null);
}

function showLost() {
  if (Date.now() - heardAt < SILENCE) return;
  lostSince ??= new Date(heardAt).toISOString().slice(11, 19);
  liveness.hidden = false;
  liveness.className = "tag bad";
  liveness.textContent = `not live since ${lostSince}, trying again`;
  document.getElementById("live").classList.add("old");
}

if (document.querySelector("[hx-sse\\:connect]")) {
  document.addEventListener("htmx:sse:after:message", showLive);
  document.addEventListener("signed-out", () => location.reload());
  setInterval(showLost, 1000);
}
