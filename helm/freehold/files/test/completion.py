"""One chat completion through the gateway's Service: a text, its usage, and the fingerprint of what answered."""

import json
import os
import urllib.error
import urllib.request

url = os.environ["BASE_URL"] + "/v1/chat/completions"
model = os.environ["MODEL"]
body = {"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
headers = {"Content-Type": "application/json"}
if os.environ.get("API_KEY"):
    headers["Authorization"] = "Bearer " + os.environ["API_KEY"]
try:
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=float(os.environ["TIMEOUT_S"])) as response:
        answer = json.load(response)
except urllib.error.HTTPError as error:
    raise SystemExit(f"{url} answered {error.code} for model {model}: {error.read().decode()[:2000]}") from None
except (urllib.error.URLError, TimeoutError) as error:
    raise SystemExit(f"{url} cannot be reached: {error}") from None
text = answer["choices"][0]["message"]["content"] or answer["choices"][0]["message"].get("reasoning_content")
tokens = answer["usage"]["completion_tokens"]
if not text or not tokens:
    raise SystemExit(f"{model} answered nothing: {json.dumps(answer)[:2000]}")
print(f"{model} ({answer.get('system_fingerprint')}) answered {tokens} tokens: {text}")
