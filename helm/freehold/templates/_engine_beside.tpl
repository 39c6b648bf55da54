{{/*
What runs beside an engine, in the toolkit's image: pulls where each pod has its own store, prepare, the attendant.
*/}}

{{/* Each pod (or node) has a store of its own: fetch here. The store's lock lets one of several do the work. */}}
{{- define "freehold.engine.pulls" -}}
{{- $artifacts := get (include "freehold.effective" .root | fromJson) "artifacts" -}}
{{- range include "freehold.model.artifacts" .served | fromJsonArray | uniq -}}
{{- $artifact := get $artifacts . -}}
{{- if not $artifact.existing }}
{{ include "freehold.pull.container" (dict "root" $.root "name" . "artifact" $artifact) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "freehold.engine.prepare" -}}
# Waits until the model and its adapters are in the store, verifies them and writes vLLM's config file.
- name: prepare
  {{- include "freehold.container.image" (dict "root" .root "of" "toolkit") | nindent 2 }}
  command:
    - freehold
    - engine
    - prepare
    - {{ .model | quote }}
    - --config
    - /etc/freehold/deployment/freehold.yaml
    - --engine-version
    - {{ include "freehold.engine.version" . | quote }}
    - --to
    - /run/freehold/engine.yaml
    - --wait-s
    - {{ mul .settings.waitMinutes 60 | quote }}
    {{- if include "freehold.engine.isCpu" . }}
    - --cpu
    {{- end }}
    {{- if not .settings.prepare.verify }}
    - --no-verify
    {{- end }}
  env:
    {{- include "freehold.engine.toolkitEnv" . | nindent 4 }}
  securityContext:
    {{- include "freehold.containerSecurity" .root | nindent 4 }}
  resources:
    {{- toYaml .settings.prepare.resources | nindent 4 }}
  volumeMounts:
    {{- include "freehold.engine.toolkitMounts" . | nindent 4 }}
    # It takes the store's locks.
    - name: store
      mountPath: /var/lib/freehold
    {{- with .settings.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "freehold.engine.attendant" -}}
# Proves the engine by the golden probe, loads adapters, and makes the pod ready: a Service carries proven engines only.
- name: attendant
  restartPolicy: Always
  {{- include "freehold.container.image" (dict "root" .root "of" "toolkit") | nindent 2 }}
  command:
    - freehold
    - engine
    - attend
    - {{ .model | quote }}
    - --config
    - /etc/freehold/deployment/freehold.yaml
    - --engine
    - http://127.0.0.1:8000
    - --listen
    - 0.0.0.0:8001
    - --engine-version
    - {{ include "freehold.engine.version" . | quote }}
  ports:
    - name: attendant
      containerPort: 8001
  env:
    {{- include "freehold.engine.toolkitEnv" . | nindent 4 }}
  {{- /* A head that is not ready gets no Serve application, and so no engine; the gateway asks /ready by itself. */}}
  {{- if ne .settings.multiNode.kind "rayService" }}
  readinessProbe:
    httpGet: {path: /ready, port: attendant}
    periodSeconds: 5
    timeoutSeconds: 4
    failureThreshold: 2
  {{- end }}
  livenessProbe:
    httpGet: {path: /health, port: attendant}
    periodSeconds: 20
    timeoutSeconds: 10
    failureThreshold: 6
  securityContext:
    {{- include "freehold.containerSecurity" .root | nindent 4 }}
  resources:
    {{- toYaml .settings.attendant.resources | nindent 4 }}
  volumeMounts:
    {{- include "freehold.engine.toolkitMounts" . | nindent 4 }}
    - name: store
      mountPath: /var/lib/freehold
{{- end -}}

{{- define "freehold.engine.toolkitEnv" -}}
- name: FREEHOLD_HOME
  value: /var/lib/freehold
- name: FREEHOLD_OFFLINE
  value: "1"
- name: HOME
  value: /tmp
{{- with include "freehold.policy.env" .root }}{{ . | nindent 0 }}{{ end }}
{{- /* Adapters that were loaded at runtime are in the database; SQLite's file is the gateway's alone. */ -}}
{{- if not (include "freehold.isSqlite" .root) }}
{{- include "freehold.databaseEnv" .root }}
{{- end }}
{{- end -}}

{{- define "freehold.engine.toolkitMounts" -}}
- name: deployment
  mountPath: /etc/freehold/deployment
  readOnly: true
- name: run
  mountPath: /run/freehold
- name: tmp
  mountPath: /tmp
{{- with include "freehold.policy.mount" .root }}{{ . | nindent 0 }}{{ end }}
{{- end -}}

{{/* vLLM's version: the image's tag, unless the settings say it (an image by digest has no tag to read). */}}
{{- define "freehold.engine.version" -}}
{{- $image := include "freehold.engine.image" . | fromJson -}}
{{- $found := .settings.engineVersion | default (regexFind "[0-9]+\\.[0-9]+\\.[0-9]+([.a-z0-9]*)" ($image.tag | default "" | toString)) -}}
{{- if not $found -}}
{{- fail (printf "\n\nWhich vLLM is in the image of model %q? Its tag %q does not say.\nSet engines.%s.engineVersion, for example \"0.32.0\".\n" .model ($image.tag | default "" | toString) .model) -}}
{{- end -}}
{{- $found -}}
{{- end -}}
