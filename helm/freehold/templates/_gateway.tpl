{{/*
The gateway's view of the engines.
*/}}

{{/* Where each model's engines are, and how long a request may wait while there is none. */}}
{{- define "freehold.enginesFile" -}}
{{- $engines := dict -}}
{{- range $model, $served := include "freehold.models" . | fromJson -}}
{{- $settings := include "freehold.engine.settings" (dict "root" $ "model" $model) | fromJson -}}
{{- $sleeps := and (eq $settings.autoscaling.kind "keda") (eq 0 (int $settings.autoscaling.minReplicas)) -}}
{{- $name := include "freehold.engine.name" (dict "root" $ "model" $model) -}}
{{- $_ := set $engines $model (dict
  "service" (printf "%s-replicas.%s.svc" $name $.Release.Namespace)
  "port" 8000 "attendantPort" 8001
  "holdS" ($sleeps | ternary (int $settings.autoscaling.holdSeconds) (int $settings.holdSeconds))) -}}
{{- end -}}
{{- toJson (dict "engines" $engines) -}}
{{- end -}}

{{- define "freehold.gateway.env" -}}
- name: FREEHOLD_HOME
  value: /var/lib/freehold
- name: HOME
  value: /tmp
{{- if .Values.airGapped }}
- name: FREEHOLD_OFFLINE
  value: "1"
{{- end }}
{{- include "freehold.databaseEnv" . }}
{{- with .Values.gateway.adminKey.existingSecret }}
{{- if .name }}
{{ include "freehold.secretEnv" (dict "env" "FREEHOLD_ADMIN_KEY" "secret" .) }}
{{- end }}
{{- end }}
{{- $database := ((get (include "freehold.effective" . | fromJson) "deployment").gateway | default dict).database | default "" }}
{{- range $env, $secret := .Values.secretEnv }}
{{- if not (contains (printf "${%s}" $env) $database) }}
{{ include "freehold.secretEnv" (dict "env" $env "secret" $secret) }}
{{- end }}
{{- end }}
{{- with .Values.gateway.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
