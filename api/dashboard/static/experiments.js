// Makes selecting experiments livelier: select all, a question before a change, and a toast with a way back after it.
"use strict";
(() => {
  const question = document.querySelector("dialog[data-question]");
  const forms = document.querySelectorAll("form[data-selection]");
  const words = {
    pause: ["Pause", "Nobody is in a paused experiment until it runs again; assignments are kept."],
    run: ["Run", "A draft that runs cannot become a draft again; it can be paused."],
    end: ["End", "Ended is final: it assigns nobody any more, and cannot run again."],
  };
  for (const form of forms) {
    const boxes = [...form.querySelectorAll('input[type="checkbox"][name="id"]')];
    const all = form.querySelector("[data-all]");
    const count = form.querySelector("[data-count]");
    const orders = form.querySelectorAll('button[name="order"]');
    const update = () => {
      const chosen = boxes.filter((box) => box.checked).length;
      if (all) {
        all.checked = chosen > 0 && chosen === boxes.length;
        all.indeterminate = chosen > 0 && chosen < boxes.length;
      }
      if (count) count.textContent = `${chosen} selected`;
      if (boxes.length) for (const order of orders) order.disabled = chosen === 0;
    };
    all?.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
      update();
    });
    form.addEventListener("change", update);
    window.addEventListener("pageshow", update);
    update();
    form.addEventListener("submit", (event) => {
      const order = event.submitter?.value;
      if (!question || !words[order] || form.querySelector('[name="confirmed"]')) return;
      event.preventDefault();
      ask(form, event.submitter, boxes.filter((box) => box.checked).length);
    });
  }

  function ask(form, button, chosen) {
    const [verb, detail] = words[button.value];
    const name = form.querySelector("[data-name]")?.dataset.name;
    question.querySelector("h2").textContent = name ? `${verb} ${name}?` : `${verb} ${chosen} experiment${chosen === 1 ? "" : "s"}?`;
    question.querySelector("[data-detail]").textContent = detail;
    const yes = question.querySelector("[data-yes]");
    yes.textContent = verb;
    yes.onclick = () => {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name: "confirmed", value: "yes" });
      form.append(field);
      question.close();
      form.requestSubmit(button);
    };
    question.querySelector("[data-cancel]").onclick = () => question.close();
    question.showModal();
    question.querySelector("[data-cancel]").focus();
  }

  // What was done, as a toast that holds its form: it stays until it is closed or the page is left.
  const toasts = document.getElementById("toasts");
  for (const form of document.querySelectorAll("[data-toast-form]")) {
    form.className = "toast";
    toasts.append(form);
    if (!form.querySelector("button")) setTimeout(() => form.remove(), 6000);
  }
  // The address need not tell it again when the page is loaded anew.
  const place = new URL(location.href);
  for (const name of ["done", "of", "said"]) place.searchParams.delete(name);
  if (place.href !== location.href) history.replaceState(null, "", place);

  const invalid = document.querySelector('[aria-invalid="true"]');
  invalid?.focus();
})();
