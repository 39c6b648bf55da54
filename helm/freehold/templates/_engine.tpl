{{/*
An engine's pod, the same whether a Deployment, a LeaderWorkerSet or a RayService runs it. Every helper takes
(dict "root" $ "model" name "served" ServedModel "settings" freehold.engine.settings "role" single|leader|worker).
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
{{- $read := list (omit .served "cost" "replaces") $lock -}}
{{- with .root.Values.policy }}{{ $read = append $read . }}{{ end -}}
{{- $read | toJson | sha256sum -}}
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
{{- with include "freehold.policy.volume" .root }}{{ . | nindent 0 }}{{ end }}
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
