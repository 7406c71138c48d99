// @ts-check
/** @import { Message } from "./request.js" */
import { copy } from "./clipboard.js";
import { fresh, within } from "./elements.js";
import { chosenModel } from "./models.js";

/** One message of the conversation, in the page. */
export class Turn {
  #words;

  /**
   * @param {"user" | "assistant"} role
   * @param {string} content
   */
  constructor(role, content) {
    this.role = role;
    this.element = within(fresh("turn-template"), "article");
    this.element.classList.add(role);
    within(this.element, "h2").textContent = role === "user" ? "You" : chosenModel() || "Model";
    this.#words = document.createTextNode(content);
    within(this.element, ".words").append(this.#words);
    this.status = within(this.element, ".status");
    this.onAct("copy", (button) => copy(this.content, button));
  }

  get content() {
    return this.#words.data;
  }

  /** @returns {Message} */
  get message() {
    return { role: this.role, content: this.content };
  }

  /** @param {string} text */
  reason(text) {
    const reasoning = within(this.element, ".reasoning");
    reasoning.hidden = false;
    within(reasoning, "div").append(text);
  }

  /** @param {string} text */
  append(text) {
    this.#words.appendData(text);
  }

  /**
   * @param {"copy" | "retry" | "continue"} name
   * @param {(button: HTMLElement) => void} action
   */
  onAct(name, action) {
    const button = this.#act(name);
    button.addEventListener("click", () => action(button));
  }

  /**
   * @param {boolean} isLast
   * @param {boolean} isAnswering Whether a run goes on.
   */
  show(isLast, isAnswering) {
    const isAnswer = this.role === "assistant";
    const isRunning = isLast && isAnswering;
    this.element.classList.toggle("running", isRunning);
    this.element.classList.toggle("blank", isAnswer && !isRunning && !this.content);
    this.#act("copy").hidden = isRunning || !this.content;
    this.#act("retry").hidden = isRunning || !isLast || !isAnswer;
    this.#act("continue").hidden = isRunning || !isLast || !isAnswer || !this.content;
  }

  /** @param {string} name */
  #act(name) {
    return within(this.element, `[data-act="${name}"]`);
  }
}
