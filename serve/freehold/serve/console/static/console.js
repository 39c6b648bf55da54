// Small manners of all pages. Attributes say where: no page has a script of its own without a file.
(() => {
  const notice = (text) => {
    const place = document.getElementById("notices");
    const line = document.createElement("p");
    line.className = "notice bad";
    line.textContent = text;
    place.replaceChildren(line);
  };

  // Asks the API or a page; the session's token goes along.
  window.freehold = {
    notice,
    token: () => document.querySelector('meta[name="csrf-token"]')?.content ?? "",
    ask: (url, options = {}) =>
      fetch(url, { ...options, headers: { ...options.headers, "x-csrf-token": window.freehold.token() } }),
  };

  document.addEventListener("htmx:sendError", () => notice("The gateway does not answer. The numbers here may be old."));
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) document.getElementById("notices")?.replaceChildren();
  });

  // data-confirm: a form asks before it is sent, whether htmx sends it or the browser.
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset?.confirm;
    if (question && !window.confirm(question)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);

  // data-copy: a button copies the text of the element that it names.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(source);
      button.textContent = "Selected: copy it by hand";
    }
  });

  if (!window.isSecureContext) document.getElementById("insecure")?.removeAttribute("hidden");
})();
