{{/*
Network policies. Everything is denied first; each helper adds what one component needs.
*/}}

{{/* metadata of a policy: (dict "root" $ "parts" (list "gateway") "component" "gateway"). */}}
{{- define "freehold.policy.metadata" -}}
name: {{ include "freehold.object" (dict "root" .root "parts" .parts) }}
labels:
  {{- include "freehold.labels" (dict "root" .root "component" .component) | nindent 2 }}
{{- end -}}

{{/* No peers mean nowhere: an empty `to` in a policy would be everywhere. */}}
{{- define "freehold.policy.dns" -}}
{{- with .Values.networkPolicy.dns.to }}
- to:
    {{- toYaml . | nindent 4 }}
  ports:
    {{- range $.Values.networkPolicy.dns.ports }}
    - {port: {{ int . }}, protocol: UDP}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- end -}}

{{/* Pods of one component of this release, as a peer. */}}
{{- define "freehold.policy.peer" -}}
- podSelector:
    matchLabels:
      {{- include "freehold.selector" . | nindent 6 }}
{{- end -}}

{{- define "freehold.policy.database" -}}
{{- if not (include "freehold.isSqlite" .) }}
- ports:
    - {port: {{ int .Values.database.port }}, protocol: TCP}
  {{- with .Values.networkPolicy.database.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Pulls may reach a hub: nothing at all where nothing may leave and no hub of one's own is named. */}}
{{- define "freehold.policy.hub" -}}
{{- if and .Values.networkPolicy.hub.to (or (not .Values.airGapped) .Values.hub.endpoint) }}
- to:
    {{- toYaml .Values.networkPolicy.hub.to | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.hub.ports }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- end -}}

{{/* Ports of everything outside that the deployment names: [443, …]. Empty: the gateway reaches no such thing. */}}
{{- define "freehold.outsidePorts" -}}
{{- $deployment := get (include "freehold.effective" . | fromJson) "deployment" -}}
{{- $urls := list -}}
{{- range include "freehold.upstreams" . | fromJson }}{{ $urls = append $urls .baseUrl }}{{ end -}}
{{- range $model := $deployment.models -}}
{{- $engine := ($model).engine | default dict -}}
{{- if eq ($engine.kind | default "process") "remote" }}{{ $urls = append $urls $engine.baseUrl }}{{ end -}}
{{- end -}}
{{- if (($deployment.gateway | default dict).media | default dict).allowedDomains }}{{ $urls = concat $urls (list "https://media" "http://media") }}{{ end -}}
{{- with ((($deployment.gateway | default dict).console | default dict).oidc | default dict).issuer }}{{ $urls = append $urls . }}{{ end -}}
{{- $ports := list -}}
{{- range $urls -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $ports = append $ports ($port | default (eq $url.scheme "http" | ternary "80" "443") | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
