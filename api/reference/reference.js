"use strict";

const key = document.querySelector("#key input");
document.querySelector("#key").addEventListener("submit", (event) => event.preventDefault());

for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const shown = form.querySelector("output pre");
    shown.hidden = false;
    shown.textContent = "…";
    shown.textContent = await send(form).catch((error) => `No answer: ${error.message}`);
  });
}

async function send(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = { "x-api-key": key.value };
  for (const field of form.querySelectorAll("input")) {
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value && field.dataset.in === "header") headers[field.name] = field.value;
    else if (field.value) query.append(field.name, field.value);
  }
  const body = form.querySelector("textarea");
  if (body) headers["content-type"] = "application/json";
  const address = query.size ? `${path}?${query}` : path;
  const answer = await fetch(address, { method: form.dataset.method, headers, body: body?.value, credentials: "omit" });
  const text = await answer.text();
  const told = ["ratelimit", "retry-after", "etag", "link", "x-total-count"]
    .filter((name) => answer.headers.has(name))
    .map((name) => `${name}: ${answer.headers.get(name)}\n`);
  return `${answer.status} ${answer.statusText}\n${told.join("")}\n${pretty(text)}`;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
