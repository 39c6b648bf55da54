{{/*
The engine's own container: image, accelerator, environment. What it runs is in _engine_process.tpl.
*/}}

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
