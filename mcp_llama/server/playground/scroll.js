// @ts-check
import { find } from "./elements.js";
import { isChat } from "./mode.js";

const NEAR_BOTTOM_PX = 40;
const latest = find("latest", HTMLButtonElement);
const chat = find("chat", HTMLElement);
const completion = find("completion", HTMLElement);

/** What keeps its end in view: all that the user has not scrolled away from it. */
const following = new Set();

/** @param {HTMLElement} scroller */
export function scrollDown(scroller) {
  following.add(scroller);
  scroller.scrollTop = scroller.scrollHeight;
}

/** Leaves the view where it is, whatever it comes to hold. */
export function stopFollowing() {
  following.delete(shown());
}

export function showLatest() {
  latest.hidden = isAtBottom(shown());
}

export function watchScroll() {
  latest.addEventListener("click", () => scrollDown(shown()));
  for (const scroller of [chat, completion]) {
    const observer = new ResizeObserver(() => {
      if (following.has(scroller)) scrollDown(scroller);
      showLatest();
    });
    for (const element of [scroller, ...scroller.children]) observer.observe(element);
    scroller.addEventListener("scroll", () => {
      if (isAtBottom(scroller)) following.add(scroller);
      else following.delete(scroller);
      showLatest();
    });
  }
}

/** @returns {HTMLElement} */
function shown() {
  return isChat() ? chat : completion;
}

/** @param {HTMLElement} scroller */
function isAtBottom({ scrollHeight, scrollTop, clientHeight }) {
  return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
}
