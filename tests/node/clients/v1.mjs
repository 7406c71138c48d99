// The first SDK of TypeScript, which speaks the legacy era: node v1.mjs http|sse URL, node v1.mjs stdio COMMAND...

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { play } from "./play.mjs";

const [kind, target, ...args] = process.argv.slice(2);
const transports = {
  http: () => new StreamableHTTPClientTransport(new URL(target)),
  sse: () => new SSEClientTransport(new URL(target)),
  stdio: () => new StdioClientTransport({ command: target, args, env: process.env }),
};
const client = new Client({ name: "v1", version: "1" });
const call = (given, options) => client.callTool({ name: "generate", arguments: given }, undefined, options);
await play(client, transports[kind](), call);
