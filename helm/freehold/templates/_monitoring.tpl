{{/*
Monitoring: how series of one release are told from another's.
*/}}

{{/* Labels put onto every scraped series. */}}
{{- define "freehold.relabelings" -}}
- {action: replace, targetLabel: freehold_release, replacement: {{ .root.Release.Name | quote }}}
- {action: replace, targetLabel: freehold_component, replacement: {{ .component }}}
{{- end -}}

{{- define "freehold.monitor.selector" -}}
{{- printf "namespace=%q,freehold_release=%q" .Release.Namespace .Release.Name -}}
{{- end -}}

{{/* Models that scale to zero, as a regular expression. */}}
{{- define "freehold.sleepers" -}}
{{- $names := list -}}
{{- range $model, $served := include "freehold.models" . | fromJson -}}
{{- $scaling := (include "freehold.engine.settings" (dict "root" $ "model" $model) | fromJson).autoscaling -}}
{{- if and (eq $scaling.kind "keda") (eq 0 (int $scaling.minReplicas)) }}{{ $names = append $names (regexQuoteMeta $model | replace "\\" "\\\\") }}{{ end -}}
{{- end -}}
{{- join "|" $names -}}
{{- end -}}
