// One chat as it streams in: text, reasoning, calls of tools, usage, and when the first token came.
window.playgroundStream = (() => {
  const refusal = async (answer) => {
    try {
      return (await answer.json()).error.message;
    } catch {
      return `The gateway answered ${answer.status}.`;
    }
  };

  const merge = (message, delta) => {
    if (delta.content) message.content += delta.content;
    message.reasoning += delta.reasoning_content ?? delta.reasoning ?? "";
    for (const call of delta.tool_calls ?? []) {
      const known = (message.tool_calls[call.index ?? 0] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
      known.id ||= call.id ?? "";
      known.function.name += call.function?.name ?? "";
      known.function.arguments += call.function?.arguments ?? "";
    }
  };

  const events = async function* (answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const lines = rest.split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) yield line.slice(5).trim();
      }
    }
  };

  // Returns {message, usage, firstS, wholeS}; `tell(message)` is called as it grows. Throws Error with what to show.
  const chat = async (address, body, signal, tell) => {
    const began = performance.now();
    const headers = { "content-type": "application/json" };
    const answer = await window.freehold.ask(address, { method: "POST", headers, body: JSON.stringify(body), signal });
    if (!answer.ok) throw new Error(await refusal(answer));
    const message = { content: "", reasoning: "", tool_calls: [] };
    const found = { message, usage: null, firstS: null, wholeS: null, isWhole: false };
    for await (const data of events(answer)) {
      if (data === "[DONE]") {
        found.isWhole = true;
        break;
      }
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message ?? "The engine was lost in the middle of its answer.");
      found.usage = event.usage ?? found.usage;
      for (const choice of event.choices ?? []) merge(message, choice.delta ?? {});
      if (found.firstS === null && (message.content || message.reasoning || message.tool_calls.length)) {
        found.firstS = (performance.now() - began) / 1000;
      }
      tell(message);
    }
    found.wholeS = (performance.now() - began) / 1000;
    if (!found.isWhole) throw new Error("The answer broke off: its engine was lost.");
    return found;
  };

  return { chat };
})();
