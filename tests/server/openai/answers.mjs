// Asks a server everything that OpenAI's client can ask for, and prints what it heard as JSON.
import OpenAI from "openai";

const [url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "not needed", maxRetries: 0 });
const messages = [{ role: "user", content: "Name three colours." }];
const options = { model, seed: 7, temperature: 1, max_tokens: 10 };

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const chat = (more) => client.chat.completions.create({ ...options, messages, ...more });
const completion = (more) => client.completions.create({ ...options, prompt: "The sea is", ...more });
const usage = { stream: true, stream_options: { include_usage: true } };

const helper = client.chat.completions.stream({ ...options, messages });
const deltas = [];
helper.on("content", (delta) => deltas.push(delta));
const message = await helper.finalMessage();

const packed = await client.embeddings.create({ model, input: ["The sea", "A loaf"] });
const floats = await client.embeddings.create({ model, input: ["The sea", "A loaf"], encoding_format: "float" });
const { data, response } = await chat({}).withResponse();

console.log(
  JSON.stringify({
    chat: data,
    type: response.headers.get("content-type"),
    chatChunks: await read(await chat(usage)),
    choices: await chat({ n: 2 }),
    choicesChunks: await read(await chat({ n: 2, ...usage })),
    logprobs: await chat({ logprobs: true, top_logprobs: 2 }),
    completion: await completion({}),
    completionChunks: await read(await completion(usage)),
    helper: { deltas, message },
    further: await chat({ messages: [...messages, data.choices[0].message, ...messages] }),
    packed: packed.data.map((item) => item.embedding),
    floats: floats.data.map((item) => item.embedding),
    models: (await client.models.list()).data,
    model: await client.models.retrieve(model),
  }),
);
