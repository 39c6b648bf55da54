{{/*
An engine's pod, the same whether a Deployment, a LeaderWorkerSet or a RayService runs it. Every helper takes
(dict "root" $ "model" name "served" ServedModel "settings" freehold.engine.settings "role" single|leader|worker|ray).
*/}}

{{- define "freehold.engine.pod" -}}
metadata:
  labels:
    {{- include "freehold.podLabels" (dict "root" .root "component" "engine" "model" .model) | nindent 4 }}
    freehold.dev/role: {{ eq .role "worker" | ternary "worker" "leader" }}
    {{- with .settings.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    freehold.dev/model-name: {{ .model | quote }}
    checksum/model: {{ include "freehold.engine.checksum" . }}
    {{- with .settings.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "freehold.engine.podSpec" . | nindent 2 }}
{{- end -}}

{{/* Over what this model's pods read: neither another model's change nor a price restarts this one. */}}
{{- define "freehold.engine.checksum" -}}
{{- $lock := dict -}}
{{- $artifacts := get (include "freehold.effective" .root | fromJson) "artifacts" -}}
{{- range include "freehold.model.artifacts" .served | fromJsonArray -}}
{{- $_ := set $lock . (get $artifacts .) -}}
{{- end -}}
{{- list (omit .served "cost" "replaces") $lock | toJson | sha256sum -}}
{{- end -}}

{{- define "freehold.engine.podSpec" -}}
{{- $groups := .settings.profile.supplementalGroups -}}
{{- include "freehold.podSpec" (dict "root" .root "groups" $groups) }}
{{- include "freehold.placement" (dict "settings" .settings) }}
# Longer than preStop and the longest stream together; what is still running then is cut off.
terminationGracePeriodSeconds: {{ add .settings.preStopSeconds .settings.drainSeconds 30 }}
{{- if eq .settings.accelerator.profile "dra" }}
resourceClaims:
  - name: accelerator
    resourceClaimTemplateName: {{ .settings.accelerator.claimTemplate | default (include "freehold.engine.name" .) }}
{{- end }}
initContainers:
  {{- if eq (include "freehold.store.puller" .root) "pod" }}
  {{- include "freehold.engine.pulls" . | nindent 2 }}
  {{- end }}
  {{- include "freehold.engine.prepare" . | nindent 2 }}
  {{- if ne .role "worker" }}
  {{- include "freehold.engine.attendant" . | nindent 2 }}
  {{- end }}
containers:
  {{- include "freehold.engine.container" . | nindent 2 }}
volumes:
  {{- include "freehold.engine.volumes" . | nindent 2 }}
{{- end -}}

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

{{/* The model's own image, its profile's, images.ray for a RayService, else images.engine. */}}
{{- define "freehold.engine.image" -}}
{{- $general := eq .settings.multiNode.kind "rayService" | ternary .root.Values.images.ray .root.Values.images.engine -}}
{{- $image := deepCopy $general -}}
{{- if and .settings.profile.image (ne .settings.multiNode.kind "rayService") -}}
{{- include "freehold.lay" (dict "over" $image "with" .settings.profile.image) -}}
{{- end -}}
{{- with .settings.image -}}
{{- include "freehold.lay" (dict "over" $image "with" .) -}}
{{- end -}}
{{- toJson $image -}}
{{- end -}}

{{- define "freehold.engine.container" -}}
- name: engine
  {{- $image := include "freehold.engine.image" . | fromJson }}
  {{- include "freehold.container.image" (dict "root" .root "of" "engine" "image" $image "name" (printf "engines.%s.image" .model)) | nindent 2 }}
  {{- include "freehold.engine.command" . | nindent 2 }}
  {{- include "freehold.engine.probes" . | nindent 2 }}
  lifecycle:
    preStop:
      exec:
        # Services forget this pod before it stops taking requests.
        command: ["sh", "-c", "sleep {{ .settings.preStopSeconds }}"]
  env:
    {{- include "freehold.engine.env" . | nindent 4 }}
  securityContext:
    {{- include "freehold.containerSecurity" .root | nindent 4 }}
  resources:
    {{- include "freehold.engine.resources" . | nindent 4 }}
  volumeMounts:
    - name: store
      mountPath: /var/lib/freehold
      readOnly: true
    - name: run
      mountPath: /run/freehold
      readOnly: true
    - name: cache
      mountPath: /cache
    - name: tmp
      mountPath: /tmp
    - name: shm
      mountPath: /dev/shm
    {{- if eq .settings.multiNode.kind "rayService" }}
    - name: ray
      mountPath: /etc/freehold/ray
      readOnly: true
    {{- end }}
    {{- with .settings.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Requests, limits, and the accelerator by its resource name or claim. */}}
{{- define "freehold.engine.resources" -}}
{{- $resources := deepCopy .settings.resources -}}
{{- $accelerator := .settings.accelerator -}}
{{- $name := $accelerator.resource | default .settings.profile.resource -}}
{{- if eq $accelerator.profile "mig" -}}
{{- $name = $accelerator.resource | default (printf "nvidia.com/mig-%s" (required (printf "\n\nengines.%s.accelerator.profileName is empty: which slice? For example 3g.40gb.\n" .model) $accelerator.profileName)) -}}
{{- end -}}
{{- if eq $accelerator.profile "dra" -}}
{{- $_ := set $resources "claims" (list (dict "name" "accelerator")) -}}
{{- else if $name -}}
{{- $count := $accelerator.count | int | toString -}}
{{- $_ := set $resources "limits" (merge (dict $name $count) ($resources.limits | default dict)) -}}
{{- $_ := set $resources "requests" (merge (dict $name $count) ($resources.requests | default dict)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Folders that a read-only image has not, and a user that it does not know. All else comes from `prepare`. */}}
{{- define "freehold.engine.env" -}}
{{- $variables := dict
  "HOME" "/cache" "USER" "freehold" "LOGNAME" "freehold" "TMPDIR" "/tmp"
  "XDG_CACHE_HOME" "/cache/xdg" "XDG_CONFIG_HOME" "/cache/config" "HF_HOME" "/cache/huggingface"
  "VLLM_CACHE_ROOT" "/cache/vllm" "VLLM_CONFIG_ROOT" "/cache/config/vllm"
  "TRITON_CACHE_DIR" "/cache/triton" "TORCHINDUCTOR_CACHE_DIR" "/cache/torchinductor"
  "FLASHINFER_WORKSPACE_BASE" "/cache" "NUMBA_CACHE_DIR" "/cache/numba" "CUDA_CACHE_PATH" "/cache/cuda" -}}
{{- if eq .settings.multiNode.kind "rayService" -}}
{{- $_ := set $variables "PYTHONPATH" "/etc/freehold/ray" -}}
{{- $_ := set $variables "FREEHOLD_SHUTDOWN_TIMEOUT_S" (.settings.drainSeconds | int | toString) -}}
{{- end -}}
{{- range $name, $value := .settings.profile.env -}}
{{- $_ := set $variables $name ($value | toString) -}}
{{- end -}}
{{- range $name, $value := $variables }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .settings.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whether the engine works without an accelerator: its profile names no resource, slice or claim. */}}
{{- define "freehold.engine.isCpu" -}}
{{- $accelerator := .settings.accelerator -}}
{{- if not (or $accelerator.resource .settings.profile.resource (has $accelerator.profile (list "mig" "dra"))) -}}
true
{{- end -}}
{{- end -}}

{{- define "freehold.engine.volumes" -}}
{{ include "freehold.store.volume" .root }}
- name: deployment
  configMap:
    name: {{ include "freehold.object" (dict "root" .root "parts" (list "deployment")) }}
- name: run
  emptyDir: {sizeLimit: 16Mi}
- name: cache
  emptyDir: {sizeLimit: {{ .settings.cacheSize }}}
- name: tmp
  emptyDir: {sizeLimit: {{ .settings.tmpSize }}}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .settings.sharedMemory }}}
{{- if eq (include "freehold.store.puller" .root) "pod" }}
- name: locks
  configMap:
    name: {{ include "freehold.object" (dict "root" .root "parts" (list "locks")) }}
    optional: true
{{- end }}
{{- if eq .settings.multiNode.kind "rayService" }}
- name: ray
  configMap:
    name: {{ include "freehold.engine.name" . }}
{{- end }}
{{- with .settings.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
