// Conveniences of the documentation: copying, the search key, the form that calls a route.
// Every page reads without them.

function addCopyButton(element) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  const text = element.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.trim());
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  element.after(button);
}

// Behind a proxy that ends TLS the gateway does not know the scheme that callers use.
function correctOrigin(element) {
  const wrong = `http://${location.host}`;
  if (location.origin === wrong) return;
  element.textContent = element.textContent.replaceAll(wrong, location.origin);
}

// The path with its params filled in, and the params that remain.
function fillPath(pattern, params) {
  const rest = { ...params };
  const path = pattern.replaceAll(/\{(\w+)(?::\w+)?\}/g, (_, name) => {
    const value = rest[name] ?? "";
    delete rest[name];
    return encodeURIComponent(value);
  });
  return [path, rest];
}

function base64(text) {
  return btoa(String.fromCodePoint(...new TextEncoder().encode(text)));
}

function queryOf(params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    query.set(name, Array.isArray(value) ? value.join(",") : value);
  }
  return query.size ? `?${query}` : "";
}

function requestOf(form) {
  const { method, path: pattern, base64: encoding } = form.dataset;
  const params = JSON.parse(form.elements.params.value || "{}");
  const headers = {};
  if (form.elements.token?.value) headers.Authorization = `Bearer ${form.elements.token.value}`;
  if (form.elements.key?.value) headers["Idempotency-Key"] = form.elements.key.value;
  const [path, rest] = fillPath(pattern, params);
  if (method === "GET" || (method === "DELETE" && encoding === "no")) {
    return [path + queryOf(rest), { method, headers }];
  }
  const text = JSON.stringify(rest);
  headers["Content-Type"] = encoding === "yes" ? "text/plain" : "application/json";
  return [path, { method, headers, body: encoding === "yes" ? base64(text) : text }];
}

async function send(event) {
  event.preventDefault();
  const form = event.target;
  const shown = document.getElementById("try-answer");
  const result = form.elements.result;
  try {
    const [url, options] = requestOf(form);
    const began = performance.now();
    const answer = await fetch(url, options);
    const text = await answer.text();
    result.value = `${answer.status} · ${(performance.now() - began).toFixed(1)} ms`;
    shown.textContent = pretty(text);
  } catch (error) {
    result.value = error instanceof SyntaxError ? "The params are not JSON." : "No answer.";
    shown.textContent = String(error.message);
  }
  shown.hidden = false;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function focusSearch(event) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  document.querySelector("input[type=search]").focus();
}

document.querySelectorAll("pre code").forEach(correctOrigin);
if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach(addCopyButton);
document.addEventListener("keydown", focusSearch);
const form = document.getElementById("try-form");
if (form) {
  form.hidden = false;
  document.getElementById("try-needs-script").remove();
  form.addEventListener("submit", send);
}
