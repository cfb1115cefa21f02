// What makes the pages livelier; all of them can be read without it. No inline handlers: the pages' policy forbids them.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  // Theme: the server reads the cookie, so that the next page begins in it.
  document.addEventListener("change", (event) => {
    const choice = event.target;
    if (choice.matches("[data-theme-choice]")) {
      const secure = location.protocol === "https:" ? "; secure" : "";
      document.cookie = `tidemark_theme=${choice.value}; path=/; max-age=31536000; samesite=lax${secure}`;
      root.dataset.theme = choice.value;
      document.dispatchEvent(new Event("tidemark:theme"));
    } else if (choice.matches("[data-submit]")) {
      choice.form.requestSubmit();
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new Event("tidemark:theme"));
  });

  // The provenance panel: a link with the class `ask` opens it; without script the link is a page.
  const panel = document.getElementById("panel");
  const content = document.getElementById("panel-content");
  let asked = 0;
  async function openPanel(link) {
    const turn = ++asked;
    content.innerHTML = '<div class="panel-body" aria-busy="true"><h2 id="panel-title">Where does this come from?</h2>'
      + '<div><div class="skeleton"></div><div class="skeleton"></div><div class="skeleton"></div></div></div>';
    if (!panel.open) panel.showModal();
    await htmx.ajax("GET", link.href, { target: "#panel-content", swap: "innerHTML" }).catch(() => {});
    if (turn === asked && content.querySelector("[aria-busy]")) {
      content.textContent = "The server did not answer. Close this and try again.";
    }
  }
  if (panel) {
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a.ask");
      if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
        event.preventDefault();
        openPanel(link);
      } else if (event.target === panel || event.target.closest("[data-close]")) {
        event.preventDefault();
        panel.close();
      }
    });
  }

  // Copy buttons name the element whose text they copy.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied");
    } catch {
      toast("The browser does not let pages copy here", true);
    }
  });

  // Toasts: short, announced, gone after a while unless they hold a button.
  function toast(text, bad = false) {
    const place = document.getElementById("toasts");
    const note = document.createElement("div");
    note.className = bad ? "toast bad" : "toast";
    note.textContent = text;
    place.append(note);
    setTimeout(() => note.remove(), 6000);
  }
  window.tidemark = { toast };
  for (const note of document.querySelectorAll("[data-toast]")) toast(note.textContent);

  // Changes that cannot be undone ask first.
  document.addEventListener("submit", (event) => {
    const text = event.target.dataset.confirm;
    if (text && !confirm(text)) event.preventDefault();
  });

  // Details that float close when something else is meant.
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.pill[open], details.more[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const open of document.querySelectorAll("details.pill[open], details.more[open]")) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });
})();
