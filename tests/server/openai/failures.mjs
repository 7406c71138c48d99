// Does to a server what OpenAI's client may do wrong, and prints how each attempt ended as JSON.
import OpenAI from "openai";

const [url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "not needed", maxRetries: 0 });
const messages = [{ role: "user", content: "Go on." }];

async function ending(attempt) {
  const heard = { text: "" };
  try {
    await attempt(heard);
    return { ...heard, name: null };
  } catch (error) {
    const { status = null, code = null, param = null, type = null, message } = error;
    const isApiError = error instanceof OpenAI.APIError;
    return { ...heard, name: error.constructor.name, status, code, param, type, message, isApiError };
  }
}

const chat = (more, request) =>
  client.chat.completions.create({ model, messages, max_tokens: 900, ...more }, request);

const unknown = await ending(() => chat({ model: "gpt-9" }));
const tooLong = await ending(() => chat({ messages: [{ role: "user", content: "x".repeat(3000) }] }));
const refused = await ending(() => chat({ tools: [{ type: "custom", custom: { name: "f" } }] }));
const left = await ending(async (heard) => {
  for await (const chunk of await chat({ stream: true })) {
    heard.text += chunk.choices[0]?.delta?.content ?? "";
    if (heard.text) break;
  }
});
const aborted = await ending(async (heard) => {
  const controller = new AbortController();
  for await (const chunk of await chat({ stream: true }, { signal: controller.signal })) {
    heard.text += chunk.choices[0]?.delta?.content ?? "";
    if (heard.text) controller.abort();
  }
});
const abortedWhole = await ending(async () => {
  const controller = new AbortController();
  const answer = chat({}, { signal: controller.signal });
  setTimeout(() => controller.abort(), 500);
  await answer;
});
const failed = await ending(async (heard) => {
  const doomed = [{ role: "user", content: "fail" }];
  for await (const chunk of await chat({ stream: true, messages: doomed })) {
    heard.text += chunk.choices[0]?.delta?.content ?? "";
  }
});

console.log(JSON.stringify({ unknown, tooLong, refused, left, aborted, abortedWhole, failed }));
