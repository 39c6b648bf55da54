{{/*
Pod Security `restricted`, for everything that this chart starts.
*/}}

{{/* (dict "root" $ "groups" (list 44)): the pod's securityContext. OpenShift chooses user and groups by itself. */}}
{{- define "freehold.podSecurity" -}}
{{- $own := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if not .root.Values.podSecurity.openshift -}}
{{- $_ := set $own "runAsUser" (int .root.Values.podSecurity.runAsUser) -}}
{{- $_ := set $own "runAsGroup" (int .root.Values.podSecurity.runAsGroup) -}}
{{- $_ := set $own "fsGroup" (int .root.Values.podSecurity.fsGroup) -}}
{{- /* A volume of terabytes is not walked through at every start. */ -}}
{{- $_ := set $own "fsGroupChangePolicy" "OnRootMismatch" -}}
{{- with .groups }}{{ $_ := set $own "supplementalGroups" . }}{{ end -}}
{{- end -}}
{{- toYaml $own -}}
{{- end -}}

{{- define "freehold.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What every pod spec begins with: (dict "root" $ "groups" list). */}}
{{- define "freehold.podSpec" -}}
serviceAccountName: {{ include "freehold.serviceAccount.name" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "freehold.pullSecrets" .root }}
securityContext:
  {{- include "freehold.podSecurity" . | nindent 2 }}
{{- end -}}

{{/* Where a pod may run: (dict "settings" {nodeSelector, tolerations, …}). Empty keys are left out. */}}
{{- define "freehold.placement" -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" -}}
{{- with get $.settings $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $key := list "priorityClassName" "runtimeClassName" "schedulerName" -}}
{{- with get $.settings $key }}
{{ $key }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* An environment variable from a secret that exists: (dict "env" "HF_TOKEN" "secret" {name, key}). */}}
{{- define "freehold.secretEnv" -}}
- name: {{ .env }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret.name | quote }}
      key: {{ .secret.key | quote }}
{{- end -}}
