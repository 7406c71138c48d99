// Watch the tokens of one call arrive, one progress notification each. Ctrl-C stops the model.
//
// mcp-llama serve
// npm install
// node stream.ts http://127.0.0.1:8080/mcp "Why is the sky blue?"

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, question] = process.argv.slice(2);
if (!url || !question) throw new Error("usage: node stream.ts URL QUESTION");

const client = new Client({ name: "stream.ts", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));

const stop = new AbortController();
process.once("SIGINT", () => stop.abort());

let heard = "";
function show(text: string) {
  heard += text;
  process.stdout.write(text);
}

try {
  const result = await client.callTool(
    { name: "chat", arguments: { messages: [{ role: "user", content: question }], max_tokens: 300 } },
    {
      onprogress: ({ message }) => show(message ?? ""),
      // Otherwise the client gives up after 60 s, whatever has arrived.
      resetTimeoutOnProgress: true,
      signal: stop.signal,
    },
  );
  const { text } = result.structuredContent as { text: string };
  // The SDK drops notifications that arrive together with the result.
  show(text.slice(heard.length) + "\n");
  console.error(JSON.stringify(result.structuredContent));
} catch (error) {
  if (!stop.signal.aborted) throw error;
  show("\nstopped\n");
} finally {
  await client.close();
}
