{{/*
The store: where models lie, and who fetches them.
*/}}

{{/* "job" where all share one volume, "pod" where each engine pod has (or each node has) its own. */}}
{{- define "freehold.store.puller" -}}
{{- has .Values.store.volume.kind (list "perNode" "ephemeral") | ternary "pod" "job" -}}
{{- end -}}

{{/* The volume `store` of a pod. */}}
{{- define "freehold.store.volume" -}}
{{- $volume := .Values.store.volume -}}
- name: store
  {{- if has $volume.kind (list "pvc" "existingClaim") }}
  persistentVolumeClaim:
    claimName: {{ include "freehold.store.name" . }}
  {{- else if eq $volume.kind "ephemeral" }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $volume.storageClass }}
        storageClassName: {{ . | quote }}
        {{- end }}
        resources:
          requests:
            storage: {{ $volume.size }}
  {{- else }}
  hostPath:
    path: {{ $volume.path | quote }}
    type: Directory
  {{- end }}
{{- end -}}

{{/* What `freehold pull` is told by the environment. */}}
{{- define "freehold.pull.env" -}}
- name: FREEHOLD_HOME
  value: /var/lib/freehold
- name: HOME
  value: /tmp
- name: TMPDIR
  value: /tmp
{{- with .Values.hub.endpoint }}
- name: HF_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- if and .Values.airGapped (not .Values.hub.endpoint) }}
- name: FREEHOLD_OFFLINE
  value: "1"
{{- end }}
{{- if .Values.hfToken.existingSecret.name }}
{{ include "freehold.secretEnv" (dict "env" "HF_TOKEN" "secret" .Values.hfToken.existingSecret) }}
{{- end }}
{{- with include "freehold.policy.env" . }}{{ . | nindent 0 }}{{ end }}
{{- with .Values.hub.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* One artifact's pull as a container: (dict "root" $ "name" name "artifact" {source, lock}). In the image with torch,
which the golden probe's reference and the import of a GGUF file need. */}}
{{- define "freehold.pull.container" -}}
- name: {{ printf "pull-%s" (include "freehold.slug" .name) }}
  {{- include "freehold.container.image" (dict "root" .root "of" "jobs") | nindent 2 }}
  command:
    - freehold
    - pull
    - {{ .artifact.source | quote }}
    - --name
    - {{ .name | quote }}
    {{- if .artifact.lock }}
    - --lock-file
    - /etc/freehold/lock/{{ include "freehold.slug" .name }}.lock
    - --locked
    {{- else }}
    - --lock-file
    - /tmp/{{ include "freehold.slug" .name }}.lock
    {{- end }}
    {{- range .artifact.extraArgs }}
    - {{ . | quote }}
    {{- end }}
  env:
    {{- include "freehold.pull.env" .root | nindent 4 }}
  securityContext:
    {{- include "freehold.containerSecurity" .root | nindent 4 }}
  resources:
    {{- toYaml (.artifact.resources | default .root.Values.store.pull.resources) | nindent 4 }}
  volumeMounts:
    - name: store
      mountPath: /var/lib/freehold
    - name: tmp
      mountPath: /tmp
    {{- with include "freehold.policy.mount" .root }}{{ . | nindent 4 }}{{ end }}
    {{- if .artifact.lock }}
    - name: locks
      mountPath: /etc/freehold/lock
      readOnly: true
    {{- end }}
{{- end -}}

{{/* The template of a pull Job: (dict "root" $ "name" name "artifact" {…}). */}}
{{- define "freehold.pull.pod" -}}
metadata:
  labels:
    {{- include "freehold.podLabels" (dict "root" .root "component" "pull") | nindent 4 }}
spec:
  {{- include "freehold.podSpec" (dict "root" .root) | nindent 2 }}
  restartPolicy: OnFailure
  {{- include "freehold.placement" (dict "settings" .root.Values.store.pull) | nindent 2 }}
  containers:
    {{- include "freehold.pull.container" . | nindent 4 }}
  volumes:
    {{- include "freehold.store.volume" .root | nindent 4 }}
    - name: tmp
      emptyDir:
        sizeLimit: {{ .root.Values.store.pull.scratch }}
    {{- with include "freehold.policy.volume" .root }}{{ . | nindent 4 }}{{ end }}
    {{- if .artifact.lock }}
    - name: locks
      configMap:
        name: {{ include "freehold.object" (dict "root" .root "parts" (list "locks")) }}
    {{- end }}
{{- end -}}
