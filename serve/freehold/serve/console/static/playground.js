// The playground: columns of conversations, each with its model; what is shared is the prompt, and after a vote the past.
(() => {
  const form = document.getElementById("ask");
  if (!form) return;
  const at = (id) => document.getElementById(id);
  const made = (tag, text = "", className = "") => Object.assign(document.createElement(tag), { textContent: text, className });
  const LETTERS = ["A", "B", "C", "D"];
  let sides = []; // {model, label, past, panel, body, message}
  let isBlind = false;
  let stopper = null;

  const chosen = () => [...form.querySelectorAll("select.model")].map((select) => select.value).filter(Boolean);
  const optionOf = (name) => [...at("model-1").options].find((option) => option.value === name);
  const parsed = (id, what) => {
    const text = at(id).value.trim();
    if (!text) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Error(`${what} is no JSON: ${error.message}`);
    }
  };

  const number = (id) => (at(id).value === "" ? undefined : Number(at(id).value));
  const options = () => {
    const [tools, schema] = [parsed("tools", "Tools"), parsed("schema", "The schema")];
    if (tools !== undefined && !Array.isArray(tools)) throw new Error("Tools must be a JSON list.");
    const format = schema && { type: "json_schema", json_schema: { name: "answer", schema, strict: true } };
    const all = { tools, response_format: format, temperature: number("temperature"), max_tokens: number("max-tokens"), seed: number("seed") };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  };

  const encoded = (file) =>
    new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(new Error(`${file.name} cannot be read.`));
      reader.readAsDataURL(file);
    });

  const part = async (file) => {
    const url = await encoded(file);
    if (file.type.startsWith("image/")) return { type: "image_url", image_url: { url } };
    const format = file.type === "audio/mpeg" ? "mp3" : "wav";
    return { type: "input_audio", input_audio: { data: url.slice(url.indexOf(",") + 1), format } };
  };

  const refuseFiles = (files) => {
    for (const name of chosen()) {
      const takes = optionOf(name).dataset.takes;
      for (const file of takes === "?" ? [] : files) {
        const kind = file.type.startsWith("image/") ? "image" : "audio";
        if (!takes.split(" ").includes(kind)) throw new Error(`${name} takes no ${kind}: it takes ${takes}.`);
      }
    }
  };

  const question = async () => {
    const files = [...at("files").files];
    refuseFiles(files);
    const text = at("prompt").value;
    if (!files.length) return { role: "user", content: text };
    return { role: "user", content: [{ type: "text", text }, ...(await Promise.all(files.map(part)))] };
  };

  const shuffled = (list) => {
    const left = [...list];
    return list.map(() => left.splice(crypto.getRandomValues(new Uint32Array(1))[0] % left.length, 1)[0]);
  };

  const begin = () => {
    const names = chosen();
    if (new Set(names).size < names.length) throw new Error("Two sides have the same model: take another, or none.");
    isBlind = at("blind").checked && names.length > 1;
    at("sides").replaceChildren();
    sides = (isBlind ? shuffled(names) : names).map((model, index) => {
      const label = isBlind ? `Answer ${LETTERS[index]}` : model;
      const panel = made("section", "", "side");
      panel.append(made("h2", label), made("div", "", "talk"), made("p", "", "hint"));
      panel.setAttribute("aria-label", label);
      at("sides").append(panel);
      const system = at("system").value.trim();
      return { model, label, panel, past: system ? [{ role: "system", content: system }] : [], message: null };
    });
  };

  const shown = (place, message) => {
    place.querySelector(".text").textContent = message.content;
    const thought = place.querySelector("details");
    thought.hidden = !message.reasoning;
    thought.querySelector("p").textContent = message.reasoning;
    place.querySelector("pre").hidden = !message.tool_calls.length;
    place.querySelector("pre").textContent = message.tool_calls
      .map((call) => `${call.function.name}(${call.function.arguments})`)
      .join("\n");
  };

  const bubble = (side, role, text = "") => {
    const place = made("div", "", `turn ${role}`);
    place.append(made("strong", role === "user" ? "You" : side.label), made("div", text, "text"));
    if (role === "assistant") {
      const thought = made("details");
      thought.append(made("summary", "Reasoning"), made("p"));
      thought.hidden = true;
      const calls = made("pre");
      calls.hidden = true;
      calls.tabIndex = 0;
      place.append(thought, calls);
    }
    side.panel.querySelector(".talk").append(place);
    return place;
  };

  const kept = (message) => {
    const calls = message.tool_calls.length ? { tool_calls: message.tool_calls } : {};
    return { role: "assistant", content: message.content, ...calls };
  };

  const measured = (found) => {
    const tokens = found.usage?.completion_tokens;
    const rate = tokens > 1 && found.wholeS > found.firstS ? ((tokens - 1) / (found.wholeS - found.firstS)).toFixed(1) : null;
    const first = found.firstS === null ? "no token" : `first token after ${found.firstS.toFixed(2)} s`;
    return [first, tokens && `${tokens} tokens`, rate && `${rate} tokens/s`].filter(Boolean).join(" · ");
  };

  const ask = async (side, extra) => {
    const body = { model: side.model, messages: side.past, ...extra, stream: true, stream_options: { include_usage: true } };
    side.body = body;
    side.message = null;
    const place = bubble(side, "assistant");
    const note = side.panel.querySelector(":scope > .hint");
    note.textContent = "…";
    try {
      const found = await window.playgroundStream.chat(form.dataset.address, body, stopper.signal, (message) => shown(place, message));
      side.message = kept(found.message);
      side.past = [...side.past, side.message];
      note.textContent = measured(found);
      if (found.message.tool_calls.length) offerResults(side, found.message.tool_calls);
    } catch (error) {
      note.textContent = "";
      place.append(made("p", error.name === "AbortError" ? "Stopped." : error.message, "notice bad"));
    }
  };

  // Tools run nowhere: whoever asks writes what they would have said.
  const offerResults = (side, calls) => {
    const results = made("form", "", "results");
    calls.forEach((call, index) => {
      const id = `result-${sides.indexOf(side)}-${side.past.length}-${index}`;
      const label = made("label", `What ${call.function.name} returns`);
      label.htmlFor = id;
      results.append(label, Object.assign(made("textarea"), { id, rows: 2 }));
    });
    results.append(Object.assign(made("button", "Send results"), { type: "submit" }));
    results.addEventListener("submit", (event) => {
      event.preventDefault();
      const texts = [...results.querySelectorAll("textarea")].map((area) => area.value);
      side.past = [...side.past, ...calls.map((call, index) => ({ role: "tool", tool_call_id: call.id, content: texts[index] }))];
      results.remove();
      run([side]);
    });
    side.panel.querySelector(".talk").append(results);
  };

  const tellCode = () => {
    at("code").hidden = isBlind;
    const address = new URL(form.dataset.address, window.location.href).href;
    at("curl").textContent = window.playgroundCode.asCurl(address, sides[0].body);
    at("python").textContent = window.playgroundCode.asPython(address, sides[0].body);
  };

  const isShared = () => new Set(sides.map((side) => JSON.stringify(side.body.messages))).size === 1;
  const offerVote = () => {
    const place = at("vote");
    place.replaceChildren();
    place.hidden = sides.length < 2 || !sides.every((side) => side.message) || !isShared();
    if (place.hidden) return;
    place.append(made("strong", "Which is best?"));
    const offers = [...sides.map((side) => [side.label, "best", side]), ["Tie", "tie", null], ["None is good", "none", null]];
    for (const [label, verdict, side] of offers) {
      const button = Object.assign(made("button", label), { type: "button" });
      button.addEventListener("click", () => vote(verdict, side));
      place.append(button);
    }
  };

  const vote = async (verdict, best) => {
    const { model, messages, tools, stream, stream_options, ...request } = sides[0].body;
    const choices = sides.map((side) => ({ model: side.model, message: side.message }));
    const body = { messages, tools: tools ?? [], request, choices, verdict, best: best?.model ?? null, blind: isBlind };
    const headers = { "content-type": "application/json" };
    const answer = await window.freehold.ask("/admin/v1/votes", { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) return window.freehold.notice((await answer.json()).error.message);
    at("vote").hidden = true;
    for (const side of sides) {
      side.panel.querySelector("h2").textContent = `${side.label}${isBlind ? `: ${side.model}` : ""}${side === best ? " (best)" : ""}`;
      if (best) side.past = best.past;
    }
    at("told").textContent = best ? `Kept. The conversation goes on from the answer of ${best.model}.` : "Kept.";
    isBlind = false;
    tellCode();
  };

  const run = async (these) => {
    stopper = new AbortController();
    at("send").disabled = true;
    at("stop").disabled = false;
    at("vote").hidden = true;
    at("told").textContent = "";
    const extra = options();
    await Promise.all(these.map((side) => ask(side, extra)));
    at("send").disabled = false;
    at("stop").disabled = true;
    tellCode();
    offerVote();
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    document.getElementById("notices").replaceChildren();
    try {
      options();
      const asked = await question();
      if (!sides.length) begin();
      for (const side of sides) {
        bubble(side, "user", at("prompt").value);
        side.past = [...side.past, asked];
      }
      await run(sides);
      at("prompt").value = "";
      at("files").value = "";
    } catch (error) {
      window.freehold.notice(error.message);
    }
  });

  const forget = () => {
    stopper?.abort();
    sides = [];
    at("sides").replaceChildren();
    at("vote").hidden = at("code").hidden = true;
    at("told").textContent = "";
  };

  const tellTakes = () => {
    const told = chosen().map((name) => [name, optionOf(name).dataset.takes]);
    at("takes").textContent = told.map(([name, takes]) => `${name} takes ${takes === "?" ? "what nobody told" : takes}`).join("; ");
    const takesNone = told.some(([, takes]) => takes !== "?" && !/image|audio/.test(takes));
    at("files").disabled = takesNone;
  };

  at("stop").addEventListener("click", () => stopper?.abort());
  at("again").addEventListener("click", forget);
  at("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !at("send").disabled) form.requestSubmit();
  });
  form.querySelectorAll("select.model").forEach((select) => select.addEventListener("change", () => (forget(), tellTakes())));
  for (const id of ["blind", "system"]) at(id).addEventListener("change", forget);
  tellTakes();
})();
