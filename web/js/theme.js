// The theme: the system's, or the one chosen here and stored in this browser.
//
// Contract: a classic script in the head, so that the page is never drawn in the wrong colours first.
// `data-theme` on the root is `light`, `dark`, or absent for the system's.

(() => {
  const KEY = "reprompt-theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  // Storage may be disabled; the theme then lasts as long as the page.
  const kept = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const keep = (/** @type {string} */ theme) => { try { localStorage.setItem(KEY, theme); } catch { /* as above */ } };

  const chosen = kept();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      keep(root.dataset.theme);
      show();
    });
    system.addEventListener("change", show);
    show();
  });
})();
