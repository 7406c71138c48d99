// What both SDKs are put through: a call that is heard to its end, one that is given up, and one after it.
// The messages are noted as they come in too: an SDK drops a notification that arrives together with the result.

export async function play(client, transport, call) {
  const wire = [];
  await client.connect(transport);
  const take = transport.onmessage;
  transport.onmessage = (message, ...rest) => {
    wire.push(message.method === "notifications/progress" ? message.params : message);
    take(message, ...rest);
  };

  const heard = [];
  const whole = await call({ prompt: "Once upon a time", max_tokens: 20, temperature: 0 }, {
    onprogress: (progress) => heard.push(progress),
  });
  const came = wire.slice();

  const stop = new AbortController();
  const endless = { prompt: "The", max_tokens: 8000, max_time_s: 600, sampling: { ignore_eos: true } };
  const givenUp = await call(endless, {
    signal: stop.signal,
    onprogress: ({ progress, message }) => message && progress > 5 && stop.abort("enough"),
  }).catch((error) => String(error));

  const next = await call({ prompt: "Once upon a time", max_tokens: 2 }, {});
  console.log(JSON.stringify({ came, heard, whole, givenUp, next }));
  await client.close();
}
