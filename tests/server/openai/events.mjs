// Reads /generate/stream as a browser would, with EventSource and with fetch, and prints what it heard as JSON.
import { EventSource } from "eventsource";

const [url, prompt] = process.argv.slice(2);

function bySource() {
  return new Promise((resolve, reject) => {
    const events = [];
    const source = new EventSource(`${url}/generate/stream?prompt=${encodeURIComponent(prompt)}`);
    source.onmessage = ({ data }) => {
      if (data !== "[DONE]") {
        events.push(JSON.parse(data));
        return;
      }
      // Without this it would connect again, and ask for the same once more.
      source.close();
      resolve(events);
    };
    source.onerror = (error) => {
      source.close();
      reject(new Error(error.message));
    };
  });
}

async function byFetch() {
  const response = await fetch(`${url}/generate/stream`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ prompt }),
  });
  let text = "";
  let reads = 0;
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    reads += 1;
  }
  const blocks = text.split("\n\n").filter((block) => block.startsWith("data: "));
  const events = blocks.map((block) => block.slice("data: ".length));
  return { type: response.headers.get("content-type"), reads, last: events.pop(), events: events.map((data) => JSON.parse(data)) };
}

console.log(JSON.stringify({ source: await bySource(), fetched: await byFetch() }));
