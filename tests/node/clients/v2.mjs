// The second SDK of TypeScript, which speaks the modern era: node v2.mjs http|sse URL, node v2.mjs stdio COMMAND...

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { play } from "./play.mjs";

const [kind, target, ...args] = process.argv.slice(2);
const transports = {
  http: () => new StreamableHTTPClientTransport(new URL(target)),
  sse: () => new SSEClientTransport(new URL(target)),
  stdio: () => new StdioClientTransport({ command: target, args, env: process.env }),
};
const client = new Client({ name: "v2", version: "1" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
const call = (given, options) => client.callTool({ name: "generate", arguments: given }, options);
await play(client, transports[kind](), call);
