{{/*
Labels. Selectors hold what never changes in the life of a release; everything else is on the metadata alone.
*/}}

{{/* (dict "root" $ "component" "engine" "model" name); component and model are optional. */}}
{{- define "freehold.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- with .model }}
freehold.dev/model: {{ include "freehold.slug" . | quote }}
{{- end }}
{{- end -}}

{{- define "freehold.labels" -}}
{{- $own := include "freehold.selector" . | fromYaml -}}
{{- $release := dict
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "app.kubernetes.io/part-of" .root.Chart.Name
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- toYaml (merge (dict) $own $release (.root.Values.commonLabels | default dict)) -}}
{{- end -}}

{{/* Labels of pods: those of the selector and the user's. No version: a new chart alone must not restart engines. */}}
{{- define "freehold.podLabels" -}}
{{- toYaml (merge (dict) (include "freehold.selector" . | fromYaml) (.root.Values.commonLabels | default dict)) -}}
{{- end -}}
