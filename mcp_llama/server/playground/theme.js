// @ts-check
import { find } from "./elements.js";
import { recall, remember } from "./memory.js";

const button = find("theme", HTMLButtonElement);
const systemDark = matchMedia("(prefers-color-scheme: dark)");

/** Follows the system where nothing else was chosen. */
export function showTheme() {
  const { theme } = recall();
  const isDark = theme ? theme === "dark" : systemDark.matches;
  document.documentElement.dataset.theme = theme ?? "";
  button.setAttribute("aria-pressed", String(isDark));
}

export function watchTheme() {
  button.addEventListener("click", toggleTheme);
  systemDark.addEventListener("change", showTheme);
}

function toggleTheme() {
  const dark = button.getAttribute("aria-pressed") !== "true";
  // A choice that agrees with the system follows it from then on.
  remember({ theme: dark === systemDark.matches ? undefined : dark ? "dark" : "light" });
  showTheme();
}
