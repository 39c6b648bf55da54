// Light or dark, before anything is drawn: what was chosen here, else what the system has.
(() => {
  const chosen = localStorage.getItem("freehold-theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (localStorage.getItem("freehold-theme") ?? (system.matches ? "dark" : "light")) === "dark";
  const apply = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    document.getElementById("theme")?.setAttribute("aria-pressed", String(isDark()));
    document.dispatchEvent(new CustomEvent("freehold:theme"));
  };
  if (chosen !== null && !["light", "dark"].includes(chosen)) localStorage.removeItem("freehold-theme");
  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme")?.addEventListener("click", () => {
      localStorage.setItem("freehold-theme", isDark() ? "light" : "dark");
      apply();
    });
  });
})();
