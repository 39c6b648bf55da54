{{/*
What runs in an engine's container, and how the kubelet sees whether it lives.
*/}}

{{- define "freehold.engine.command" -}}
{{- if eq .settings.multiNode.kind "rayService" -}}
# KubeRay starts Ray here; the Serve application starts vLLM (files/ray/freehold_engine.py).
ports:
  - name: http
    containerPort: 8000
  - name: gcs
    containerPort: 6379
  - name: dashboard
    containerPort: 8265
  - name: client
    containerPort: 10001
  - name: serve
    containerPort: 8002
{{- else -}}
command:
  - sh
  - -c
  # Variables first, which `prepare` wrote beside the config.
  - . /run/freehold/engine.env; exec vllm serve --config /run/freehold/engine.yaml "$@"
  - vllm
  # On SIGTERM running requests end first, for at most so many seconds.
  - --shutdown-timeout
  - {{ .settings.drainSeconds | int | quote }}
  {{- if ne .role "single" }}
  - --nnodes
  - {{ .settings.multiNode.size | int | quote }}
  - --node-rank
  - $(LWS_WORKER_INDEX)
  - --master-addr
  - $(LWS_LEADER_ADDRESS)
  - --master-port
  - "29501"
  {{- if eq .role "worker" }}
  - --headless
  {{- end }}
  {{- end }}
{{- if ne .role "worker" }}
ports:
  - name: http
    containerPort: 8000
{{- end }}
{{- end }}
{{- end -}}

{{/* Loading may take an hour: nothing but the startup probe judges until it is over. */}}
{{- define "freehold.engine.probes" -}}
{{- $check := dict "httpGet" (dict "path" "/health" "port" "http") -}}
{{- if eq .settings.multiNode.kind "rayService" -}}
{{- /* Ray's own health: KubeRay submits the Serve application, which starts vLLM, to a head that is ready. Serve asks
vLLM, and the gateway asks the attendant before it sends anything. */ -}}
{{- $code := "import urllib.request as r; assert b'success' in r.urlopen('http://127.0.0.1:52365/api/local_raylet_healthz', timeout=8).read()" -}}
{{- $check = dict "exec" (dict "command" (list "python3" "-c" $code)) -}}
{{- else if eq .role "worker" -}}
{{- /* A worker has no endpoint of its own: it is as well as the engine that it is a part of. */ -}}
{{- $code := "import os, urllib.request as r; r.urlopen('http://' + os.environ['LWS_LEADER_ADDRESS'] + ':8000/health', timeout=8)" -}}
{{- $check = dict "exec" (dict "command" (list "python3" "-c" $code)) -}}
{{- end -}}
startupProbe:
  {{- toYaml $check | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: {{ mul .settings.startupMinutes 6 }}
readinessProbe:
  {{- toYaml $check | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 3
livenessProbe:
  {{- toYaml $check | nindent 2 }}
  periodSeconds: 30
  timeoutSeconds: 20
  failureThreshold: 10
{{- end -}}
