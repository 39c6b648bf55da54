// A request as curl and as Python, with nothing secret in it.
window.playgroundCode = (() => {
  const LONGEST = 400; // of a file inside a message: a screenful, and the rest is the file itself

  const shortened = (value) => {
    if (typeof value === "string" && value.length > LONGEST && !/\s/.test(value)) return `${value.slice(0, 60)}…`;
    if (Array.isArray(value)) return value.map(shortened);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shortened(v)]));
    return value;
  };

  const isShortened = (body) => JSON.stringify(body) !== JSON.stringify(shortened(body));

  const python = (value, depth = 1) => {
    const pad = "    ".repeat(depth), end = "    ".repeat(depth - 1);
    if (value === null || value === undefined) return "None";
    if (value === true) return "True";
    if (value === false) return "False";
    if (typeof value === "number") return String(value);
    if (typeof value === "string") return JSON.stringify(value);
    const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
    const items = Array.isArray(value)
      ? value.map((each) => python(each, depth + 1))
      : Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each, depth + 1)}`);
    return items.length ? `${open}\n${items.map((each) => `${pad}${each},\n`).join("")}${end}${close}` : open + close;
  };

  const asCurl = (address, body) => {
    const json = JSON.stringify(shortened(body), null, 2).replaceAll("'", "'\\''");
    const head = `curl -sN ${address} \\\n  -H "authorization: Bearer $FREEHOLD_API_KEY" \\\n  -H 'content-type: application/json'`;
    return `${isShortened(body) ? "# The file's bytes are left out: put its base64 where … stands.\n" : ""}${head} \\\n  -d '${json}'`;
  };

  const asPython = (address, body) => {
    const { stream, stream_options, ...rest } = shortened(body);
    const fields = Object.entries(rest).map(([name, value]) => `    ${name}=${python(value, 2)},\n`).join("");
    return `${isShortened(body) ? "# The file's bytes are left out: put its base64 where … stands.\n" : ""}import os

from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(address.replace(/\/chat\/completions$/, ""))}, api_key=os.environ["FREEHOLD_API_KEY"])
stream = client.chat.completions.create(
${fields}    stream=True,
)
for event in stream:
    for choice in event.choices:
        print(choice.delta.content or "", end="", flush=True)
`;
  };

  return { asCurl, asPython };
})();
